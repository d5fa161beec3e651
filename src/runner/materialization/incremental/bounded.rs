//! Groups that say themselves when they begin.
//!
//! A model that groups by its key and keeps the smallest time of a group reads no row of a group
//! that is older than that: a session of today is not looked for in the files of last year.

use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, ident};
use futures::StreamExt;

use super::changes::Search;
use super::key_set::KeySet;
use super::key_times::KeyTimes;
use super::row_index::RowIndex;
use super::timed::{TimedLeaf, grouped, made_of};
use crate::runner::materialization::Job;
use crate::runner::materialization::reading::replace_scans;
use crate::table::TableVersion;

/// A model of such groups.
pub(super) struct Bounded<'a> {
    job: &'a Job,
    base: &'a TableVersion,
    /// The key and the smallest time, in the table.
    key: Vec<Column>,
    smallest: String,
    timed: TimedLeaf,
}

impl<'a> Bounded<'a> {
    /// `None` if the model is not of that kind, or if more than one input of it has changed.
    pub(super) fn of(
        job: &'a Job,
        base: &'a TableVersion,
        key: &[Column],
        search: &Search<'_>,
    ) -> Result<Option<Self>> {
        let plan = job.rows.logical_plan();
        let Some((aggregate, group)) = grouped(plan, key) else {
            return Ok(None);
        };
        let fields = base.schema.fields().iter().enumerate();
        let mut smallest = fields.filter_map(|(place, field)| {
            let (found, place) = made_of(plan, place)?;
            let time =
                std::ptr::eq(found, aggregate).then(|| smallest_of(found, place))??;
            Some((field, time))
        });
        let Some((field, time)) = smallest.next() else {
            return Ok(None);
        };
        let timed = TimedLeaf::of(plan, aggregate, &group, time, search)?;
        let timed = timed.filter(|t| same_ticks(&t.time_type, field.data_type()));
        Ok(timed.map(|timed| Self {
            job,
            base,
            key: key.to_vec(),
            smallest: field.name().clone(),
            timed,
        }))
    }

    /// Puts the keys that have changed into `keys`; the plan of their rows out of `plan`, which
    /// reads all rows of the keys.
    pub(super) async fn plan(
        &self,
        plan: &LogicalPlan,
        search: &Search<'_>,
        keys: &Arc<KeySet>,
    ) -> Result<LogicalPlan> {
        let timed = &self.timed;
        let mut times = timed.times(search)?;
        let rows = search.rows_of(&timed.leaf, &timed.changed, &timed.columns())?;
        let mut rows = rows.execute_stream().await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if let Some((time, key)) = batch.columns().split_last() {
                keys.add(key, batch.num_rows())?;
                times.add(key, time, 0)?;
            }
        }
        self.add_committed(search, keys, &mut times).await?;
        let recent = timed.is_read(&Arc::new(times))?;
        replace_scans(plan, &timed.leaf.location, |scan| {
            let rows = LogicalPlanBuilder::from(LogicalPlan::TableScan(scan.clone()));
            rows.filter(recent.clone())?.build()
        })
    }

    /// Takes in the smallest times that are committed.
    async fn add_committed(
        &self,
        search: &Search<'_>,
        keys: &Arc<KeySet>,
        times: &mut KeyTimes,
    ) -> Result<()> {
        let index = RowIndex::of(self.job, search.state, &self.base.schema);
        let place = (search.state, self.job.table.stores());
        let rows =
            RowIndex::rows_of(index.as_ref(), place, self.base, &self.key, keys).await?;
        let key = self.key.iter().map(|c| ident(c.name.clone()));
        let key: Vec<_> = key.collect();
        let smallest = ident(self.smallest.clone());
        let columns: Vec<_> = key.iter().cloned().chain([smallest]).collect();
        let rows = rows.filter(keys.filled_predicate(&key))?.select(columns)?;
        let mut rows = rows.execute_stream().await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if let Some((time, key)) = batch.columns().split_last()
                && time.null_count() < time.len()
            {
                times.add(key, time, 0)?;
            }
        }
        Ok(())
    }
}

/// Whether a time is committed in ticks of its own: one that is rounded would leave rows out.
fn same_ticks(time: &DataType, committed: &DataType) -> bool {
    match (time, committed) {
        (DataType::Timestamp(a, _), DataType::Timestamp(b, _)) => a == b,
        (a, b) => a == b,
    }
}

/// The column whose smallest value a column of an aggregation is.
fn smallest_of(aggregate: &Aggregate, place: usize) -> Option<Column> {
    let place = place.checked_sub(aggregate.group_expr.len())?;
    let Expr::AggregateFunction(function) =
        aggregate.aggr_expr.get(place)?.clone().unalias()
    else {
        return None;
    };
    let params = function.params;
    if function.func.name() != "min" || params.filter.is_some() {
        return None;
    }
    match params.args.as_slice() {
        [Expr::Column(column)] => Some(column.clone()),
        _ => None,
    }
}
