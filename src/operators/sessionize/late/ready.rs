//! The operators of a plan, ready to run.

use std::sync::Arc;

use datafusion::common::tree_node::{
    Transformed, TransformedResult, TreeNode, TreeNodeRecursion,
};
use datafusion::common::{Result, internal_err};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;

use super::aggregate::LateAggregateExec;
use super::exec::LateSessionizeExec;
use super::narrow::{named, project};
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

/// `plan`, which is [`ready`], with operators that give no column but those that are asked
/// for: a window's key and order are read by the narrow pass alone.
pub(crate) fn narrowed(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_down(|node| {
        // they read what they need of what is below
        if node.is::<LateSessionizeExec>() || node.is::<LateAggregateExec>() {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        }
        if node.is::<CooperativeExec>() {
            return Ok(Transformed::no(node));
        }
        let Some(width) = late_width(&node) else {
            return Ok(Transformed::no(node));
        };
        let all: Vec<_> = (0..node.schema().fields().len()).collect();
        let narrow = project(&node, named(&all, &node))?;
        let less = late_width(&narrow).is_some_and(|narrow| narrow < width);
        if less && narrow.schema() == node.schema() {
            return Ok(Transformed::new(narrow, true, TreeNodeRecursion::Jump));
        }
        Ok(Transformed::no(node))
    })
    .data()
}

/// `plan` without what [`narrowed`] did to it.
#[cfg(feature = "runner")]
pub(super) fn widened(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let late = node.downcast_ref::<LateSessionizeExec>();
        let wide = late.map(LateSessionizeExec::widened).transpose()?;
        Ok(match wide.flatten() {
            Some(wide) => Transformed::yes(wide),
            None => Transformed::no(node),
        })
    })
    .data()
}

/// How many columns the operator reads whose rows `plan` filters and projects.
fn late_width(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    if let Some(late) = plan.downcast_ref::<LateSessionizeExec>() {
        return Some(late.width());
    }
    let passes = plan.is::<ProjectionExec>()
        || plan.is::<CooperativeExec>()
        || (plan.is::<FilterExec>() && plan.fetch().is_none());
    match plan.children()[..] {
        [child] if passes => late_width(child),
        _ => None,
    }
}
