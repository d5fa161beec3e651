//! The committed rows that are numbered anew, told by few of their columns.

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::Result;

use super::Resumption;
use super::input::InputChange;
use crate::runner::materialization::incremental::places::Gone;

/// Committed rows, and which of them went from the input.
pub(super) struct Old {
    /// `columns`, the numbers and the places of each row.
    pub(super) rows: RecordBatch,
    /// The input's columns that were read, as places in the table.
    pub(super) columns: Vec<usize>,
    pub(super) went: Vec<bool>,
    /// Whether a row that did not go is like one that did in all columns that were read.
    pub(super) is_ambiguous: bool,
}

impl Old {
    pub(super) fn of(
        rows: RecordBatch,
        columns: Vec<usize>,
        change: &InputChange,
        of: &Resumption<'_>,
    ) -> Result<Self> {
        let told = told(&rows, &columns, of)?;
        let mut gone = Gone::default();
        for batch in &change.went {
            gone.add(&self::told(batch, &columns, of)?)?;
        }
        let (went, is_ambiguous) = gone.marks(&told)?;
        gone.none_left(&of.base.url)?;
        Ok(Self {
            rows,
            columns,
            went,
            is_ambiguous,
        })
    }

    /// A row's file and its place in it.
    pub(super) fn place(&self, row: usize) -> (u32, i64) {
        let width = self.rows.num_columns();
        let files = self.rows.column(width - 2).as_primitive::<UInt32Type>();
        let rows = self.rows.column(width - 1).as_primitive::<Int64Type>();
        (files.value(row), rows.value(row))
    }
}

/// `columns` of the table out of rows that have them.
pub(super) fn told(
    rows: &RecordBatch,
    columns: &[usize],
    of: &Resumption<'_>,
) -> Result<RecordBatch> {
    let schema = rows.schema();
    let places = columns.iter().map(|place| {
        let name = of.base.schema.field(*place).name();
        schema.index_of(name)
    });
    Ok(rows.project(&places.collect::<Result<Vec<_>, _>>()?)?)
}
