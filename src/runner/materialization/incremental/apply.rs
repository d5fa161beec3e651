//! Old rows of the keys against new ones, and the commit that makes up the difference.
//!
//! ```text
//! rows of the keys, as committed ──┐
//!                                  ├─► what does not cancel out ─► came: new files
//! rows of the keys, recomputed  ───┘                            └► went: files that hold them
//!                                                                  are copied without them
//! ```
//!
//! Memory grows with the rows that went, not with the table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{
    AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array,
};
use datafusion::arrow::compute::{filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::hash_utils::{QualityRandomState, RandomState, create_hashes};
use datafusion::common::{Column, DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{Expr, LogicalPlan, ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt;

use super::changes::{CHANGE, net};
use super::key_set::KeySet;
use super::rows::{as_committed, rows_of};
use crate::runner::materialization::{Job, execution_error, store_error};
use crate::table::{Change, DataFile, TableVersion, TableWriter};

/// Bytes an entry of [`Gone`] takes in a hash table at its emptiest.
const BYTES_A_ROW: usize = 80;

/// What an update did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) came: u64,
    pub(super) went: u64,
    pub(super) bytes: u64,
}

/// One model's rows of some keys, about to be replaced.
pub(super) struct Update<'a> {
    pub(super) job: &'a Job,
    pub(super) base: &'a TableVersion,
    pub(super) context: SessionContext,
    pub(super) keys: Arc<KeySet>,
    /// The key's columns in the table.
    pub(super) key: Vec<Column>,
    /// The plan that gives the rows of the keys.
    pub(super) plan: LogicalPlan,
}

impl Update<'_> {
    /// Commits the difference; `metadata` goes into the same entry.
    pub(super) async fn apply(
        &self,
        metadata: BTreeMap<String, String>,
    ) -> crate::runner::error::Result<Applied> {
        let schema = Arc::clone(&self.base.schema);
        let writer = || {
            self.job
                .table
                .writer(Arc::clone(&schema))
                .map_err(store_error)
        };
        let mut fresh = writer()?;
        let mut gone = Gone::new(&self.context);
        let difference = self.difference().map_err(execution_error)?;
        let came = self.split(difference, &mut fresh, &mut gone).await?;
        let went = gone.rows();
        let mut kept = writer()?;
        let replaced = self.copy_without(&mut gone, &mut kept).await?;
        let mut files = fresh.finish_all().await.map_err(store_error)?;
        files.extend(kept.finish_all().await.map_err(store_error)?);
        self.job.enter_gate().await?;
        let files = files.keep();
        let bytes = files.iter().map(|f| f.size).sum();
        let change = Change::Files(replaced);
        self.job
            .table
            .commit(Some(self.base), change, schema, files, metadata)
            .await
            .map_err(store_error)?;
        Ok(Applied { came, went, bytes })
    }

    /// Rows that came or went, and how often.
    fn difference(&self) -> Result<DataFrame> {
        let fields = self.base.schema.fields();
        let old = self.rows_of(&self.base.files)?;
        let key: Vec<_> = self.key.iter().map(|c| ident(c.name.clone())).collect();
        let old = old.filter(self.keys.predicate(&key))?;
        let mut old_columns = Vec::new();
        let mut new_columns = Vec::new();
        let output = self.plan.schema();
        for (index, field) in fields.iter().enumerate() {
            let name = field.name();
            old_columns.push(ident(name.clone()).alias(name));
            let (qualifier, found) = output.qualified_field(index);
            let column = Expr::Column(Column::from((qualifier, found)));
            new_columns.push(as_committed(column, field).alias(name));
        }
        old_columns.push(lit(-1_i64).alias(CHANGE));
        new_columns.push(lit(1_i64).alias(CHANGE));
        let new = DataFrame::new(self.context.state(), self.plan.clone());
        let both = old.select(old_columns)?.union(new.select(new_columns)?)?;
        net(both, fields.iter().map(|f| ident(f.name())).collect())
    }

    /// Writes the rows that came and takes down those that went.
    async fn split(
        &self,
        difference: DataFrame,
        fresh: &mut TableWriter,
        gone: &mut Gone,
    ) -> crate::runner::error::Result<u64> {
        let mut stream = difference.execute_stream().await.map_err(execution_error)?;
        let written = AtomicU64::new(0);
        let width = self.base.schema.fields().len();
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(execution_error)?;
            let changes = batch.column(width).as_primitive::<Int64Type>().clone();
            let all: Vec<usize> = (0..width).collect();
            let rows = batch.project(&all).map_err(|e| execution_error(e.into()))?;
            gone.take_down(&rows, &changes).map_err(execution_error)?;
            let came = repeated(&rows, &changes).map_err(execution_error)?;
            fresh.write(&came).await.map_err(store_error)?;
            let rows = came.num_rows() as u64;
            let total = written.fetch_add(rows, Ordering::Relaxed) + rows;
            (self.job.progress)(total);
        }
        Ok(written.into_inner())
    }

    /// Copies every file that holds a row that went, without it; the files that are replaced.
    async fn copy_without(
        &self,
        gone: &mut Gone,
        kept: &mut TableWriter,
    ) -> crate::runner::error::Result<Vec<DataFile>> {
        let mut replaced = Vec::new();
        for file in self.base.files.iter() {
            if gone.rows() == 0 {
                break;
            }
            let holds = self.holds(file, gone).await.map_err(execution_error)?;
            if !holds {
                continue;
            }
            let file = std::slice::from_ref(file);
            let rows = self.rows_of(file).map_err(execution_error)?;
            let mut stream = rows.execute_stream().await.map_err(execution_error)?;
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(execution_error)?;
                let rest = gone.strike(&batch).map_err(execution_error)?;
                kept.write(&rest).await.map_err(store_error)?;
            }
            replaced.extend_from_slice(file);
        }
        if gone.rows() > 0 {
            let lost: Result<()> = internal_err!(
                "{} rows that are to be removed are in no file of `{}`",
                gone.rows(),
                self.base.url
            );
            lost.map_err(execution_error)?;
        }
        Ok(replaced)
    }

    fn rows_of(&self, files: &[DataFile]) -> Result<DataFrame> {
        let stores = self.job.table.stores();
        rows_of(&self.context.state(), stores, self.base, files)
    }

    async fn holds(&self, file: &DataFile, gone: &Gone) -> Result<bool> {
        let key: Vec<_> = self.key.iter().map(|c| ident(c.name.clone())).collect();
        let rows = self.rows_of(std::slice::from_ref(file))?;
        let rows = rows.filter(self.keys.predicate(&key))?;
        let mut stream = rows.execute_stream().await?;
        while let Some(batch) = stream.next().await {
            if gone.holds_any(&batch?)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Rows with a positive count, as often as it says.
fn repeated(rows: &RecordBatch, changes: &Int64Array) -> Result<RecordBatch> {
    let mut indices = Vec::new();
    for (row, count) in changes.values().iter().enumerate() {
        let row =
            u32::try_from(row).map_err(|e| DataFusionError::External(Box::new(e)))?;
        let times = usize::try_from(*count).unwrap_or(0);
        indices.extend(std::iter::repeat_n(row, times));
    }
    Ok(take_record_batch(rows, &UInt32Array::from(indices))?)
}

/// Rows that went: 128 bits a row and how often, charged to the memory pool.
struct Gone {
    counts: HashMap<u128, i64>,
    total: u64,
    reservation: MemoryReservation,
}

impl Gone {
    fn new(context: &SessionContext) -> Self {
        let pool = &context.runtime_env().memory_pool;
        Self {
            counts: HashMap::new(),
            total: 0,
            reservation: MemoryConsumer::new("rows to remove").register(pool),
        }
    }

    fn rows(&self) -> u64 {
        self.total
    }

    /// Remembers the rows with a negative count.
    fn take_down(&mut self, rows: &RecordBatch, changes: &Int64Array) -> Result<()> {
        for (hash, change) in hashes(rows)?.into_iter().zip(changes.values()) {
            if *change < 0 {
                *self.counts.entry(hash).or_default() -= change;
                self.total += change.unsigned_abs();
            }
        }
        let size = self.counts.capacity() * BYTES_A_ROW;
        self.reservation.try_resize(size)
    }

    fn holds_any(&self, rows: &RecordBatch) -> Result<bool> {
        let hashes = hashes(rows)?;
        Ok(hashes.iter().any(|h| self.counts.contains_key(h)))
    }

    /// `rows` without those that went; each counts once.
    fn strike(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut keep = Vec::with_capacity(rows.num_rows());
        for hash in hashes(rows)? {
            let stays = match self.counts.get_mut(&hash) {
                None => true,
                Some(count) => {
                    *count -= 1;
                    self.total -= 1;
                    if *count == 0 {
                        self.counts.remove(&hash);
                    }
                    false
                }
            };
            keep.push(stays);
        }
        Ok(filter_record_batch(rows, &BooleanArray::from(keep))?)
    }
}

/// 128 bits a row, out of two independent functions.
fn hashes(rows: &RecordBatch) -> Result<Vec<u128>> {
    let mut first = vec![0; rows.num_rows()];
    let mut second = vec![0; rows.num_rows()];
    create_hashes(rows.columns(), &RandomState::with_seed(1), &mut first)?;
    create_hashes(
        rows.columns(),
        &QualityRandomState::with_seed(2),
        &mut second,
    )?;
    let pairs = first.into_iter().zip(second);
    Ok(pairs
        .map(|(a, b)| (u128::from(a) << 64) | u128::from(b))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, StringArray};

    fn rows(texts: &[&str]) -> RecordBatch {
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        RecordBatch::try_from_iter([("s", column)]).unwrap()
    }

    #[test]
    fn equal_rows_are_struck_as_often_as_they_went() {
        let mut gone = Gone::new(&SessionContext::new());
        let changes = Int64Array::from(vec![-2, 1, -1]);
        gone.take_down(&rows(&["a", "b", "c"]), &changes).unwrap();
        assert_eq!(gone.rows(), 3);
        assert!(!gone.holds_any(&rows(&["b"])).unwrap());
        let rest = gone.strike(&rows(&["a", "a", "a", "b", "c"])).unwrap();
        assert_eq!(rest, rows(&["a", "b"]));
        assert_eq!(gone.rows(), 0);
    }

    #[test]
    fn rows_come_as_often_as_counted() {
        let changes = Int64Array::from(vec![2, -1, 1]);
        let came = repeated(&rows(&["a", "b", "c"]), &changes).unwrap();
        assert_eq!(came, rows(&["a", "a", "c"]));
    }
}
