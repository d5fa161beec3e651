//! Which plans the operator stands in for.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::exec::LateAggregateExec;
use super::join::{beneath, group_of};
use super::numbering::Numbering;
use super::of_key::Joined;
use super::plan::AggregatePlan;
use super::spec::{Output, Spec, Value};
use crate::operators::sessionize::late::emit::Function;
use crate::operators::sessionize::late::left_join::LeftJoin;
use crate::operators::sessionize::late::narrow::{
    indexes, moved, over, repeatable, shifted,
};
use crate::operators::sessionize::late::order::by;
use crate::operators::sessionize::late::window::{Shape, Windows};

impl LateAggregateExec {
    /// The operator in place of an aggregation that ends in `last`; `None` if it cannot give
    /// the same.
    pub(crate) fn in_place_of(last: &AggregateExec) -> Result<Option<Self>> {
        let Some((spec, outputs, standard)) = Spec::of(last)? else {
            return Ok(None);
        };
        let Some(input) = repeatable(standard.input())? else {
            return Ok(None);
        };
        if AggregatePlan::new(&spec, &outputs, &input, None, None)?.is_none() {
            return Ok(None);
        }
        let (spec, standard) = (Arc::new(spec), Arc::new(standard));
        let input = Arc::clone(standard.input());
        Ok(Some(Self::new(spec, outputs, standard, input)))
    }

    /// The operator in place of a join of sessions to an aggregation by their key, and the
    /// columns of the join over it; `None` if it cannot give the same.
    pub(crate) fn in_place_of_join(
        node: &Arc<dyn ExecutionPlan>,
    ) -> Result<Option<ProjectionExec>> {
        let join = LeftJoin::of(node).filter(LeftJoin::gives_both_sides);
        let Some(join) = join else {
            return Ok(None);
        };
        let (sessions, left) = beneath(join.rows)?;
        let Some(sessions) = sessions.downcast_ref::<Self>() else {
            return Ok(None);
        };
        if sessions.joined.is_some() || sessions.numbering.is_some() {
            return Ok(None);
        }
        let (by_key, right) = beneath(join.others)?;
        // of a session that is joined to nothing, what is made of columns would not be null
        let as_they_are = right.iter().all(|e| e.is::<Column>());
        if !as_they_are || left.iter().any(is_volatile) {
            return Ok(None);
        }
        let Some((spec, of_key, standard)) = aggregation(&by_key)? else {
            return Ok(None);
        };
        let used = indexes(right.iter());
        let width = sessions.standard.group_expr().num_group_exprs()
            + sessions.standard.aggr_expr().len();
        let mut outputs = sessions.outputs.clone();
        for index in &used {
            let of_key = &of_key[*index];
            if !matches!(of_key.value, Value::Group(_) | Value::Pick { .. }) {
                return Ok(None);
            }
            outputs.push(Output {
                place: width + of_key.place,
                field: Arc::new(of_key.field.as_ref().clone().with_nullable(true)),
                value: of_key.value.clone(),
                of_key: true,
            });
        }
        let on = join.on.iter().map(|(session, key)| {
            let session = group_of(session, &left, &sessions.outputs)?;
            Some((session, group_of(key, &right, &of_key)?))
        });
        let Some(on) = on.collect() else {
            return Ok(None);
        };
        let input = Arc::clone(standard.input());
        let joined = Arc::new(Joined { spec, standard, on });
        let of_sessions = sessions.outputs.len();
        let mut fused = sessions.clone();
        fused.joined = Some((joined, input));
        let fused = fused.with(outputs);
        if fused.ready()?.is_none() {
            return Ok(None);
        }
        let places: Vec<_> = (0..used.len()).map(|place| of_sessions + place).collect();
        let right = right.iter().map(|e| shifted(e, &used, &places));
        let right = right.collect::<Result<Vec<_>>>()?;
        named_as(node, left.into_iter().chain(right), fused).map(Some)
    }

    /// The operator in place of a window that numbers groups, and the columns of the window
    /// over it; `None` if it cannot give the same.
    pub(crate) fn in_place_of_window(
        node: &Arc<dyn ExecutionPlan>,
        windows: Windows<'_>,
    ) -> Result<Option<ProjectionExec>> {
        let (below, columns) = beneath(windows.input)?;
        let Some(groups) = below.downcast_ref::<Self>() else {
            return Ok(None);
        };
        let Some((shape, functions)) = Shape::of(windows)? else {
            return Ok(None);
        };
        let numbers = functions.iter();
        let mut numbers = numbers.map(|f| f.function == Function::RowNumber);
        let numbered_by_others = groups.numbering.is_some();
        // drawn again, a value would be another one
        let drawn = columns.iter().any(is_volatile);
        if numbered_by_others || drawn || !numbers.all(|is_number| is_number) {
            return Ok(None);
        }
        let key = shape.key.iter().map(|e| over(e, &columns));
        let key = key.collect::<Result<Vec<_>>>()?;
        let order = by(&shape.order, |e| over(e, &columns))?;
        let needed = indexes(key.iter().chain(order.iter().map(|(e, _)| e)));
        let outputs = needed.iter().map(|index| groups.outputs[*index].clone());
        let key = key.iter().map(|e| moved(e, &needed));
        let numbering = Numbering {
            outputs: outputs.collect(),
            key: key.collect::<Result<_>>()?,
            order: by(&order, |e| moved(e, &needed))?,
        };
        let Some(field) = functions.first().map(|f| Arc::clone(&f.field)) else {
            return Ok(None);
        };
        let mut outputs = groups.outputs.clone();
        let number = Column::new(field.name(), outputs.len());
        outputs.push(Output {
            place: usize::MAX,
            field,
            value: Value::RowNumber,
            of_key: false,
        });
        let mut numbered = groups.clone();
        numbered.numbering = Some(Arc::new(numbering));
        let numbered = numbered.with(outputs);
        if numbered.ready()?.is_none() {
            return Ok(None);
        }
        let number: Arc<dyn PhysicalExpr> = Arc::new(number);
        let numbers = functions.iter().map(|_| Arc::clone(&number));
        named_as(node, columns.into_iter().chain(numbers), numbered).map(Some)
    }
}

/// An aggregation: what it is of, its columns, and how DataFusion planned it.
type Aggregation = (Arc<Spec>, Vec<Output>, Arc<AggregateExec>);

/// An aggregation by one of DataFusion's operators or by ours, and nothing more than that.
fn aggregation(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Aggregation>> {
    if let Some(late) = plan.downcast_ref::<LateAggregateExec>() {
        let alone = late.joined.is_none() && late.numbering.is_none();
        let (spec, standard) = (Arc::clone(&late.spec), Arc::clone(&late.standard));
        return Ok(alone.then(|| (spec, late.outputs.clone(), standard)));
    }
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else {
        return Ok(None);
    };
    let found = Spec::of(aggregate)?;
    Ok(found
        .map(|(spec, outputs, standard)| (Arc::new(spec), outputs, Arc::new(standard))))
}

/// `columns` over `operator`, under the names that a node has for its own.
fn named_as(
    node: &Arc<dyn ExecutionPlan>,
    columns: impl Iterator<Item = Arc<dyn PhysicalExpr>>,
    operator: LateAggregateExec,
) -> Result<ProjectionExec> {
    let schema = node.schema();
    let columns = schema.fields().iter().zip(columns);
    let columns = columns.map(|(field, e)| ProjectionExpr::new(e, field.name()));
    ProjectionExec::try_new(columns.collect::<Vec<_>>(), Arc::new(operator))
}
