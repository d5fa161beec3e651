//! From the arrays of a batch to events.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, IntervalMonthDayNanoArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{
    DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::{Result, exec_err, internal_err};

use super::length::NotALength;
use super::{Event, Rules, duration_nanos, interval_nanos};

/// Which column plays which part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ColumnIndexes {
    pub(crate) time: usize,
    pub(crate) gap: Option<usize>,
    pub(crate) split_on: Option<usize>,
    pub(crate) start_when: Option<usize>,
    pub(crate) end_after: Option<usize>,
}

/// Encodes values of any type so that equal values are equal bytes; texts and bytes need
/// no encoding. Kept across batches.
#[derive(Debug)]
pub(crate) struct SplitEncoder {
    converter: RowConverter,
}

impl SplitEncoder {
    /// An encoder for `data_type`; `None` if its values are compared as they are.
    pub(crate) fn try_new(data_type: &DataType) -> Result<Option<Self>> {
        if matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        ) {
            return Ok(None);
        }
        let fields = vec![SortField::new(data_type.clone())];
        let converter = RowConverter::new(fields)?;
        Ok(Some(Self { converter }))
    }

    /// Whether values of `data_type` can be compared at all.
    pub(crate) fn supports(data_type: &DataType) -> bool {
        RowConverter::supports_fields(&[SortField::new(data_type.clone())])
    }
}

/// The columns of one batch, ready to be read row by row.
#[derive(Debug)]
pub(crate) struct EventColumns<'a> {
    function: &'static str,
    times: &'a [i64],
    time_nulls: Option<&'a NullBuffer>,
    gap: GapColumn<'a>,
    split_on: SplitColumn<'a>,
    start_when: Option<&'a BooleanArray>,
    end_after: Option<&'a BooleanArray>,
}

#[derive(Debug)]
enum GapColumn<'a> {
    Constant,
    Intervals(&'a IntervalMonthDayNanoArray),
    Durations(&'a ArrayRef, &'a [i64], TimeUnit),
}

#[derive(Debug)]
enum SplitColumn<'a> {
    Off,
    Texts(&'a ArrayRef),
    /// Rows from `first` on, encoded.
    Encoded {
        nulls: Option<NullBuffer>,
        rows: Rows,
        first: usize,
    },
}

impl<'a> EventColumns<'a> {
    /// The columns of a batch, of which rows `first..end` will be read.
    pub(crate) fn try_new(
        rules: &Rules,
        columns: &ColumnIndexes,
        encoder: Option<&SplitEncoder>,
        values: &'a [ArrayRef],
        (first, end): (usize, usize),
    ) -> Result<Self> {
        let time = column(values, columns.time)?;
        let split_on = match columns.split_on {
            None => SplitColumn::Off,
            Some(index) => split_column(column(values, index)?, encoder, first, end)?,
        };
        Ok(Self {
            function: rules.function,
            times: timestamps(time)?,
            time_nulls: time.nulls(),
            gap: match columns.gap {
                None => GapColumn::Constant,
                Some(index) => gap_column(column(values, index)?)?,
            },
            split_on,
            start_when: booleans(values, columns.start_when)?,
            end_after: booleans(values, columns.end_after)?,
        })
    }

    /// The event of a row; `None` if its timestamp is null.
    #[inline]
    pub(crate) fn event(&self, row: usize) -> Result<Option<Event<'_>>> {
        if self.time_nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(None);
        }
        Ok(Some(Event {
            time: self.times[row],
            gap: self.gap(row)?,
            value: self.split_on.value(row),
            starts: is_true(self.start_when, row),
            ends: is_true(self.end_after, row),
        }))
    }

    fn gap(&self, row: usize) -> Result<Option<i128>> {
        let gap = match &self.gap {
            GapColumn::Constant => return Ok(None),
            GapColumn::Intervals(gaps) if gaps.is_null(row) => return Ok(None),
            GapColumn::Durations(gaps, ..) if gaps.is_null(row) => return Ok(None),
            GapColumn::Intervals(gaps) => interval_nanos(gaps.value(row)),
            GapColumn::Durations(_, gaps, unit) => duration_nanos(gaps[row], *unit),
        };
        gap.map(Some).or_else(|why| self.bad_gap(row, why))
    }

    fn bad_gap<T>(&self, row: usize, why: NotALength) -> Result<T> {
        let shown = match &self.gap {
            GapColumn::Intervals(gaps) => {
                let gap = gaps.value(row);
                format!(
                    "{} months {} days {} nanoseconds",
                    gap.months, gap.days, gap.nanoseconds
                )
            }
            GapColumn::Durations(_, gaps, unit) => format!("{} ({unit:?})", gaps[row]),
            GapColumn::Constant => String::new(),
        };
        exec_err!(
            "`{}`: argument `gap` is {shown} in a row: {why}; accepted: a positive \
             interval or duration without months",
            self.function
        )
    }
}

impl SplitColumn<'_> {
    #[inline]
    fn value(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Off => None,
            Self::Texts(array) if array.is_null(row) => None,
            Self::Texts(array) => match array.data_type() {
                DataType::Utf8 => Some(array.as_string::<i32>().value(row).as_bytes()),
                DataType::LargeUtf8 => {
                    Some(array.as_string::<i64>().value(row).as_bytes())
                }
                _ => Some(array.as_string_view().value(row).as_bytes()),
            },
            Self::Encoded { nulls, rows, first } => {
                let row = row - first;
                let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                (!null).then(|| rows.row(row).data())
            }
        }
    }
}

fn column(values: &[ArrayRef], index: usize) -> Result<&ArrayRef> {
    match values.get(index) {
        Some(array) => Ok(array),
        None => internal_err!("column {index} of {} is not there", values.len()),
    }
}

fn is_true(column: Option<&BooleanArray>, row: usize) -> bool {
    column.is_some_and(|column| column.is_valid(row) && column.value(row))
}

fn booleans(values: &[ArrayRef], index: Option<usize>) -> Result<Option<&BooleanArray>> {
    let Some(index) = index else { return Ok(None) };
    match column(values, index)?.as_boolean_opt() {
        Some(array) => Ok(Some(array)),
        None => internal_err!("column {index} is not boolean"),
    }
}

fn timestamps(array: &ArrayRef) -> Result<&[i64]> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return internal_err!("{} is not a timestamp", array.data_type());
    };
    Ok(match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
        TimeUnit::Millisecond => {
            array.as_primitive::<TimestampMillisecondType>().values()
        }
        TimeUnit::Microsecond => {
            array.as_primitive::<TimestampMicrosecondType>().values()
        }
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
    })
}

fn gap_column(array: &ArrayRef) -> Result<GapColumn<'_>> {
    let durations = match array.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
            return Ok(GapColumn::Intervals(intervals));
        }
        DataType::Duration(TimeUnit::Second) => {
            array.as_primitive::<DurationSecondType>().values()
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            array.as_primitive::<DurationMillisecondType>().values()
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            array.as_primitive::<DurationMicrosecondType>().values()
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            array.as_primitive::<DurationNanosecondType>().values()
        }
        other => return internal_err!("{other} is not an interval"),
    };
    let DataType::Duration(unit) = array.data_type() else {
        return internal_err!("{} is not a duration", array.data_type());
    };
    Ok(GapColumn::Durations(array, durations, *unit))
}

fn split_column<'a>(
    array: &'a ArrayRef,
    encoder: Option<&SplitEncoder>,
    first: usize,
    end: usize,
) -> Result<SplitColumn<'a>> {
    let Some(encoder) = encoder else {
        return Ok(SplitColumn::Texts(array));
    };
    let array = if first == 0 && end == array.len() {
        Arc::clone(array)
    } else {
        array.slice(first, end - first)
    };
    Ok(SplitColumn::Encoded {
        nulls: array.logical_nulls(),
        rows: encoder.converter.convert_columns(&[array])?,
        first,
    })
}
