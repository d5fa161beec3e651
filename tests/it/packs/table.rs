//! Tables as text, so that rows from any engine can be compared cell for cell.

use std::fs::{self, File};
use std::path::Path;

use chrono::DateTime;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

type Row = Vec<Option<String>>;

/// Rows in a fixed order; times are microseconds since 1970 in UTC.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<String>,
    rows: Vec<Row>,
}

impl Rows {
    pub(crate) fn of_batches(schema: &Schema, batches: &[RecordBatch]) -> Self {
        let columns = schema.fields().iter().map(|f| f.name().clone()).collect();
        let rows = batches.iter().flat_map(|batch| {
            let texts: Vec<_> = batch.columns().iter().map(texts).collect();
            (0..batch.num_rows())
                .map(move |row| cells(&texts, row))
                .collect::<Vec<_>>()
        });
        Self::sorted(columns, rows.collect())
    }

    pub(crate) fn of_parquet(path: &Path) -> Self {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let schema = reader.schema().clone();
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        Self::of_batches(&schema, &batches)
    }

    /// A file of the fixtures: no commas inside fields, an empty field is null, `EMPTY` is
    /// the empty text, ISO times.
    pub(crate) fn of_csv(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
        let columns = lines.next().unwrap().collect();
        let rows = lines
            .map(|line| line.map(|field| csv_cell(&field)).collect())
            .collect();
        Self::sorted(columns, rows)
    }

    fn sorted(columns: Vec<String>, mut rows: Vec<Row>) -> Self {
        rows.sort();
        Self { columns, rows }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The cells of one column.
    pub(crate) fn column(&self, name: &str) -> Row {
        let at = self.position(name);
        self.rows.iter().map(|row| row[at].clone()).collect()
    }

    /// The same rows with these columns alone.
    pub(crate) fn only(&self, columns: &[String]) -> Self {
        let at: Vec<_> = columns.iter().map(|c| self.position(c)).collect();
        let rows = self
            .rows
            .iter()
            .map(|r| at.iter().map(|i| r[*i].clone()).collect());
        Self::sorted(columns.to_vec(), rows.collect())
    }

    fn position(&self, name: &str) -> usize {
        self.columns.iter().position(|c| c == name).unwrap()
    }

    /// Fails at the first row that differs.
    pub(crate) fn assert_same(&self, other: &Self, what: &str) {
        assert_eq!(self.columns, other.columns, "columns of {what}");
        for (ours, theirs) in self.rows.iter().zip(&other.rows) {
            assert_eq!(ours, theirs, "first row that differs in {what}");
        }
        assert_eq!(self.len(), other.len(), "rows of {what}");
    }
}

fn texts(array: &ArrayRef) -> ArrayRef {
    let plain = match array.data_type() {
        DataType::Timestamp(_, _) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            cast(&cast(array, &micros).unwrap(), &DataType::Int64).unwrap()
        }
        _ => array.clone(),
    };
    cast(&plain, &DataType::Utf8).unwrap()
}

fn cells(texts: &[ArrayRef], row: usize) -> Row {
    let cell = |array: &ArrayRef| {
        array
            .is_valid(row)
            .then(|| array.as_string::<i32>().value(row).to_owned())
    };
    texts.iter().map(cell).collect()
}

fn csv_cell(field: &str) -> Option<String> {
    match field {
        "" => None,
        "EMPTY" => Some(String::new()),
        _ => match DateTime::parse_from_rfc3339(field) {
            Ok(time) => Some(time.timestamp_micros().to_string()),
            Err(_) => Some(field.to_owned()),
        },
    }
}
