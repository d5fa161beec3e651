//! What a table's rows become once some of them are numbered.
//!
//! ```text
//! rows that came ───────────────────────────┐
//! rows that stay under other numbers ───────┼─► are written, with their numbers
//!            │                              │
//! rows that went ───────────────────────────┴─► are no longer there
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::compute::kernels::cmp::distinct;
use datafusion::arrow::compute::{cast, interleave_record_batch, take};
use datafusion::arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::{Result, internal_err};

use super::Resumption;
use super::input::InputChange;
use super::old::Old;
use super::shape::Source;
use crate::catalog::committed;
use crate::runner::materialization::incremental::places::Positions;
use crate::runner::materialization::incremental::rows::{scan, with_places};
use crate::table::DeletionVector;

/// Committed rows and rows that came, against the same rows numbered.
pub(super) struct Difference<'a> {
    pub(super) of: &'a Resumption<'a>,
    pub(super) change: &'a InputChange,
    pub(super) old: &'a Old,
    /// Keys and numbers, and as the last column which row it is.
    pub(super) numbered: &'a RecordBatch,
}

impl Difference<'_> {
    /// The rows to write, and the places of those that are no longer there.
    /// `None` if they are too many.
    pub(super) async fn rows(&self) -> Result<Option<(Vec<RecordBatch>, Positions)>> {
        let (change, old, numbered) = (self.change, self.old, self.numbered);
        let mut positions = Positions::default();
        for (row, went) in old.went.iter().enumerate() {
            if *went {
                let (file, row) = old.place(row);
                positions.insert(file, row.unsigned_abs());
            }
        }
        let inputs: Vec<_> = (0..)
            .zip(&change.came)
            .flat_map(|(batch, rows)| (0..rows.num_rows()).map(move |row| (batch, row)))
            .collect();
        let (mut from, mut numbers_of_came) = (Vec::new(), Vec::new());
        let (mut stay, mut numbers_of_old) = (Vec::new(), Vec::new());
        let which = numbered.column(numbered.num_columns() - 1);
        for (row, which) in (0_u64..).zip(which.as_primitive::<Int64Type>().values()) {
            let which = usize::try_from(*which).unwrap_or(usize::MAX);
            match inputs.get(which) {
                Some(found) => {
                    from.push(*found);
                    numbers_of_came.push(row);
                }
                None => {
                    stay.push((which - inputs.len()) as u64);
                    numbers_of_old.push(row);
                }
            }
        }
        let mut came = Vec::new();
        if !from.is_empty() {
            let batches: Vec<_> = change.came.iter().collect();
            let rows = interleave_record_batch(&batches, &from)?;
            came.push(self.with_numbers(&rows, numbers_of_came)?);
        }
        let differ = self.differ(&stay, &numbers_of_old)?;
        let (mut anew, mut renumbered) = (HashMap::new(), Positions::default());
        for (i, _) in differ.iter().enumerate().filter(|(_, differs)| **differs) {
            let (file, row) = old.place(usize::try_from(stay[i]).unwrap_or(usize::MAX));
            renumbered.insert(file, row.unsigned_abs());
            anew.insert((file, row), numbers_of_old[i]);
        }
        let Some(rows) = self.whole_rows(&renumbered).await? else {
            return Ok(None);
        };
        positions.extend(renumbered);
        for batch in &rows {
            let width = batch.num_columns();
            let files = batch.column(width - 2).as_primitive::<UInt32Type>();
            let places = batch.column(width - 1).as_primitive::<Int64Type>();
            let places = files.values().iter().zip(places.values());
            let numbers = places.map(|(file, row)| anew.get(&(*file, *row)).copied());
            let Some(numbers) = numbers.collect::<Option<Vec<_>>>() else {
                return internal_err!("a row was read that is not to be numbered");
            };
            came.push(self.with_numbers(batch, numbers)?);
        }
        Ok(Some((came, positions)))
    }

    /// Whether rows that stay have other numbers than they had.
    fn differ(&self, stay: &[u64], numbers: &[u64]) -> Result<Vec<bool>> {
        let stay = UInt64Array::from(stay.to_vec());
        let numbers = UInt64Array::from(numbers.to_vec());
        let mut differ = vec![false; stay.len()];
        for (place, _) in self.of.shape.number_places() {
            let name = self.of.base.schema.field(place).name();
            let old = take(column(&self.old.rows, name)?, &stay, None)?;
            let new = take(column(self.numbered, name)?, &numbers, None)?;
            let new = cast(&new, old.data_type())?;
            for (differs, now) in differ.iter_mut().zip(distinct(&old, &new)?.iter()) {
                *differs |= now.unwrap_or(true);
            }
        }
        Ok(differ)
    }

    /// All of the input's columns of the committed rows at these places, and their places;
    /// `None` if they are too many.
    async fn whole_rows(&self, at: &Positions) -> Result<Option<Vec<RecordBatch>>> {
        if at.rows() == 0 {
            return Ok(Some(Vec::new()));
        }
        let base = self.of.base;
        let mut rows = BTreeMap::new();
        for (file, of_file) in at.files() {
            let Some(file) = base.files.get(file) else {
                return internal_err!("a committed row is in no file");
            };
            rows.insert(file.path.clone(), DeletionVector::from(of_file.clone()));
        }
        let table = committed(self.of.job.table.stores(), base)?.with_positions();
        let rows = scan(&self.of.state, table.at_rows(&rows))?;
        let inputs = self.of.shape.inputs().map(|(place, _)| place);
        let rows =
            with_places(rows, inputs.map(|place| base.schema.field(place).name()))?;
        self.of.held.all(rows).await
    }

    /// Rows as the table has them: the input's columns are in `rows`, the numbers at these
    /// places among the numbered rows.
    fn with_numbers(&self, rows: &RecordBatch, numbers: Vec<u64>) -> Result<RecordBatch> {
        let table = &self.of.base.schema;
        let numbers = UInt64Array::from(numbers);
        let columns = table.fields().iter().zip(&self.of.shape.columns);
        let columns = columns.map(|(field, source)| {
            let found = match source {
                Source::Input(_) => Arc::clone(column(rows, field.name())?),
                Source::Number(_) => {
                    take(column(self.numbered, field.name())?, &numbers, None)?
                }
            };
            Ok(cast(&found, field.data_type())?)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(table), columns)?)
    }
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    match rows.column_by_name(name) {
        Some(column) => Ok(column),
        None => internal_err!("there is no column `{name}`"),
    }
}
