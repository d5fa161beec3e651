//! The columns of files, with values of their first rows.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};

use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use datafusion_sessionize::{EventLakeOptions, Stores, event_lake};

/// How many rows are looked at.
const ROWS: usize = 1000;

/// Seconds since 1970 that begin the years 2000 and 2100: whole numbers in between are
/// times.
pub(super) const SECONDS: (i64, i64) = (946_684_800, 4_102_444_800);

/// A column of the files.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) data_type: DataType,
    /// Those of the first rows that are not null, as text.
    pub(super) values: Vec<String>,
    /// How many rows were looked at.
    pub(super) rows: usize,
    /// The files hold it as bytes that are text: older writers name no texts.
    pub(super) bytes: bool,
}

/// How a column holds times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// As a timestamp or a date.
    Typed,
    /// As ISO 8601 text.
    Text,
    /// As whole numbers since 1970, so many in a second.
    Ticks(i64),
    /// As seconds since 1970 with a fraction.
    Seconds,
}

/// Opens the files and reads their first rows.
pub(super) async fn look(
    location: &str,
    base: &Path,
    stores: &Stores,
) -> Result<Vec<Column>> {
    let read = async {
        // one after the other: the first rows are the same each time
        let config = SessionConfig::new().with_target_partitions(1);
        // what does not fit in a later row is for the build to tell
        let config = config.with_batch_size(ROWS);
        let context = SessionContext::new_with_config(config);
        let options = EventLakeOptions {
            location: location.to_owned(),
            base: base.to_owned(),
            flatten: true,
            ..EventLakeOptions::default()
        };
        let lake = event_lake(&context, stores, options).await?;
        let rows = context.read_table(lake)?;
        let schema = Arc::clone(rows.schema().inner());
        let batches = rows.limit(0, Some(ROWS))?.collect().await?;
        let columns = schema.fields().iter().enumerate();
        let columns = columns.map(|(index, field)| column(field, &batches, index));
        columns.collect::<std::result::Result<Vec<_>, DataFusionError>>()
    };
    Box::pin(read).await.map_err(|e| {
        let (message, doing) = (told(&e), format!("cannot read `{location}`"));
        let message = match message.starts_with(&doing) {
            true => message,
            false => format!("{doing}: {message}"),
        };
        RunnerError::new(ErrorKind::Source, message)
    })
}

fn column(
    field: &Field,
    batches: &[RecordBatch],
    index: usize,
) -> std::result::Result<Column, DataFusionError> {
    let arrays = || batches.iter().map(|batch| batch.column(index));
    let known = || arrays().any(|array| array.null_count() < array.len());
    let bytes = field.data_type() == &DataType::Binary && known();
    let as_text = bytes.then(|| arrays().map(|array| utf8(array)).collect());
    let text: Option<Vec<ArrayRef>> = as_text.flatten();
    let bytes = text.is_some();
    let arrays = text.unwrap_or_else(|| arrays().cloned().collect());
    let data_type = match bytes {
        true => DataType::Utf8,
        false => field.data_type().clone(),
    };
    Ok(Column {
        name: field.name().clone(),
        data_type,
        values: texts(&arrays)?,
        rows: batches.iter().map(RecordBatch::num_rows).sum(),
        bytes,
    })
}

/// Bytes as the text that they are, if all of them are.
fn utf8(bytes: &ArrayRef) -> Option<ArrayRef> {
    let text = cast(bytes, &DataType::Utf8).ok()?;
    (text.null_count() == bytes.null_count()).then_some(text)
}

/// An error on one line: what was done, then what went wrong.
fn told(error: &DataFusionError) -> String {
    match error {
        DataFusionError::Context(doing, cause) => format!("{doing}: {}", told(cause)),
        DataFusionError::Plan(cause) | DataFusionError::Execution(cause) => cause.clone(),
        DataFusionError::External(cause) => cause.to_string(),
        other => other.strip_backtrace(),
    }
}

fn texts(arrays: &[ArrayRef]) -> std::result::Result<Vec<String>, DataFusionError> {
    let mut texts = Vec::new();
    for array in arrays {
        let formatter = ArrayFormatter::try_new(array, &FormatOptions::default())?;
        // a column of no type at all has none but logical nulls
        let nulls = array.logical_nulls();
        let known = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
        let valid = (0..array.len()).filter(known);
        texts.extend(valid.map(|row| formatter.value(row).to_string()));
    }
    Ok(texts)
}

impl Column {
    /// One of its values, cut short.
    pub(super) fn sample(&self) -> String {
        let value = self.values.first().map_or("", String::as_str);
        match value.char_indices().nth(32) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value.to_owned(),
        }
    }

    /// Its type in the words of SQL.
    pub(super) fn type_name(&self) -> String {
        type_name(&self.data_type)
    }

    /// The type that the source is to declare, if it is not the one that is found: `time`:
    /// the column is read as a time.
    pub(super) fn declared(&self, time: bool) -> Option<&'static str> {
        match self.time().filter(|_| time) {
            Some(Time::Text) => Some("timestamptz"),
            Some(Time::Ticks(_)) if self.data_type == DataType::Utf8 => Some("bigint"),
            _ => self.bytes.then_some("varchar"),
        }
    }

    /// How it holds times, if it does.
    pub(super) fn time(&self) -> Option<Time> {
        match &self.data_type {
            DataType::Timestamp(_, _) | DataType::Date32 => Some(Time::Typed),
            _ if self.values.is_empty() => None,
            DataType::Float64 => {
                let (from, to) = SECONDS;
                let within = |t: &String| {
                    t.parse::<f64>()
                        .is_ok_and(|t| from as f64 <= t && t < to as f64)
                };
                self.values.iter().all(within).then_some(Time::Seconds)
            }
            DataType::Decimal128(_, 0) => ticks(&self.values),
            t if t.is_integer() || t == &DataType::Utf8 => {
                ticks(&self.values).or_else(|| is_iso(&self.values).then_some(Time::Text))
            }
            _ => None,
        }
    }

    /// The first text that is no time.
    pub(super) fn no_time(&self) -> Option<&str> {
        let mut texts = self
            .values
            .iter()
            .filter(|_| self.data_type == DataType::Utf8);
        let none = texts.find(|value| !is_iso(std::slice::from_ref(*value)));
        none.map(String::as_str)
    }

    /// How many of the values are different.
    pub(super) fn distinct(&self) -> usize {
        let values: std::collections::BTreeSet<_> = self.values.iter().collect();
        values.len()
    }
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "text".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        DataType::Decimal128(precision, scale) => {
            format!("decimal({precision}, {scale})")
        }
        DataType::List(item) => format!("list of {}", type_name(item.data_type())),
        other => other.to_string().to_lowercase(),
    }
}

fn ticks(values: &[String]) -> Option<Time> {
    let numbers: Option<Vec<i64>> = values.iter().map(|v| v.parse().ok()).collect();
    let numbers = numbers?;
    let units = [1, 1_000, 1_000_000, 1_000_000_000];
    let fits = |unit: &i64| {
        let (from, to) = (SECONDS.0 * unit, SECONDS.1.saturating_mul(*unit));
        numbers.iter().all(|n| (from..to).contains(n))
    };
    units.into_iter().find(fits).map(Time::Ticks)
}

fn is_iso(values: &[String]) -> bool {
    let texts = StringArray::from_iter_values(values);
    let to = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    cast(&texts, &to).is_ok_and(|times| times.null_count() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(data_type: DataType, values: &[&str]) -> Option<Time> {
        let column = Column {
            name: "t".to_owned(),
            data_type,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
            rows: values.len(),
            bytes: false,
        };
        column.time()
    }

    #[test]
    fn times_are_told_from_numbers() {
        for (values, expected) in [
            (["1704067200", "1704067201"], Some(Time::Ticks(1))),
            (["1704067200000", "1704067201000"], Some(Time::Ticks(1000))),
            (
                ["1704067200000000", "1704067201000000"],
                Some(Time::Ticks(1_000_000)),
            ),
            (["1704067200", "1704067200000"], None),
            (["1", "2"], None),
        ] {
            assert_eq!(time(DataType::Int64, &values), expected, "{values:?}");
        }
        let texts = |values: &[&str]| time(DataType::Utf8, values);
        assert_eq!(
            texts(&["2024-01-01T00:00:00Z", "2024-01-01"]),
            Some(Time::Text)
        );
        assert_eq!(texts(&["2024-01-01T00:00:00Z", "soon"]), None);
        assert_eq!(texts(&[]), None);
        assert_eq!(
            time(DataType::Float64, &["1704067200.5"]),
            Some(Time::Seconds)
        );
        assert_eq!(time(DataType::Float64, &["1.5"]), None);
        let unsigned = DataType::Decimal128(20, 0);
        let seconds = time(unsigned, &["1704067200"]);
        assert_eq!(seconds, Some(Time::Ticks(1)));
    }
}
