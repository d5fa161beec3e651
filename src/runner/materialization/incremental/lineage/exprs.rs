//! Expressions and nodes on the way down a plan.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan};

use super::{Reason, Way};
use crate::runner::materialization::clean_message;

/// `expr` over `schema` with its columns replaced by what they are in the input.
pub(super) fn substitute(
    expr: &Expr,
    schema: &DFSchema,
    input: &impl Fn(usize) -> Result<Expr, Reason>,
) -> Result<Expr, Reason> {
    let mut stuck = None;
    let replaced = expr.clone().transform_up(|e| {
        let Expr::Column(column) = &e else {
            return Ok(Transformed::no(e));
        };
        match schema.index_of_column(column).map(input) {
            Ok(Ok(found)) => Ok(Transformed::yes(found)),
            Ok(Err(reason)) => {
                stuck = Some(reason);
                Ok(Transformed::no(e))
            }
            Err(error) => Err(error),
        }
    });
    let replaced = replaced.data().map_err(|e| said(&e))?;
    match stuck {
        Some(reason) => Err(reason),
        None => Ok(replaced),
    }
}

/// The way through a node that keeps the places of its columns.
pub(super) fn by_place(
    output: &DFSchema,
    input: &DFSchema,
    way: &Way,
) -> Result<Way, Reason> {
    way.through(output, |i| {
        if i >= input.fields().len() {
            return Err("its key is lost in a union".to_owned());
        }
        Ok(Expr::Column(Column::from(input.qualified_field(i))))
    })
}

/// What a window function is partitioned by.
pub(super) fn partition_of(expr: &Expr) -> Result<Vec<Expr>, Reason> {
    match expr.clone().unalias() {
        Expr::WindowFunction(function) => {
            let WindowFunction { params, .. } = *function;
            Ok(params.partition_by)
        }
        other => Err(format!("`{other}` is no window function")),
    }
}

/// Whether rows of one partition have one key.
pub(in super::super) fn covers(partition_by: &[Expr], key: &[Expr]) -> bool {
    key.iter().all(|key| {
        let mut columns = key.column_refs().into_iter();
        partition_by.contains(key)
            || columns.all(|c| partition_by.iter().any(|p| p.try_as_col() == Some(c)))
    })
}

pub(super) fn types_of(
    exprs: &[Expr],
    schema: &DFSchema,
) -> Result<Vec<DataType>, Reason> {
    let types = exprs.iter().map(|e| e.get_type(schema));
    types.collect::<Result<_, _>>().map_err(|e| said(&e))
}

pub(super) fn filtered(
    predicate: Expr,
    input: LogicalPlan,
) -> Result<LogicalPlan, Reason> {
    let filter = Filter::try_new(predicate, Arc::new(input)).map_err(|e| said(&e))?;
    Ok(LogicalPlan::Filter(filter))
}

pub(super) fn rebuilt(
    plan: &LogicalPlan,
    inputs: Vec<LogicalPlan>,
) -> Result<LogicalPlan, Reason> {
    plan.with_new_exprs(plan.expressions(), inputs)
        .map_err(|e| said(&e))
}

pub(super) fn said(error: &DataFusionError) -> Reason {
    clean_message(error)
}

pub(super) fn listed(exprs: &[Expr]) -> String {
    let names = exprs.iter().map(|e| format!("`{}`", e.schema_name()));
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.join(", ")
}
