//! Lengths of time: intervals and durations as nanoseconds.

use datafusion::arrow::datatypes::{IntervalMonthDayNano, TimeUnit};

const NANOS_PER_DAY: i128 = 86_400_000_000_000;

/// Why a value is no length of time between two events.
pub(crate) type NotALength = &'static str;

/// The length of an interval, a day being 24 hours. Months have no length; a length is
/// positive. The result cannot overflow.
pub(crate) fn interval_nanos(interval: IntervalMonthDayNano) -> Result<i128, NotALength> {
    if interval.months != 0 {
        return Err("calendar months and years are not a length of time");
    }
    positive(i128::from(interval.days) * NANOS_PER_DAY + i128::from(interval.nanoseconds))
}

/// The length of a duration of `value` units. The result cannot overflow.
pub(crate) fn duration_nanos(value: i64, unit: TimeUnit) -> Result<i128, NotALength> {
    let nanos_per_unit = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    positive(i128::from(value) * nanos_per_unit)
}

fn positive(nanos: i128) -> Result<i128, NotALength> {
    if nanos > 0 {
        Ok(nanos)
    } else {
        Err("it is not positive")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_do_not_overflow() {
        let longest = IntervalMonthDayNano::new(0, i32::MAX, i64::MAX);
        let expected = i128::from(i32::MAX) * NANOS_PER_DAY + i128::from(i64::MAX);
        assert_eq!(interval_nanos(longest), Ok(expected));
        let duration = duration_nanos(i64::MAX, TimeUnit::Second);
        assert_eq!(duration, Ok(i128::from(i64::MAX) * 1_000_000_000));
    }

    #[test]
    fn months_zero_and_negative_are_no_lengths() {
        let refused = [(1, 0, 0), (-1, 40, 0), (0, 0, 0), (0, -1, 5), (0, 0, -1)];
        for (months, days, nanos) in refused {
            let interval = IntervalMonthDayNano::new(months, days, nanos);
            assert!(interval_nanos(interval).is_err(), "{interval:?}");
        }
        assert!(duration_nanos(0, TimeUnit::Second).is_err());
    }
}
