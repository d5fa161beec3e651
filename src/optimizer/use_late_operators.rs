//! Windows that DataFusion would sort whole rows for -> `LateSessionizeExec`; aggregations that
//! pick first and last rows, or whose groups are sessions -> `LateAggregateExec`.
//!
//! The first rule puts the operators in before DataFusion adds sorts and repartitions, so that
//! it adds none for them; the last one makes them ready to run once the plan below is final.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::{Partitioning, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::config::SessionizeOptions;
use crate::operators::{LateAggregateExec, LateSessionizeExec, Windows, narrowed, ready};

/// Puts the operators in.
#[derive(Debug, Default)]
pub(crate) struct UseLateOperators;

impl PhysicalOptimizerRule for UseLateOperators {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = SessionizeOptions::of(config);
        if !options.enable_operator || !options.late_materialization {
            return Ok(plan);
        }
        plan.transform_up(|node| {
            let late = if let Some(windows) = Windows::of(&node) {
                late_window(&node, windows, &options)?
            } else if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
                let late = LateAggregateExec::in_place_of(aggregate)?;
                late.map(|exec| Arc::new(exec) as Arc<dyn ExecutionPlan>)
            } else if let Some(projection) = node.downcast_ref::<ProjectionExec>()
                && projection.input().is::<LateAggregateExec>()
            {
                // now, for a repartition that comes between keeps columns that nobody reads
                projection
                    .input()
                    .try_swapping_with_projection(projection)?
            } else {
                let joined = LateAggregateExec::in_place_of_join(&node)?;
                joined.map(|columns| Arc::new(columns) as Arc<dyn ExecutionPlan>)
            };
            Ok(late.map_or_else(|| Transformed::no(node), Transformed::yes))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "use_late_operators"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn late_window(
    node: &Arc<dyn ExecutionPlan>,
    window: Windows<'_>,
    options: &SessionizeOptions,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if is_sorted(window)? {
        return Ok(None);
    }
    if options.row_number {
        let numbers = LateAggregateExec::in_place_of_window(node, window)?;
        if let Some(columns) = numbers {
            return Ok(Some(Arc::new(columns)));
        }
    }
    let exec = LateSessionizeExec::in_place_of(window)?;
    let exec = exec.filter(|exec| options.row_number || !exec.only_numbers_rows());
    Ok(exec.map(|exec| Arc::new(exec) as Arc<dyn ExecutionPlan>))
}

/// Whether the rows come by key and time as they are: then nothing is cheaper than to go
/// through them.
fn is_sorted(window: Windows<'_>) -> Result<bool> {
    let input = window.input;
    let distributed = match input.output_partitioning() {
        Partitioning::Hash(keys, _) => window
            .expressions
            .first()
            .is_some_and(|first| keys.iter().all(|k| first.partition_by().contains(k))),
        other => other.partition_count() == 1,
    };
    if !distributed {
        return Ok(false);
    }
    let Some(first) = window.expressions.first() else {
        return Ok(false);
    };
    let keys = first.partition_by().iter();
    let keys = keys.map(|key| PhysicalSortExpr::new_default(Arc::clone(key)));
    let order = keys.chain(first.order_by().iter().cloned());
    input.equivalence_properties().ordering_satisfy(order)
}

/// Makes them ready to run.
#[derive(Debug, Default)]
pub(crate) struct FinishLateOperators;

impl PhysicalOptimizerRule for FinishLateOperators {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        narrowed(ready(plan)?)
    }

    fn name(&self) -> &'static str {
        "finish_late_operators"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
