//! Groups of rows that are read from some time on: where their key and time come from.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan};

use super::changes::{Changed, Search};
use super::key_times::KeyTimes;
use super::lineage::followed;
use crate::runner::materialization::reading::{Leaf, is_read_once};

/// The leaf that an aggregation's key and a time come from, which alone has changed.
pub(super) struct TimedLeaf {
    pub(super) leaf: Leaf,
    pub(super) changed: Changed,
    /// The key and the time, over the leaf.
    key: Vec<Expr>,
    time: Expr,
    pub(super) time_type: DataType,
}

impl TimedLeaf {
    /// `None` if there is none, if `plan` reads it elsewhere too, or if times are of no type
    /// that is counted in whole numbers.
    pub(super) fn of(
        plan: &LogicalPlan,
        aggregate: &Aggregate,
        group: &[Column],
        time: Column,
        search: &Search<'_>,
    ) -> Result<Option<Self>> {
        let columns: Vec<Column> = group.iter().cloned().chain([time]).collect();
        let Some((leaf, mut key)) = followed(&aggregate.input, &columns, search.pool)
        else {
            return Ok(None);
        };
        let changed = search.changed.get(&leaf.location);
        let changed = changed.filter(|_| search.changed.len() == 1);
        let (Some(changed), Some(time)) = (changed, key.pop()) else {
            return Ok(None);
        };
        let time_type = time.get_type(leaf.scan.projected_schema.as_ref())?;
        if !is_counted(&time_type) || !is_read_once(plan, &leaf.location)? {
            return Ok(None);
        }
        Ok(Some(Self {
            changed: changed.clone(),
            leaf,
            key,
            time,
            time_type,
        }))
    }

    /// The key and the time of a row of the leaf.
    pub(super) fn columns(&self) -> Vec<Expr> {
        self.key.iter().chain([&self.time]).cloned().collect()
    }

    /// No times yet.
    pub(super) fn times(&self, search: &Search<'_>) -> Result<KeyTimes> {
        let schema = self.leaf.scan.projected_schema.as_ref();
        let types = self.key.iter().map(|e| e.get_type(schema));
        Ok(KeyTimes::new(types.collect::<Result<_>>()?, search.pool))
    }

    /// Whether a row of the leaf is read.
    pub(super) fn is_read(&self, times: &Arc<KeyTimes>) -> Result<Expr> {
        times.predicate(&self.key, &self.time, &self.time_type)
    }
}

/// Whether values are as many ticks, and no two of them as many.
fn is_counted(time: &DataType) -> bool {
    use DataType::{
        Date32, Date64, Int8, Int16, Int32, Int64, Timestamp, UInt8, UInt16, UInt32,
    };
    matches!(
        time,
        Timestamp(..)
            | Date32
            | Date64
            | Int8
            | Int16
            | Int32
            | Int64
            | UInt8
            | UInt16
            | UInt32
    )
}

/// The aggregation by `key` that gives the rows of `plan`, and the columns it groups by, in the
/// key's order.
pub(super) fn grouped<'a>(
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
pub(super) fn made_of(plan: &LogicalPlan, place: usize) -> Option<(&Aggregate, usize)> {
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
