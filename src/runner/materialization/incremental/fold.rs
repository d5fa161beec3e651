//! Aggregates of a key that need no old row of what they sum up.
//!
//! When rows only come, a minimum, a maximum or the last value by time of a key follows from the
//! committed row and the rows since the first one that came:
//!
//! ```text
//! rows of the key from then on ─► aggregated ─┐
//! the key's committed row ────────────────────┴─► the smaller, the greater, the later value
//! ```

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Field, Int64Type};
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::execution::SessionState;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, ident, lit, when,
};
use futures::StreamExt;

use super::changes::Search;
use super::key_set::KeySet;
use super::key_times::KeyTimes;
use super::resume::is_row_by_row;
use super::rows::{committed_column, rows_of};
use super::timed::{TimedLeaf, grouped, made_of};
use crate::runner::materialization::Job;
use crate::table::TableVersion;

/// The sides of the join.
const OLD: &str = "old";
const NEW: &str = "new";
/// Begins the names of columns that say how many rows a last value is of.
const COUNT: &str = "rows of ";

/// What becomes of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    /// It is part of the key.
    Key,
    Smaller,
    Greater,
    /// The later value, if any row has one.
    Later,
}

/// A model of such aggregates.
pub(super) struct Folded<'a> {
    job: &'a Job,
    base: &'a TableVersion,
    aggregate: &'a Aggregate,
    /// The key, in the table and over the aggregation's input.
    key: Vec<Column>,
    group: Vec<Expr>,
    /// What each column of the table is: a place in the aggregation's output, and its fold.
    columns: Vec<(usize, Fold)>,
    /// The time, over the aggregation's input.
    time: Expr,
    timed: TimedLeaf,
}

impl<'a> Folded<'a> {
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
        let Some(columns) = folds(plan, aggregate) else {
            return Ok(None);
        };
        let times = aggregate.aggr_expr.iter().filter_map(order_of);
        let mut times: Vec<_> = times.collect();
        times.dedup();
        let [Expr::Column(time)] = times.as_slice() else {
            return Ok(None);
        };
        // else a row that comes may change what others give
        if !is_row_by_row(&aggregate.input)? {
            return Ok(None);
        }
        let timed = TimedLeaf::of(plan, aggregate, &group, time.clone(), search)?;
        Ok(timed.map(|timed| Self {
            job,
            base,
            aggregate,
            key: key.to_vec(),
            group: group.into_iter().map(Expr::Column).collect(),
            columns,
            time: Expr::Column(time.clone()),
            timed,
        }))
    }

    /// The plan that gives the new rows of the keys that have changed, which are put into
    /// `keys`; `None` if a row went or has no time.
    pub(super) async fn plan(
        &self,
        search: &Search<'_>,
        keys: &Arc<KeySet>,
    ) -> Result<Option<LogicalPlan>> {
        let timed = &self.timed;
        let columns = timed.columns();
        let rows = search.signed_rows_of(&timed.leaf, &timed.changed, &columns)?;
        let mut times = timed.times(search)?;
        let mut stream = rows.execute_stream().await?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let Some((change, columns)) = batch.columns().split_last() else {
                continue;
            };
            let change = change.as_primitive::<Int64Type>();
            let Some((time, key)) = columns.split_last() else {
                continue;
            };
            let went = change.values().iter().any(|change| *change < 0);
            if went || !times.add(key, time, 0)? {
                return Ok(None);
            }
            keys.add(key, batch.num_rows())?;
        }
        self.combined(search.state, &Arc::new(times)).map(Some)
    }

    /// The committed rows and those of the aggregation from then on, together.
    fn combined(
        &self,
        state: &SessionState,
        times: &Arc<KeyTimes>,
    ) -> Result<LogicalPlan> {
        let fields = self.base.schema.fields();
        let new = self.since(times)?;
        let stores = self.job.table.stores();
        let old = rows_of(state, stores, self.base, &self.base.files)?;
        let key: Vec<_> = self.key.iter().map(|c| ident(c.name.clone())).collect();
        let old = old.filter(times.keys().filled_predicate(&key))?;
        let old = LogicalPlanBuilder::from(old.logical_plan().clone()).alias(OLD)?;
        let on = |side: &'static str| -> Vec<Column> {
            let key = self.key.iter();
            key.map(|c| Column::new(Some(side), &c.name)).collect()
        };
        let joined = LogicalPlanBuilder::from(new).alias(NEW)?.join_detailed(
            old.build()?,
            // a key whose new rows are filtered out stays as it is
            JoinType::Full,
            (on(NEW), on(OLD)),
            None,
            NullEquality::NullEqualsNull,
        )?;
        let column =
            |side: &'static str, name: &str| Expr::Column(Column::new(Some(side), name));
        let values = fields.iter().zip(&self.columns).map(|(field, (_, fold))| {
            let name = field.name();
            let (old, new) = (column(OLD, name), column(NEW, name));
            let value = match fold {
                Fold::Key => when(new.clone().is_null(), old).otherwise(new)?,
                Fold::Smaller => better(old.clone(), new.clone(), old.lt(new))?,
                Fold::Greater => better(old.clone(), new.clone(), old.gt(new))?,
                Fold::Later => {
                    let count = column(NEW, &format!("{COUNT}{name}"));
                    when(count.gt(lit(0_i64)), new).otherwise(old)?
                }
            };
            Ok(value.alias(name))
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        joined.project(values)?.build()
    }

    /// The aggregation over the rows of the keys from their times on.
    fn since(&self, times: &Arc<KeyTimes>) -> Result<LogicalPlan> {
        let aggregate = self.aggregate;
        let group = &aggregate.group_expr;
        let predicate =
            times.predicate(&self.group, &self.time, &self.timed.time_type)?;
        let mut values = aggregate.aggr_expr.clone();
        let fields = self.base.schema.fields();
        let mut counted = Vec::new();
        for (field, (place, fold)) in fields.iter().zip(&self.columns) {
            if *fold == Fold::Later {
                let name = format!("{COUNT}{}", field.name());
                let of = &aggregate.aggr_expr[place - group.len()];
                values.push(rows_counted(of)?.alias(&name));
                counted.push(name);
            }
        }
        let rows = LogicalPlanBuilder::from(aggregate.input.as_ref().clone())
            .filter(predicate)?
            .aggregate(group.clone(), values)?
            .build()?;
        let output = aggregate.schema.as_ref();
        let columns = fields.iter().zip(&self.columns);
        let columns =
            columns.map(|(field, (place, _))| committed_column(output, *place, field));
        let columns: Vec<_> = columns.chain(counted.into_iter().map(ident)).collect();
        LogicalPlanBuilder::from(rows).project(columns)?.build()
    }
}

/// `old` where it is better, whichever there is where the other is null.
fn better(old: Expr, new: Expr, old_is_better: Expr) -> Result<Expr> {
    let keeps = new.clone().is_null().or(old_is_better);
    when(keeps, old).otherwise(new)
}

/// How many rows the value of an aggregate is of.
fn rows_counted(of: &Expr) -> Result<Expr> {
    let counted = count(lit(1_i64));
    match function(of).and_then(|function| function.params.filter) {
        Some(filter) => counted.filter(*filter).build(),
        None => Ok(counted),
    }
}

/// What each column of a plan that does nothing but aggregate is: a place in the aggregation's
/// output, and its fold.
fn folds(plan: &LogicalPlan, aggregate: &Aggregate) -> Option<Vec<(usize, Fold)>> {
    let mut node = plan;
    while !matches!(node, LogicalPlan::Aggregate(_)) {
        node = match node {
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            _ => return None,
        };
    }
    let places = (0..plan.schema().fields().len()).map(|place| made_of(plan, place));
    let folds = places.map(|made| {
        let (_, place) = made?;
        Some((place, fold(aggregate, place)?))
    });
    folds.collect()
}

/// What becomes of the column at `place` of the aggregation's output.
fn fold(aggregate: &Aggregate, place: usize) -> Option<Fold> {
    let groups = aggregate.group_expr.len();
    if place < groups {
        return Some(Fold::Key);
    }
    let aggregated = &aggregate.aggr_expr[place - groups];
    let function = function(aggregated)?;
    if function.params.distinct {
        return None;
    }
    let field = aggregate.schema.field(place);
    match function.func.name() {
        "min" if is_ordered(field) => Some(Fold::Smaller),
        "max" if is_ordered(field) => Some(Fold::Greater),
        "last_value" if order_of(aggregated).is_some() => function
            .params
            .null_treatment
            .is_none()
            .then_some(Fold::Later),
        _ => None,
    }
}

/// Whether `<` orders all values of a column as `min` does, and as they are committed.
fn is_ordered(field: &Field) -> bool {
    let data_type = field.data_type();
    data_type.is_integer() || data_type.is_string() || data_type.is_temporal()
}

fn function(expr: &Expr) -> Option<AggregateFunction> {
    match expr.clone().unalias() {
        Expr::AggregateFunction(function) => Some(function),
        _ => None,
    }
}

/// The column by which an aggregate orders its rows first, oldest first.
fn order_of(expr: &Expr) -> Option<Expr> {
    let function = function(expr)?;
    let first = function.params.order_by.first()?;
    let oldest_first = first.asc && !first.nulls_first;
    oldest_first.then(|| first.expr.clone())
}
