//! Joins of sessions to what an aggregation by their key gives.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::joins::{JoinOn, SortMergeJoinExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::of_key::Joined;
use super::spec::{Output, Value};
use crate::operators::sessionize::late::narrow::below_projections;

/// The columns of a plan as expressions over another one.
pub(super) type Columns = Vec<Arc<dyn PhysicalExpr>>;

/// The plan below projections, and the columns of `plan` as expressions over it.
pub(super) fn beneath(
    plan: &Arc<dyn ExecutionPlan>,
) -> Result<(Arc<dyn ExecutionPlan>, Columns)> {
    let (base, through) = below_projections(plan);
    let schema = plan.schema();
    let columns = schema.fields().iter().enumerate();
    let columns = columns.map(|(index, field)| {
        let column = Column::new(field.name(), index);
        through.of(&(Arc::new(column) as Arc<dyn PhysicalExpr>))
    });
    let columns = columns.collect::<Result<_>>()?;
    Ok((base, columns))
}

/// The place in the group of the expression that a joined column is; `None` if it is another.
pub(super) fn group_of(
    joined: &Arc<dyn PhysicalExpr>,
    columns: &[Arc<dyn PhysicalExpr>],
    outputs: &[Output],
) -> Option<usize> {
    let column = columns.get(joined.downcast_ref::<Column>()?.index())?;
    let output = outputs.get(column.downcast_ref::<Column>()?.index())?;
    match output.value {
        Value::Group(place) => Some(place),
        _ => None,
    }
}

impl Joined {
    /// The join of sessions to the aggregation, both by DataFusion's operators: it goes to
    /// disk where it must.
    pub(super) fn to(
        &self,
        sessions: Arc<dyn ExecutionPlan>,
        of_keys: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let column = |plan: &Arc<dyn ExecutionPlan>, place: usize| {
            let schema = plan.schema();
            Arc::new(Column::new(schema.field(place).name(), place)) as _
        };
        let on = self.on.iter();
        let on = on.map(|(s, k)| (column(&sessions, *s), column(&of_keys, *k)));
        let on: JoinOn = on.collect();
        let sorted = |plan, keys: Vec<Arc<dyn PhysicalExpr>>| {
            let keys = keys.into_iter().map(PhysicalSortExpr::new_default);
            let plan: Arc<dyn ExecutionPlan> = match LexOrdering::new(keys) {
                Some(keys) => Arc::new(SortExec::new(keys, plan)),
                None => plan,
            };
            plan
        };
        let (of_sessions, of_key) = on.iter().cloned().unzip();
        Ok(Arc::new(SortMergeJoinExec::try_new(
            sorted(sessions, of_sessions),
            sorted(of_keys, of_key),
            on,
            None,
            JoinType::Left,
            vec![SortOptions::default(); self.on.len()],
            NullEquality::NullEqualsNothing,
        )?))
    }

    /// The functions of the aggregation.
    pub(super) fn names(&self) -> String {
        let functions = self.standard.aggr_expr().iter();
        let names = functions.map(|function| function.name());
        names.collect::<Vec<_>>().join(", ")
    }
}
