//! DataFusion's window operator -> `ConnectedComponentsExec`, where it gives the same rows.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::WindowAggExec;

use crate::config::SessionizeOptions;
use crate::operators::ConnectedComponentsExec;

/// Puts [`ConnectedComponentsExec`] in.
#[derive(Debug, Default)]
pub(crate) struct UseConnectedComponents;

impl PhysicalOptimizerRule for UseConnectedComponents {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !SessionizeOptions::of(config).enable_operator {
            return Ok(plan);
        }
        plan.transform_up(|node| {
            let window = node.downcast_ref::<WindowAggExec>();
            let exec = window.and_then(ConnectedComponentsExec::in_place_of);
            Ok(match exec {
                Some(exec) => Transformed::yes(in_order(&node, Arc::new(exec))),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "use_connected_components"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The rows of `exec` in the order that those of `window` had: a sort above it may have been
/// left out for its sake.
fn in_order(
    window: &Arc<dyn ExecutionPlan>,
    exec: Arc<dyn ExecutionPlan>,
) -> Arc<dyn ExecutionPlan> {
    match window.properties().output_ordering() {
        Some(order) => Arc::new(SortExec::new(order.clone(), exec)),
        None => exec,
    }
}
