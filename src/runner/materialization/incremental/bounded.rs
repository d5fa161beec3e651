//! Groups that say themselves when they begin.
//!
//! A model that groups by its key and keeps the smallest time of a group reads no row of a group
//! that is older than that: a session of today is not looked for in the files of last year.

use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ident,
};
use futures::StreamExt;

use super::changes::{Changed, Search};
use super::key_set::KeySet;
use super::key_times::KeyTimes;
use super::lineage::{Rule, separate};
use super::row_index::RowIndex;
use super::rows::positioned_rows_of;
use crate::runner::materialization::Job;
use crate::runner::materialization::reading::Leaf;
use crate::table::TableVersion;

/// A model of such groups.
pub(super) struct Bounded<'a> {
    job: &'a Job,
    base: &'a TableVersion,
    /// The key and the smallest time, in the table.
    key: Vec<Column>,
    smallest: String,
    leaf: Leaf,
    changed: Changed,
    /// The key and the time, over the leaf.
    key_of_leaf: Vec<Expr>,
    time_of_leaf: Expr,
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
        let followed: Vec<Column> = group.into_iter().chain([time]).collect();
        let none = Arc::new(KeySet::new(Vec::new(), search.pool));
        let Ok(separated) = separate(&aggregate.input, &followed, &none, search.pool)
        else {
            return Ok(None);
        };
        let [only] = separated.restricted.as_slice() else {
            return Ok(None);
        };
        let Rule::Direct { key: of_leaf } = &only.rule else {
            return Ok(None);
        };
        let Some((time, of_key)) = of_leaf.split_last() else {
            return Ok(None);
        };
        let schema = only.leaf.scan.projected_schema.as_ref();
        let alike = time.get_type(schema)? == *field.data_type();
        let changed = search.changed.get(&only.leaf.location);
        let Some(changed) = changed.filter(|_| alike && search.changed.len() == 1) else {
            return Ok(None);
        };
        Ok(Some(Self {
            job,
            base,
            key: key.to_vec(),
            smallest: field.name().clone(),
            leaf: only.leaf.clone(),
            changed: changed.clone(),
            key_of_leaf: of_key.to_vec(),
            time_of_leaf: time.clone(),
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
        let schema = self.leaf.scan.projected_schema.as_ref();
        let types = self.key_of_leaf.iter().map(|e| e.get_type(schema));
        let mut times = KeyTimes::new(types.collect::<Result<_>>()?, search.pool);
        let mut wanted = self.key_of_leaf.clone();
        wanted.push(self.time_of_leaf.clone());
        let rows = search.rows_of(&self.leaf, &self.changed, &wanted)?;
        let mut rows = rows.execute_stream().await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if let Some((time, key)) = batch.columns().split_last() {
                keys.add(key, batch.num_rows())?;
                times.add(key, time, 0)?;
            }
        }
        self.add_committed(search, keys, &mut times).await?;
        let time_type = self.time_of_leaf.get_type(schema)?;
        let times = Arc::new(times);
        let recent =
            times.predicate(&self.key_of_leaf, &self.time_of_leaf, &time_type)?;
        let location = &self.leaf.location;
        let bounded = plan.clone().transform_up(|node| match &node {
            LogicalPlan::TableScan(scan)
                if Leaf::of(scan).is_some_and(|leaf| &leaf.location == location) =>
            {
                let rows = LogicalPlanBuilder::from(node).filter(recent.clone())?;
                Ok(Transformed::yes(rows.build()?))
            }
            _ => Ok(Transformed::no(node)),
        });
        bounded.data()
    }

    /// Takes in the smallest times that are committed.
    async fn add_committed(
        &self,
        search: &Search<'_>,
        keys: &Arc<KeySet>,
        times: &mut KeyTimes,
    ) -> Result<()> {
        let index = RowIndex::of(self.job, search.state, &self.base.schema);
        let found = match &index {
            Some(index) => index.rows_of(self.base, &self.key, keys).await?,
            None => None,
        };
        let stores = self.job.table.stores();
        let rows = match found {
            Some(rows) => rows,
            None => positioned_rows_of(search.state, stores, self.base)?,
        };
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

/// The aggregation by `key` that gives the rows of `plan`, and the columns it groups by, in the
/// key's order.
fn grouped<'a>(
    plan: &'a LogicalPlan,
    key: &[Column],
) -> Option<(&'a Aggregate, Vec<Column>)> {
    let mut found: Option<&Aggregate> = None;
    let mut group = Vec::new();
    for column in key {
        let place = plan.schema().index_of_column(column).ok()?;
        let (aggregate, place) = made_of(plan, place)?;
        if found.is_some_and(|found| !std::ptr::eq(found, aggregate)) {
            return None;
        }
        found = Some(aggregate);
        let Expr::Column(column) = aggregate.group_expr.get(place)? else {
            return None;
        };
        group.push(column.clone());
    }
    let aggregate = found?;
    (aggregate.group_expr.len() == key.len()).then_some((aggregate, group))
}

/// The aggregation that gives a column of `plan` as it is, and the column's place there.
fn made_of(plan: &LogicalPlan, place: usize) -> Option<(&Aggregate, usize)> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some((aggregate, place)),
        LogicalPlan::SubqueryAlias(alias) => made_of(&alias.input, place),
        LogicalPlan::Projection(projection) => {
            let expr = projection.expr.get(place)?.clone().unalias_nested().data;
            let Expr::Column(column) = expr else {
                return None;
            };
            let place = projection.input.schema().index_of_column(&column).ok()?;
            made_of(&projection.input, place)
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Left => {
            let within = join.left.schema().fields().len();
            (place < within).then(|| made_of(&join.left, place))?
        }
        _ => None,
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
