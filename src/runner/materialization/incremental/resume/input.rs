//! The rows by which a window's input differs from what it was.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{LogicalPlan, ident};
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use super::shape::Shape;
use crate::runner::materialization::Job;
use crate::runner::materialization::incremental::changes::Changed;
use crate::runner::materialization::incremental::key_index::KeyIndex;
use crate::runner::materialization::incremental::rows::committed_column;
use crate::runner::materialization::reading::{Leaf, replace_scans, rescan};

/// Rows that came and rows that went, with the table's names and types.
pub(super) struct InputChange {
    pub(super) came: Vec<RecordBatch>,
    /// Of these it may be a few columns alone.
    pub(super) went: Vec<RecordBatch>,
    /// Whether a row may be among both.
    pub(super) may_cancel_out: bool,
}

/// Reads the rows by which the input of a [`Shape`] has changed.
pub(super) struct InputReader<'a> {
    pub(super) job: &'a Job,
    pub(super) state: &'a SessionState,
    pub(super) shape: &'a Shape,
    /// The table's columns.
    pub(super) table: &'a SchemaRef,
    pub(super) held: &'a Held,
}

/// What rows in memory are charged to, and how many there may be.
pub(in super::super) struct Held {
    reservation: MemoryReservation,
    most_rows: usize,
}

impl Held {
    pub(in super::super) fn new(pool: &Arc<dyn MemoryPool>, most_rows: usize) -> Self {
        Self {
            reservation: MemoryConsumer::new("rows to number anew").register(pool),
            most_rows,
        }
    }

    pub(in super::super) fn reservation(&self) -> &MemoryReservation {
        &self.reservation
    }

    /// The rows that were read are no longer there.
    pub(super) fn release(&self) {
        self.reservation.free();
    }

    /// All rows of `frame`; `None` if they are too many to be held.
    pub(in super::super) async fn all(
        &self,
        frame: DataFrame,
    ) -> Result<Option<Vec<RecordBatch>>> {
        let mut stream = frame.execute_stream().await?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            rows += batch.num_rows();
            let size = batch.get_array_memory_size();
            if rows > self.most_rows || self.reservation.try_grow(size).is_err() {
                return Ok(None);
            }
            batches.push(batch);
        }
        Ok(Some(batches))
    }

    /// The same in one batch.
    pub(super) async fn one(&self, frame: DataFrame) -> Result<Option<RecordBatch>> {
        let schema = Arc::clone(frame.schema().inner());
        let Some(batches) = self.all(frame).await? else {
            return Ok(None);
        };
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        let rows = concat_batches(&schema, &batches)?;
        let more = rows.get_array_memory_size();
        Ok(self.reservation.try_grow(more).is_ok().then_some(rows))
    }
}

impl InputReader<'_> {
    /// The rows that came and went, and the index of what is read now; `None` if they cannot be
    /// told from the files that changed. Of rows that went the columns `told_by` are enough.
    pub(super) async fn change(
        &self,
        leaf: &Leaf,
        changed: &Changed,
        index: Option<KeyIndex>,
        told_by: Option<&[usize]>,
    ) -> Result<Option<(InputChange, Option<KeyIndex>)>> {
        if is_row_by_row(&self.shape.input)? {
            let change = self.row_by_row(leaf, changed, told_by).await?;
            return Ok(change.map(|change| (change, None)));
        }
        self.by_unique_key(leaf, changed, index).await
    }

    /// Each row of the input is made of one row of the leaf.
    async fn row_by_row(
        &self,
        leaf: &Leaf,
        changed: &Changed,
        told_by: Option<&[usize]>,
    ) -> Result<Option<InputChange>> {
        let came = self.rows(leaf, &(Arc::new(changed.new.clone()) as _))?;
        let Some(came) = self.held.all(came).await? else {
            return Ok(None);
        };
        let mut went = Vec::new();
        for old in &changed.old {
            let mut old = self.rows(leaf, &(Arc::new(old.clone()) as _))?;
            if let Some(told_by) = told_by {
                let names = told_by.iter().map(|place| self.table.field(*place).name());
                let names: Vec<_> = names.map(|name| ident(name.clone())).collect();
                old = old.select(names)?;
            }
            let Some(old) = self.held.all(old).await? else {
                return Ok(None);
            };
            went.extend(old);
        }
        Ok(Some(InputChange {
            came,
            went,
            may_cancel_out: told_by.is_none(),
        }))
    }

    pub(super) fn scan(
        &self,
        leaf: &Leaf,
        table: Arc<dyn TableProvider>,
    ) -> Result<DataFrame> {
        let plan = rescan(&leaf.scan, table)?;
        Ok(DataFrame::new(self.state.clone(), plan))
    }

    /// The rows of the input over these rows of its leaf, as they are committed.
    pub(super) fn rows(
        &self,
        leaf: &Leaf,
        table: &Arc<dyn TableProvider>,
    ) -> Result<DataFrame> {
        let input = replace_scans(&self.shape.input, &leaf.location, |scan| {
            rescan(scan, Arc::clone(table))
        })?;
        let schema = Arc::clone(input.schema());
        let columns = self.shape.inputs().map(|(place, input)| {
            committed_column(&schema, input, self.table.field(place))
        });
        let columns: Vec<_> = columns.collect();
        DataFrame::new(self.state.clone(), input).select(columns)
    }
}

/// The only leaf of the input, if it has one.
pub(in super::super) fn only_leaf(input: &LogicalPlan) -> Result<Option<Leaf>> {
    let mut leaves = Vec::new();
    input.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            leaves.push(Leaf::of(scan));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match leaves.len() {
        1 => Ok(leaves.pop().flatten()),
        _ => Ok(None),
    }
}

/// Whether each row is made of one row of the leaf.
pub(in super::super) fn is_row_by_row(input: &LogicalPlan) -> Result<bool> {
    let mut alone = true;
    input.apply_with_subqueries(|node| {
        alone &= matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::TableScan(_)
        );
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(alone)
}
