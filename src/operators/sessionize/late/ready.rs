//! The operators of a plan, ready to run.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::physical_plan::ExecutionPlan;

use super::aggregate::LateAggregateExec;
use super::exec::LateSessionizeExec;
use super::stream::Passes;

/// `plan`, which is final, with its operators ready to run.
pub(crate) fn ready(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut passes = Passes::default();
    plan.transform_up(|node| {
        let ready = if let Some(exec) = node.downcast_ref::<LateSessionizeExec>() {
            let ready = exec.ready(&mut passes)?;
            ready.map(|exec| Arc::new(exec) as Arc<dyn ExecutionPlan>)
        } else if let Some(exec) = node.downcast_ref::<LateAggregateExec>() {
            exec.ready_or_standard()?
        } else {
            return Ok(Transformed::no(node));
        };
        match ready {
            Some(ready) => Ok(Transformed::yes(ready)),
            None => internal_err!(
                "another rule changed the input of {}; \
                 `SET sessionize.late_materialization = false` does without",
                node.name()
            ),
        }
    })
    .data()
}
