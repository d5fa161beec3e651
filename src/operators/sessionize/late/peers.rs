//! Counts of rows in sorted batches: those that no order column tells apart share theirs.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::common::Result;

use crate::operators::sessionize::keys::Keys;

/// Turns the last column of batches, the rows' numbers, into counts.
pub(super) struct Peers {
    /// The key and the order.
    keys: Keys,
    /// Rows, in pieces, that the next ones may be peers of.
    open: Vec<RecordBatch>,
}

impl Peers {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            open: Vec::new(),
        }
    }

    /// The bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        let open = self.open.iter();
        open.map(RecordBatch::get_array_memory_size).sum()
    }

    /// The batches whose counts are known once the next rows are: `sorted`, with these facts.
    pub(super) fn next(
        &mut self,
        sorted: &RecordBatch,
        facts: RecordBatch,
    ) -> Result<Vec<RecordBatch>> {
        let starts = self.keys.starts(sorted)?;
        let (Some(first), Some(last)) = (starts.first(), starts.last()) else {
            self.open.push(facts);
            return Ok(Vec::new());
        };
        if *first > 0 {
            self.open.push(rows(&facts, 0..*first)?);
        }
        let mut closed = self.close()?;
        let numbers = numbers(&facts);
        let ends = starts.iter().skip(1);
        let runs = starts.iter().zip(ends);
        let counts = runs.flat_map(|(start, end)| {
            std::iter::repeat_n(numbers.value(end - 1), end - start)
        });
        let counts: UInt64Array = counts.collect::<Vec<_>>().into();
        closed.push(counted(&facts.slice(*first, last - first), counts)?);
        self.open.push(rows(&facts, *last..facts.num_rows())?);
        Ok(closed)
    }

    /// The batches that waited.
    pub(super) fn finish(mut self) -> Result<Vec<RecordBatch>> {
        self.close()
    }

    fn close(&mut self) -> Result<Vec<RecordBatch>> {
        let Some(last) = self.open.last() else {
            return Ok(Vec::new());
        };
        let count = numbers(last).value(last.num_rows() - 1);
        let pieces = std::mem::take(&mut self.open).into_iter();
        let pieces = pieces.map(|piece| {
            let counts = UInt64Array::from_value(count, piece.num_rows());
            counted(&piece, counts)
        });
        pieces.collect()
    }
}

/// A copy of some rows, so that no batch is kept for them.
fn rows(facts: &RecordBatch, range: Range<usize>) -> Result<RecordBatch> {
    let range = UInt64Array::from_iter_values(range.start as u64..range.end as u64);
    Ok(take_record_batch(facts, &range)?)
}

fn numbers(facts: &RecordBatch) -> &UInt64Array {
    facts
        .column(facts.num_columns() - 1)
        .as_primitive::<UInt64Type>()
}

/// `facts` with counts in place of their last column.
fn counted(facts: &RecordBatch, counts: UInt64Array) -> Result<RecordBatch> {
    let mut columns = facts.columns().to_vec();
    columns.pop();
    columns.push(Arc::new(counts) as ArrayRef);
    Ok(RecordBatch::try_new(facts.schema(), columns)?)
}
