//! Left joins of DataFusion's.

use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, JoinOn, SortMergeJoinExec};

/// `rows left join others` on columns that are equal and not null, and on nothing else.
pub(super) struct LeftJoin<'a> {
    pub(super) rows: &'a Arc<dyn ExecutionPlan>,
    pub(super) others: &'a Arc<dyn ExecutionPlan>,
    /// What is equal: expressions over rows, and over the others.
    pub(super) on: JoinOn,
    pub(super) columns: Vec<Side>,
}

/// Where a column of the join comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Rows(usize),
    Others(usize),
}

impl<'a> LeftJoin<'a> {
    /// `None` if the node is none.
    pub(super) fn of(node: &'a Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            if join.filter.is_some() || join.fetch().is_some() {
                return None;
            }
            let projection = join.projection.as_deref();
            let sides = (&join.left, &join.right);
            Self::new(
                sides,
                &join.on,
                join.join_type,
                join.null_equality,
                projection,
            )
        } else {
            let join = node.downcast_ref::<SortMergeJoinExec>()?;
            if join.filter.is_some() {
                return None;
            }
            let sides = (&join.left, &join.right);
            Self::new(sides, &join.on, join.join_type, join.null_equality, None)
        }
    }

    fn new(
        (left, right): (&'a Arc<dyn ExecutionPlan>, &'a Arc<dyn ExecutionPlan>),
        on: &JoinOn,
        join_type: JoinType,
        null_equality: NullEquality,
        projection: Option<&[usize]>,
    ) -> Option<Self> {
        let rows_are_left = match join_type {
            JoinType::Left => true,
            // as DataFusion plans it where the others are fewer
            JoinType::Right => false,
            _ => return None,
        };
        if null_equality != NullEquality::NullEqualsNothing {
            return None;
        }
        let width = left.schema().fields().len();
        let all: Vec<_> = (0..width + right.schema().fields().len()).collect();
        let columns = projection.unwrap_or(&all).iter().map(|column| {
            let (of_left, place) = match column.checked_sub(width) {
                None => (true, *column),
                Some(place) => (false, place),
            };
            match of_left == rows_are_left {
                true => Side::Rows(place),
                false => Side::Others(place),
            }
        });
        let on = on.iter().cloned();
        let on = on.map(|(l, r)| if rows_are_left { (l, r) } else { (r, l) });
        let (rows, others) = match rows_are_left {
            true => (left, right),
            false => (right, left),
        };
        Some(Self {
            rows,
            others,
            on: on.collect(),
            columns: columns.collect(),
        })
    }

    /// Whether it gives all columns of the rows, then all of the others.
    pub(super) fn gives_both_sides(&self) -> bool {
        let rows = 0..self.rows.schema().fields().len();
        let others = 0..self.others.schema().fields().len();
        let both = rows.map(Side::Rows).chain(others.map(Side::Others));
        both.eq(self.columns.iter().copied())
    }
}
