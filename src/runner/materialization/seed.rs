//! `seed`: a CSV file of the project as a committed table.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::util::display::FormatOptions;

use futures::future::BoxFuture;
use md5::{Digest, Md5};

use super::reading::Reading;
use super::{Built, Job, Materialization, table};
use crate::csv::{CsvError, CsvTable, parse_csv};
use crate::runner::compile::{Materialized, Node, NodeKind};
use crate::runner::error::{ErrorKind, Location, Result, RunnerError};

/// A committed table read from a CSV file.
#[derive(Debug)]
pub(super) struct Seed;

impl Materialization for Seed {
    fn kind(&self) -> Materialized {
        Materialized::Seed
    }

    fn word(&self) -> &'static str {
        "seed"
    }

    fn build<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Built>> {
        Box::pin(async move {
            let mut built = table::rebuild(job, &Reading::default()).await?;
            let said = [built.message.take(), without_column(job)];
            let said: Vec<String> = said.into_iter().flatten().collect();
            built.message = (!said.is_empty()).then(|| said.join("; "));
            Ok(built)
        })
    }
}

/// A word on `column_types` that name no column: they may stand above several seeds.
fn without_column(job: &Job) -> Option<String> {
    let schema = job.rows.schema();
    let types = job.node.config.column_types.keys();
    let other: Vec<String> = types
        .filter(|name| !schema.has_column_with_unqualified_name(name))
        .map(|name| format!("`{name}`"))
        .collect();
    let names = other.join(", ");
    (!other.is_empty()).then(|| format!("`column_types` names {names}, no column of it"))
}

/// The key of a commit's metadata that holds the checksum of the seed's file.
pub(crate) const SEED_CHECKSUM: &str = "seed_file";

/// Lower-case hex MD5 of the file of `node`; `None` if it is no seed.
pub(crate) async fn seed_checksum(node: &Node) -> Result<Option<String>> {
    let NodeKind::Seed(seed) = &node.kind else {
        return Ok(None);
    };
    let bytes = tokio::fs::read(&seed.absolute_path).await.map_err(|e| {
        let message = format!("seed `{}`: {e}", seed.path.display());
        RunnerError::new(ErrorKind::Project, message).with_source(e)
    })?;
    let hash = Md5::digest(&bytes);
    Ok(Some(hash.iter().map(|b| format!("{b:02x}")).collect()))
}

/// The rows of a seed's `text`. Types are inferred as dbt does (whole numbers, numbers,
/// dates, timestamps, booleans, else text; an empty field and `null` are null), unless `types` names
/// one for the column.
pub(crate) fn read_seed(
    path: &Path,
    text: &str,
    delimiter: char,
    types: &BTreeMap<String, DataType>,
) -> Result<RecordBatch> {
    let csv = parse_csv(text, delimiter).map_err(|e| csv_error(path, text, &e))?;
    let mut fields = Vec::with_capacity(csv.header.len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(csv.header.len());
    for (index, name) in csv.header.iter().enumerate() {
        let values = column(&csv, index);
        let given = types.get(name);
        let data_type = given.cloned().unwrap_or_else(|| infer(&values));
        columns.push(typed(&values, &data_type).map_err(|row| {
            let value = values.get(row).copied().flatten().unwrap_or_default();
            let line = csv.records.get(row).map_or(1, |r| r.0);
            let message = format!("`{value}` in column `{name}` is no {data_type}");
            csv_error(path, text, &CsvError { line, message })
        })?);
        fields.push(Field::new(name, data_type, true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(csv.records.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|e| RunnerError::new(ErrorKind::Internal, e.to_string()))
}

fn column(csv: &CsvTable, index: usize) -> Vec<Option<&str>> {
    csv.records
        .iter()
        .map(|(_, fields)| fields.get(index).and_then(|f| f.as_deref()))
        .map(|f| f.filter(|f| !f.eq_ignore_ascii_case("null")))
        .collect()
}

/// The first of dbt's types that every value has; text for a column of nulls, and for
/// whole numbers that neither type of number holds exactly.
fn infer(values: &[Option<&str>]) -> DataType {
    if values.iter().flatten().next().is_none() {
        return DataType::Utf8;
    }
    [
        DataType::Int64,
        DataType::Float64,
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Boolean,
    ]
    .into_iter()
    .find(|t| values.iter().flatten().all(|v| looks_like(v.trim(), t)))
    .filter(|t| {
        let mut values = values.iter().flatten();
        t != &DataType::Float64 || !values.any(|v| loses_digits(v.trim()))
    })
    .unwrap_or(DataType::Utf8)
}

/// Whether `value` is a whole number that a float would round.
fn loses_digits(value: &str) -> bool {
    const EXACT: u64 = 1 << 53;
    let digits = value.trim_start_matches(['+', '-']);
    let whole = digits.bytes().all(|b| b.is_ascii_digit());
    whole && digits.parse::<u64>().map_or(true, |n| n > EXACT)
}

fn looks_like(value: &str, data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean => {
            value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
        }
        DataType::Int64 => value.parse::<i64>().is_ok(),
        DataType::Float64 => {
            value.parse::<f64>().is_ok_and(f64::is_finite)
                && value.bytes().any(|b| b.is_ascii_digit())
        }
        DataType::Date32 => {
            value.len() == 10
                && chrono::NaiveDate::parse_from_str(value, "%Y-%m-%d").is_ok()
        }
        other => {
            value.len() > 10
                && value.as_bytes().get(4) == Some(&b'-')
                && typed(&[Some(value)], other).is_ok()
        }
    }
}

/// `values` as `data_type`; the error is the row of the first value that is none.
fn typed(values: &[Option<&str>], data_type: &DataType) -> Result<ArrayRef, usize> {
    let trim = !matches!(data_type, DataType::Utf8 | DataType::LargeUtf8);
    let value = |v: &Option<&str>| v.map(|v| if trim { v.trim() } else { v }.to_owned());
    let text: StringArray = values.iter().map(value).collect();
    let options = CastOptions {
        safe: true,
        format_options: FormatOptions::default(),
    };
    let cast = cast_with_options(&text, data_type, &options).map_err(|_| 0_usize)?;
    let lost =
        |row: &usize| values.get(*row).is_some_and(Option::is_some) && cast.is_null(*row);
    match (0..values.len()).find(lost) {
        Some(row) => Err(row),
        None => Ok(cast),
    }
}

fn csv_error(path: &Path, text: &str, error: &CsvError) -> RunnerError {
    let found = text.lines().nth(error.line.saturating_sub(1)).unwrap_or("");
    let message = format!(
        "seed `{}`, line {}: {}",
        path.display(),
        error.line,
        error.message
    );
    RunnerError::new(ErrorKind::Project, message).with_location(Location {
        file: path.to_path_buf(),
        line: error.line,
        column: 1,
        length: found.chars().count().max(1),
        text: Arc::from(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, types: &[(&str, DataType)]) -> Result<RecordBatch> {
        let types = types.iter().map(|(n, t)| ((*n).to_owned(), t.clone()));
        read_seed(Path::new("seeds/s.csv"), text, ',', &types.collect())
    }

    #[test]
    fn types_are_inferred() {
        let batch = read(
            "i,f,d,t,b,s,n\n1,1.5,2024-01-02,2024-01-02 03:04:05,true,x,\n-2,3,,2024-01-02T03:04:05,FALSE,1,null\n",
            &[],
        )
        .unwrap();
        let types: Vec<DataType> = batch
            .schema()
            .fields()
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        assert_eq!(
            types,
            [
                DataType::Int64,
                DataType::Float64,
                DataType::Date32,
                DataType::Timestamp(TimeUnit::Microsecond, None),
                DataType::Boolean,
                DataType::Utf8,
                DataType::Utf8,
            ]
        );
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(batch.column(6).null_count(), 2);
    }

    #[test]
    fn a_named_type_wins() {
        let batch = read("zip\n00123\n", &[("zip", DataType::Utf8)]).unwrap();
        assert_eq!(*batch.schema().field(0).data_type(), DataType::Utf8);
    }

    #[test]
    fn a_wrong_value_names_line_and_column() {
        let error = read("n\n1\n2x\n", &[("n", DataType::Int64)]).unwrap_err();
        assert_eq!(
            error.message(),
            "seed `seeds/s.csv`, line 3: `2x` in column `n` is no Int64"
        );
        assert_eq!(error.location().map(|l| l.line), Some(3));
    }

    #[test]
    fn whole_numbers_that_a_float_would_round_are_texts() {
        let types = |text: &str| {
            let batch = read(text, &[]).unwrap();
            batch.schema().field(0).data_type().clone()
        };
        assert_eq!(types("n\n1\n12345678901234567890123\n"), DataType::Utf8);
        assert_eq!(types("n\n0.5\n-9007199254740993\n"), DataType::Utf8);
        assert_eq!(types("n\n0.5\n9007199254740992\n"), DataType::Float64);
        assert_eq!(types("n\n1\n9007199254740993\n"), DataType::Int64);
    }

    #[test]
    fn a_header_alone_is_an_empty_table() {
        let batch = read("a,b\n", &[]).unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (0, 2));
    }
}
