//! Windows that DataFusion would sort whole rows for -> `LateSessionizeExec`.
//!
//! The first rule puts the operator in before DataFusion adds sorts and repartitions, so that
//! it adds none for it; the last one makes it ready to run once the plan below is final.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::{Partitioning, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::windows::BoundedWindowAggExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::config::SessionizeOptions;
use crate::operators::LateSessionizeExec;

/// Puts [`LateSessionizeExec`] in.
#[derive(Debug, Default)]
pub(crate) struct UseLateSessionize;

impl PhysicalOptimizerRule for UseLateSessionize {
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
            let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() else {
                return Ok(Transformed::no(node));
            };
            if is_sorted(window)? {
                return Ok(Transformed::no(node));
            }
            match LateSessionizeExec::in_place_of(window)? {
                Some(exec) if options.row_number || !exec.only_numbers_rows() => {
                    Ok(Transformed::yes(Arc::new(exec) as Arc<dyn ExecutionPlan>))
                }
                _ => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "use_late_sessionize"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether the rows come by key and time as they are: then nothing is cheaper than to go
/// through them.
fn is_sorted(window: &BoundedWindowAggExec) -> Result<bool> {
    let input = window.input();
    let distributed = match input.output_partitioning() {
        Partitioning::Hash(keys, _) => window
            .window_expr()
            .first()
            .is_some_and(|first| keys.iter().all(|k| first.partition_by().contains(k))),
        other => other.partition_count() == 1,
    };
    if !distributed {
        return Ok(false);
    }
    let Some(first) = window.window_expr().first() else {
        return Ok(false);
    };
    let keys = first.partition_by().iter();
    let keys = keys.map(|key| PhysicalSortExpr::new_default(Arc::clone(key)));
    let order = keys.chain(first.order_by().iter().cloned());
    input.equivalence_properties().ordering_satisfy(order)
}

/// Makes [`LateSessionizeExec`] ready to run.
#[derive(Debug, Default)]
pub(crate) struct FinishLateSessionize;

impl PhysicalOptimizerRule for FinishLateSessionize {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(exec) = node.downcast_ref::<LateSessionizeExec>() else {
                return Ok(Transformed::no(node));
            };
            match exec.ready()? {
                Some(ready) => {
                    Ok(Transformed::yes(Arc::new(ready) as Arc<dyn ExecutionPlan>))
                }
                None => internal_err!(
                    "another rule changed the input of LateSessionizeExec; \
                     `SET sessionize.late_materialization = false` does without"
                ),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "finish_late_sessionize"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
