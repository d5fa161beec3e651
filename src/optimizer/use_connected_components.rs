//! DataFusion's window operator -> `ConnectedComponentsExec`, where it gives the same rows.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
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
        let ours = config.extensions.get::<SessionizeOptions>();
        if ours.is_some_and(|options| !options.enable_operator) {
            return Ok(plan);
        }
        plan.transform_up(|node| {
            let window = node.downcast_ref::<WindowAggExec>();
            Ok(
                match window.and_then(ConnectedComponentsExec::in_place_of) {
                    Some(exec) => {
                        Transformed::yes(Arc::new(exec) as Arc<dyn ExecutionPlan>)
                    }
                    None => Transformed::no(node),
                },
            )
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
