//! `session_bucket_id`.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray, StringBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, IntervalMonthDayNanoType, TimeUnit,
};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl,
    Signature, Volatility,
};

use super::arguments::{Argument, length, refuse, text_type, wrong_count};
use super::named_arguments::Optional;
use super::{docs, scalar};
use crate::boundary::{duration_nanos, interval_nanos};
use crate::timestamp::per_second;

const NAME: &str = "session_bucket_id";
const ARGUMENTS: [&str; 3] = ["key", "t", "width"];
const NANOS_PER_SECOND: i128 = 1_000_000_000;
const HALF_AN_HOUR: i128 = 1_800 * NANOS_PER_SECOND;

/// How the function may be called.
pub(super) const CALL: Optional = Optional {
    function: NAME,
    names: &ARGUMENTS,
    required: 2,
};

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    docs::scalar(
        "A session id that one row alone decides: the key, `-`, and the number of the \
         time bucket, floor(seconds since 1970 / seconds of `width`), also before 1970. \
         The same event has the same id in a stream and in a replay, but visits that \
         cross the edge of a bucket are cut in two. Null for a null key or time.",
        "session_bucket_id(key, t [, width])",
        &[
            ("key", "The visitor: any value that can be cast to text."),
            (
                "t",
                "The event's time: a timestamp or a date. Without a zone it is UTC.",
            ),
            (
                "width",
                "How long a bucket is: a positive interval or duration without months, \
                 such as INTERVAL '30 minutes' or '30 minutes'; may be a column. A day \
                 is 24 hours. Default, and for null: 30 minutes.",
            ),
        ],
        "SELECT session_bucket_id('ann', TIMESTAMP '2026-01-01 09:29:59') AS value;\n\
         +------------+\n\
         | value      |\n\
         +------------+\n\
         | ann-981810 |\n\
         +------------+",
    )
});

/// The function `session_bucket_id`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionBucketId {
    signature: Signature,
}

impl Default for SessionBucketId {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(ARGUMENTS.to_vec());
        Self {
            signature: named.unwrap_or(signature),
        }
    }
}

impl ScalarUDFImpl for SessionBucketId {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(coerce(given).unwrap_or_else(|_| given.to_vec()))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        coerce(given).map(|_| DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let fields = args.arg_fields.iter();
        let types = coerce(&fields.map(|f| f.data_type().clone()).collect::<Vec<_>>())?;
        match (types.get(2), args.scalar_arguments.get(2)) {
            (Some(width), Some(Some(literal))) => {
                constant_width(&literal.cast_to(width)?)?;
            }
            (Some(width), _) if width.is_string() => {
                let given = format!("a column of type {width}");
                let accepted = Argument::Gap.accepted();
                return Err(refuse(NAME, "width", given, accepted));
            }
            _ => {}
        }
        Ok(Arc::new(Field::new(NAME, DataType::Utf8, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [key, t, width @ ..] = args.args.as_slice() else {
            return internal_err!("`{NAME}` without a key and a time");
        };
        let is_scalar = |value| matches!(value, &ColumnarValue::Scalar(_));
        let constant = args.args.iter().all(is_scalar);
        let rows = if constant { 1 } else { args.number_rows };
        let width = Width::try_new(width.first())?;
        let ids = ids(&scalar::Text::try_new(key)?, &t.to_array(rows)?, &width)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&ids, 0)?));
        }
        Ok(ColumnarValue::Array(ids))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

fn coerce(given: &[DataType]) -> Result<Vec<DataType>> {
    if given.len() < CALL.required || given.len() > ARGUMENTS.len() {
        return Err(wrong_count(NAME, given.len(), &ARGUMENTS, CALL.required));
    }
    let types = given.iter().zip(ARGUMENTS).map(|(given, name)| {
        let (coerced, accepted) = match name {
            "key" => (text_type(given), "a value that can be cast to text"),
            "t" => (Argument::Time.coerce(given), Argument::Time.accepted()),
            _ => (Argument::Gap.coerce(given), Argument::Gap.accepted()),
        };
        let refused = || refuse(NAME, name, format!("of type {given}"), accepted);
        coerced.ok_or_else(refused)
    });
    types.collect()
}

/// The nanoseconds of one width for all rows; null is the default.
fn constant_width(value: &ScalarValue) -> Result<i128> {
    if value.is_null() {
        return Ok(HALF_AN_HOUR);
    }
    length(value).map_err(|given| refuse(NAME, "width", given, Argument::Gap.accepted()))
}

/// How long the bucket of a row is.
#[derive(Debug)]
enum Width {
    Every(i128),
    Intervals(IntervalMonthDayNanoArray),
    Durations(Int64Array, TimeUnit),
}

impl Width {
    fn try_new(given: Option<&ColumnarValue>) -> Result<Self> {
        let array = match given {
            None => return Ok(Self::Every(HALF_AN_HOUR)),
            Some(ColumnarValue::Scalar(value)) => {
                return constant_width(value).map(Self::Every);
            }
            Some(ColumnarValue::Array(array)) => array,
        };
        match array.data_type() {
            DataType::Null => Ok(Self::Every(HALF_AN_HOUR)),
            DataType::Interval(_) => {
                let intervals = array.as_primitive_opt::<IntervalMonthDayNanoType>();
                match intervals {
                    Some(intervals) => Ok(Self::Intervals(intervals.clone())),
                    None => internal_err!("{} is not coerced", array.data_type()),
                }
            }
            DataType::Duration(unit) => {
                let ticks = cast(array, &DataType::Int64)?;
                Ok(Self::Durations(ticks.as_primitive().clone(), *unit))
            }
            other => internal_err!("{other} is no width"),
        }
    }

    #[inline]
    fn nanos(&self, row: usize) -> Result<i128> {
        let nanos = match self {
            Self::Every(nanos) => return Ok(*nanos),
            Self::Intervals(widths) if widths.is_null(row) => return Ok(HALF_AN_HOUR),
            Self::Durations(widths, _) if widths.is_null(row) => return Ok(HALF_AN_HOUR),
            Self::Intervals(widths) => interval_nanos(widths.value(row)),
            Self::Durations(widths, unit) => duration_nanos(widths.value(row), *unit),
        };
        nanos.or_else(|why| {
            exec_err!(
                "`{NAME}`: argument `width` of a row is refused: {why}; accepted: a \
                 positive interval or duration without months"
            )
        })
    }
}

fn ids(keys: &scalar::Text, times: &ArrayRef, width: &Width) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, _) = times.data_type() else {
        return internal_err!("{} is not a timestamp", times.data_type());
    };
    let nanos_per_tick = NANOS_PER_SECOND / i128::from(per_second(*unit));
    let ticks = cast(times, &DataType::Int64)?;
    let ticks = ticks.as_primitive::<Int64Type>();
    let keys = keys.reader()?;
    let mut ids = StringBuilder::with_capacity(ticks.len(), ticks.len() * 24);
    for row in 0..ticks.len() {
        match keys.get(row).filter(|_| ticks.is_valid(row)) {
            Some(key) => {
                let width = width.nanos(row)?;
                let bucket = bucket(ticks.value(row), nanos_per_tick, width);
                // a builder takes any text
                let _ = write!(ids, "{key}-{bucket}");
                ids.append_value("");
            }
            None => ids.append_null(),
        }
    }
    Ok(Arc::new(ids.finish()))
}

/// The bucket of an instant; wide enough for every instant and width, and in 64 bits
/// where a bucket is a whole number of ticks.
#[inline]
fn bucket(ticks: i64, nanos_per_tick: i128, width: i128) -> i128 {
    if width % nanos_per_tick == 0
        && let Ok(width) = i64::try_from(width / nanos_per_tick)
    {
        return i128::from(ticks.div_euclid(width));
    }
    (i128::from(ticks) * nanos_per_tick).div_euclid(width)
}
