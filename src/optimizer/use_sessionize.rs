//! DataFusion's window operator -> `SessionizeExec`, where it gives the same rows.
//!
//! It runs after DataFusion's own rules: orders and distributions are in place, and the
//! operator asks for exactly those of the plan it takes over.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::windows::BoundedWindowAggExec;

use crate::config::SessionizeOptions;
use crate::operators::SessionizeExec;

/// Puts [`SessionizeExec`] in.
#[derive(Debug, Default)]
pub(crate) struct UseSessionize;

impl PhysicalOptimizerRule for UseSessionize {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = SessionizeOptions::of(config);
        if !options.enable_operator {
            return Ok(plan);
        }
        plan.transform_up(|node| {
            let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() else {
                return Ok(Transformed::no(node));
            };
            match SessionizeExec::in_place_of(window)? {
                Some(exec) if options.row_number || !exec.only_numbers_rows() => {
                    Ok(Transformed::yes(Arc::new(exec) as Arc<dyn ExecutionPlan>))
                }
                _ => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "use_sessionize"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
