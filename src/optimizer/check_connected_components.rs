//! Refuses what a call of `connected_component` cannot mean, so that nothing is passed over.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::expr::WindowFunctionParams;
use datafusion::logical_expr::{
    Expr, LogicalPlan, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;

use crate::functions::ConnectedComponent;

/// Every row of a partition links, so a call has no `DISTINCT` and a frame of all rows.
/// DataFusion itself refuses `FILTER`, and the function `IGNORE NULLS`.
#[derive(Debug, Default)]
pub(crate) struct CheckConnectedComponents;

impl AnalyzerRule for CheckConnectedComponents {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|node| {
            let LogicalPlan::Window(window) = node else {
                return Ok(TreeNodeRecursion::Continue);
            };
            for expression in &window.window_expr {
                expression.apply(|e| check(e).map(|()| TreeNodeRecursion::Continue))?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "check_connected_components"
    }
}

fn check(expression: &Expr) -> Result<()> {
    let Expr::WindowFunction(call) = expression else {
        return Ok(());
    };
    let WindowFunctionDefinition::WindowUDF(function) = &call.fun else {
        return Ok(());
    };
    if function
        .inner()
        .downcast_ref::<ConnectedComponent>()
        .is_none()
    {
        return Ok(());
    }
    let WindowFunctionParams {
        distinct,
        window_frame,
        order_by,
        ..
    } = &call.params;
    if *distinct {
        return plan_err!(
            "`connected_component`: DISTINCT is not accepted; a link that stands twice \
             links no more than once"
        );
    }
    if is_whole(window_frame) {
        return Ok(());
    }
    let alone = if order_by.is_empty() || !is_running(window_frame) {
        ""
    } else {
        ", which ORDER BY alone stands for,"
    };
    plan_err!(
        "`connected_component`: the frame `{window_frame}`{alone} is not accepted; all rows \
         of a partition link, so write OVER () or OVER (PARTITION BY …)"
    )
}

fn is_whole(frame: &WindowFrame) -> bool {
    let end = &frame.end_bound;
    starts_first(frame)
        && matches!(end, WindowFrameBound::Following(rows) if rows.is_null())
}

fn is_running(frame: &WindowFrame) -> bool {
    starts_first(frame)
        && frame.units == WindowFrameUnits::Range
        && frame.end_bound == WindowFrameBound::CurrentRow
}

fn starts_first(frame: &WindowFrame) -> bool {
    let start = &frame.start_bound;
    matches!(start, WindowFrameBound::Preceding(rows) if rows.is_null())
}
