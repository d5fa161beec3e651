//! Rows whose leaf did not change, while what it is joined to did: which of them differ is told
//! by the columns that come from there, and no other column is read of those that do not.
//!
//! ```text
//! sessions of a visitor      session_id  blended_user_id │ thirty more columns
//!   as committed                s1            v          │      not read
//!   as they are now             s1            u          │  read: it differs
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, ident, lit};
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;

use super::fine::Fine;
use super::key_set::KeySet;
use super::made::is_of_leaf;
use super::places::{PLACE, Positions, hashes, packed};
use super::resume::Held;
use super::rows::{committed_column, positioned_rows_of};
use crate::runner::materialization::Job;
use crate::table::TableVersion;

/// So many rows of keys may be told apart in memory.
const MOST_ROWS: usize = 1_000_000;
/// Bytes that a row takes there, its hashes among them.
const BYTES_A_ROW: usize = 192;

/// Rows of whole keys that differ although the row of the leaf that they are made of does not.
pub(super) struct Elsewhere {
    /// The unique keys of those that come.
    pub(super) came: Arc<KeySet>,
    /// The places of those that go.
    pub(super) went: Positions,
}

/// The rows of one unique key.
#[derive(Default)]
struct Row {
    committed: Option<(u128, i64)>,
    /// Its values, and the columns of the key.
    now: Option<(u128, usize, usize)>,
}

impl Elsewhere {
    /// `plan` gives all rows of the keys. `None` if the rows are told by all columns, if two of
    /// them have one unique key, or if they are too many.
    pub(super) async fn of(
        job: &Job,
        base: &TableVersion,
        state: &SessionState,
        fine: &Fine,
        plan: &LogicalPlan,
    ) -> Result<Option<Self>> {
        let fields = base.schema.fields();
        let unique = fine.unique_names();
        let mut told = Vec::new();
        for (place, field) in fields.iter().enumerate() {
            let of_leaf = is_of_leaf(plan, place)?;
            if !of_leaf || unique.contains(&field.name()) {
                told.push(place);
            }
        }
        if told.len() == fields.len() {
            return Ok(None);
        }
        let pool = &state.runtime_env().memory_pool;
        let held = Held::new(pool, MOST_ROWS);
        let mut went = Positions::charged_to(pool);
        let committed = positioned_rows_of(state, job.table.stores(), base)?;
        let committed = committed.filter(fine.committed_elsewhere())?;
        let names = told.iter().map(|place| ident(fields[*place].name()));
        let names = names.chain([packed().alias(PLACE)]);
        let committed = held.all(committed.select(names.collect::<Vec<_>>())?);
        let now = DataFrame::new(state.clone(), fine.rows_elsewhere(plan)?);
        let output = plan.schema();
        let columns = told.iter();
        let columns = columns.map(|i| committed_column(output, *i, &fields[*i]));
        let none = lit(ScalarValue::Int64(None)).alias(PLACE);
        let now = now.select(columns.chain([none]).collect::<Vec<_>>())?;
        let (Some(committed), Some(now)) = (committed.await?, held.all(now).await?)
        else {
            return Ok(None);
        };
        let rows = committed.iter().chain(&now).map(RecordBatch::num_rows);
        let size = rows.sum::<usize>() * BYTES_A_ROW;
        if held.reservation().try_grow(size).is_err() {
            return Ok(None);
        }
        let key = told.iter().enumerate().filter(|(_, place)| {
            let name = fields[**place].name();
            unique.contains(&name)
        });
        let key: Vec<usize> = key.map(|(i, _)| i).collect();
        let came = fine.no_rows(pool);
        let told = Told {
            key,
            width: told.len(),
        };
        let unique = told.differing(&committed, &now, &came, &mut went)?;
        Ok(unique.then_some(Self { came, went }))
    }
}

/// Columns by which rows are told apart, a place behind them.
struct Told {
    /// The places of the unique key.
    key: Vec<usize>,
    width: usize,
}

impl Told {
    /// The places of the rows that go get into `went`, the keys of those that come into `came`.
    /// Whether the key is unique.
    fn differing(
        &self,
        committed: &[RecordBatch],
        now: &[RecordBatch],
        came: &Arc<KeySet>,
        went: &mut Positions,
    ) -> Result<bool> {
        let mut rows: HashMap<u128, Row> = HashMap::new();
        for batch in committed {
            let places = batch.column(self.width).as_primitive::<Int64Type>();
            let (keys, values) = self.hashes(batch)?;
            let places = places.values().iter();
            for ((key, values), place) in keys.into_iter().zip(values).zip(places) {
                let row = rows.entry(key).or_default();
                if row.committed.replace((values, *place)).is_some() {
                    return Ok(false);
                }
            }
        }
        for (at, batch) in now.iter().enumerate() {
            let (keys, values) = self.hashes(batch)?;
            for (i, (key, values)) in keys.into_iter().zip(values).enumerate() {
                let row = rows.entry(key).or_default();
                if row.now.replace((values, at, i)).is_some() {
                    return Ok(false);
                }
            }
        }
        let mut comes: Vec<Vec<bool>> =
            now.iter().map(|b| vec![false; b.num_rows()]).collect();
        for row in rows.values() {
            let before = row.committed.map(|(values, _)| values);
            if before == row.now.map(|(values, ..)| values) {
                continue;
            }
            if let Some((_, place)) = row.committed {
                went.add(place)?;
            }
            if let Some((_, at, i)) = row.now {
                comes[at][i] = true;
            }
        }
        for (batch, comes) in now.iter().zip(comes) {
            let comes = BooleanArray::from(comes);
            let key = self.key.iter().map(|i| filter(batch.column(*i), &comes));
            let key: Vec<ArrayRef> = key.collect::<Result<_, _>>()?;
            came.add(&key, comes.true_count())?;
        }
        Ok(true)
    }

    /// Of each row the key's hash and that of all its values.
    fn hashes(&self, batch: &RecordBatch) -> Result<(Vec<u128>, Vec<u128>)> {
        let all: Vec<usize> = (0..self.width).collect();
        let key = hashes(&batch.project(&self.key)?)?;
        Ok((key, hashes(&batch.project(&all)?)?))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::arrow::datatypes::DataType;
    use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};

    use super::*;

    fn rows(rows: &[(&str, &str, Option<i64>)]) -> RecordBatch {
        let column = |of: fn(&(&str, &str, Option<i64>)) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
        };
        let places: Int64Array = rows.iter().map(|row| row.2).collect();
        let places: ArrayRef = Arc::new(places);
        let columns = [
            ("id", column(|row| row.0.to_owned()), false),
            ("user", column(|row| row.1.to_owned()), false),
            ("place", places, true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn differing(
        committed: &[(&str, &str, Option<i64>)],
        now: &[(&str, &str, Option<i64>)],
    ) -> Option<(u64, usize)> {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let came = Arc::new(KeySet::new(vec![DataType::Utf8], &pool));
        let told = Told {
            key: vec![0],
            width: 2,
        };
        let mut went = Positions::default();
        let unique = told.differing(&[rows(committed)], &[rows(now)], &came, &mut went);
        unique.unwrap().then(|| (went.rows(), came.len()))
    }

    #[test]
    fn rows_differ_by_what_they_are_told_by() {
        let committed = [
            ("a", "v", Some(0)),
            ("b", "v", Some(1)),
            ("c", "v", Some(2)),
        ];
        let now = [("b", "v", None), ("c", "u", None), ("d", "u", None)];
        assert_eq!(differing(&committed, &now), Some((2, 2)));
        assert_eq!(differing(&now[..0], &now), Some((0, 3)));
        assert_eq!(differing(&committed, &committed), Some((0, 0)));
    }

    #[test]
    fn a_key_of_two_rows_tells_none() {
        let twice = [("a", "v", Some(0)), ("a", "u", Some(1))];
        assert_eq!(differing(&twice, &[]), None);
        assert_eq!(differing(&[], &twice), None);
    }
}
