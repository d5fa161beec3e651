//! Models whose rows are each made of one row of a leaf, joined to others perhaps.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::runner::materialization::reading::{Leaf, is_read_once};

/// The input that each row of a node is made of one row of, and whether each of its rows makes
/// one; `None` for a leaf, and for nodes that make rows otherwise.
fn below(node: &LogicalPlan) -> Option<(&LogicalPlan, bool)> {
    match node {
        LogicalPlan::Projection(projection) => Some((&projection.input, true)),
        LogicalPlan::SubqueryAlias(alias) => Some((&alias.input, true)),
        LogicalPlan::Filter(filter) => Some((&filter.input, false)),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Left => Some((&join.left, true)),
            JoinType::Inner => Some((&join.left, false)),
            _ => None,
        },
        _ => None,
    }
}

/// The leaf of which each row of `plan` is made of one row, and whether all of its rows make
/// one; `None` if there is none, or if it is read elsewhere too.
pub(super) fn made_of_one(plan: &LogicalPlan) -> Result<Option<(Leaf, bool)>> {
    let (mut node, mut keeps_all) = (plan, true);
    while let Some((input, all)) = below(node) {
        keeps_all &= all;
        node = input;
    }
    let LogicalPlan::TableScan(scan) = node else {
        return Ok(None);
    };
    keeps_all &= scan.filters.is_empty() && scan.fetch.is_none();
    match Leaf::of(scan) {
        Some(leaf) if is_read_once(plan, &leaf.location)? => Ok(Some((leaf, keeps_all))),
        _ => Ok(None),
    }
}

/// Whether the column at `place` of `plan` is made of that leaf alone.
pub(super) fn is_of_leaf(plan: &LogicalPlan, place: usize) -> Result<bool> {
    let Some((input, _)) = below(plan) else {
        return Ok(matches!(plan, LogicalPlan::TableScan(_)));
    };
    let LogicalPlan::Projection(projection) = plan else {
        // what a join adds is behind the columns of its left side
        let is_kept = place < input.schema().fields().len();
        return Ok(is_kept && is_of_leaf(input, place)?);
    };
    let mut of_leaf = true;
    projection.expr[place].apply(|e| {
        match e {
            Expr::Column(column) => {
                let place = input.schema().index_of_column(column)?;
                of_leaf &= is_of_leaf(input, place)?;
            }
            Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..) => of_leaf = false,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(of_leaf)
}
