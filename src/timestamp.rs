//! Instants: timestamps between units and zones. A timestamp without a zone is UTC.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowTimestampType, DataType, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::{Result, exec_err, internal_err};

/// Ticks of `unit` in a second.
pub(crate) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// The same instants in `unit` and labelled with `zone`.
///
/// A coarser unit rounds towards the past, also before 1970. An instant that a finer unit
/// cannot hold is an error that shows the value.
pub(crate) fn convert(
    array: &dyn Array,
    unit: TimeUnit,
    zone: Option<Arc<str>>,
) -> Result<ArrayRef> {
    let DataType::Timestamp(from, _) = array.data_type() else {
        return internal_err!("expected a timestamp, found `{}`", array.data_type());
    };
    let ticks = cast(array, &DataType::Int64)?;
    let ticks = ticks.as_primitive::<Int64Type>();
    let ticks = rescale(ticks, per_second(*from), per_second(unit), unit)?;
    Ok(match unit {
        TimeUnit::Second => label::<TimestampSecondType>(&ticks, zone),
        TimeUnit::Millisecond => label::<TimestampMillisecondType>(&ticks, zone),
        TimeUnit::Microsecond => label::<TimestampMicrosecondType>(&ticks, zone),
        TimeUnit::Nanosecond => label::<TimestampNanosecondType>(&ticks, zone),
    })
}

fn rescale(ticks: &Int64Array, from: i64, to: i64, unit: TimeUnit) -> Result<Int64Array> {
    if from == to {
        return Ok(ticks.clone());
    }
    if from > to {
        let divisor = from / to;
        return Ok(ticks.unary(|t| t.div_euclid(divisor)));
    }
    let factor = to / from;
    ticks.try_unary(|t| match t.checked_mul(factor) {
        Some(t) => Ok(t),
        None => exec_err!(
            "the instant {t} (in 1/{from} s since 1970) does not fit a timestamp of unit `{unit:?}`"
        ),
    })
}

fn label<T: ArrowTimestampType>(ticks: &Int64Array, zone: Option<Arc<str>>) -> ArrayRef {
    let labelled: PrimitiveArray<T> = ticks.reinterpret_cast();
    Arc::new(labelled.with_timezone_opt(zone))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{TimestampNanosecondArray, TimestampSecondArray};

    use super::*;

    #[test]
    fn nanoseconds_round_towards_the_past() {
        let array = TimestampNanosecondArray::from(vec![Some(-1), None, Some(1_999)]);
        let utc: Arc<str> = Arc::from("UTC");
        let array = convert(&array, TimeUnit::Microsecond, Some(utc)).unwrap();
        let array = array.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(array.timezone(), Some("UTC"));
        assert_eq!(array.iter().collect::<Vec<_>>(), [Some(-1), None, Some(1)]);
    }

    #[test]
    fn seconds_that_do_not_fit_are_an_error() {
        let array = TimestampSecondArray::from(vec![i64::MAX / 1_000]);
        let error = convert(&array, TimeUnit::Microsecond, None).unwrap_err();
        assert!(error.to_string().contains("does not fit"), "{error}");
    }
}
