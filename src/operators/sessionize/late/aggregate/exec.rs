//! The plan node.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, EmissionType, apply_expression_roots,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PhysicalExpr, PlanProperties, ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::{TryStreamExt, stream};

use super::join::{LeftJoin, beneath, group_of};
use super::numbering::Numbering;
use super::of_key::Joined;
use super::plan::AggregatePlan;
use super::run::Run;
use super::spec::{By, Output, Spec, Value};
use crate::operators::sessionize::late::emit::Function;
use crate::operators::sessionize::late::exhausted;
use crate::operators::sessionize::late::narrow::{
    indexes, mapped, moved, moved_columns, repeatable, shifted,
};
use crate::operators::sessionize::late::pass::PassMetrics;
use crate::operators::sessionize::late::window::{Shape, Windows};
use crate::operators::spill::Disk;

/// How many values must be picked for two passes to cost less than one.
const MANY: usize = 4;

/// An aggregation that picks first and last rows, or whose groups are sessions.
///
/// Its input gives the same rows in the same order in every run.
#[derive(Debug, Clone)]
pub(crate) struct LateAggregateExec {
    spec: Arc<Spec>,
    outputs: Vec<Output>,
    /// The aggregation as DataFusion planned it: where memory does not suffice, it runs.
    standard: Arc<AggregateExec>,
    input: Arc<dyn ExecutionPlan>,
    /// What the groups, which are sessions, are joined to.
    joined: Option<(Arc<Joined>, Arc<dyn ExecutionPlan>)>,
    numbering: Option<Arc<Numbering>>,
    /// There once the plan around is final.
    plan: Option<Arc<AggregatePlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LateAggregateExec {
    /// The operator in place of an aggregation that ends in `last`; `None` if it cannot give
    /// the same, or would not give it sooner.
    pub(crate) fn in_place_of(last: &AggregateExec) -> Result<Option<Self>> {
        let Some((spec, outputs, standard)) = Spec::of(last)? else {
            return Ok(None);
        };
        let Some(input) = repeatable(standard.input())? else {
            return Ok(None);
        };
        let picks = outputs.iter().map(|output| &output.value);
        let picks = picks.filter(|v| matches!(v, Value::Pick { .. })).count();
        match AggregatePlan::new(&spec, &outputs, &input, None, None)? {
            Some(plan) if plan.sessions.is_some() || picks >= MANY => {}
            _ => return Ok(None),
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
        let Some(join) = LeftJoin::of(node) else {
            return Ok(None);
        };
        let (sessions, left) = beneath(join.left)?;
        let Some(sessions) = sessions.downcast_ref::<Self>() else {
            return Ok(None);
        };
        if sessions.joined.is_some() || sessions.numbering.is_some() {
            return Ok(None);
        }
        let (by_key, right) = beneath(join.right)?;
        let (spec, of_key, standard) = match by_key.downcast_ref::<Self>() {
            Some(late) if late.joined.is_none() && late.numbering.is_none() => {
                let (spec, standard) = (&late.spec, &late.standard);
                (Arc::clone(spec), late.outputs.clone(), Arc::clone(standard))
            }
            Some(_) => return Ok(None),
            None => match by_key.downcast_ref::<AggregateExec>().map(Spec::of) {
                Some(found) => match found? {
                    Some((spec, outputs, standard)) => {
                        (Arc::new(spec), outputs, Arc::new(standard))
                    }
                    None => return Ok(None),
                },
                None => return Ok(None),
            },
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
        let mut on = Vec::with_capacity(join.on.len());
        for (session, key) in join.on {
            let places = (
                group_of(session, &left, &sessions.outputs),
                group_of(key, &right, &of_key),
            );
            let (Some(session), Some(key)) = places else {
                return Ok(None);
            };
            on.push((session, key));
        }
        let input = Arc::clone(standard.input());
        let joined = Arc::new(Joined { spec, standard, on });
        let of_sessions = sessions.outputs.len();
        let fused = Self {
            joined: Some((joined, input)),
            ..sessions.clone()
        };
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
        if groups.numbering.is_some() || !numbers.all(|is_number| is_number) {
            return Ok(None);
        }
        let over = |e: &Arc<dyn PhysicalExpr>| {
            mapped(e, &|column| Arc::clone(&columns[column.index()]))
        };
        let key = shape.key.iter().map(over).collect::<Result<Vec<_>>>()?;
        let order = shape.order.iter();
        let order = order.map(|(e, options)| Ok((over(e)?, *options)));
        let order = order.collect::<Result<By>>()?;
        let read = key.iter().chain(order.iter().map(|(e, _)| e));
        let needed = indexes(read);
        let outputs = needed.iter().map(|index| groups.outputs[*index].clone());
        let moved_order = order.iter().map(|(e, o)| Ok((moved(e, &needed)?, *o)));
        let numbering = Numbering {
            outputs: outputs.collect(),
            key: key
                .iter()
                .map(|e| moved(e, &needed))
                .collect::<Result<_>>()?,
            order: moved_order.collect::<Result<_>>()?,
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
        let numbered = Self {
            numbering: Some(Arc::new(numbering)),
            ..groups.clone()
        };
        let numbered = numbered.with(outputs);
        if numbered.ready()?.is_none() {
            return Ok(None);
        }
        let number: Arc<dyn PhysicalExpr> = Arc::new(number);
        let numbers = functions.iter().map(|_| Arc::clone(&number));
        named_as(node, columns.into_iter().chain(numbers), numbered).map(Some)
    }

    fn new(
        spec: Arc<Spec>,
        outputs: Vec<Output>,
        standard: Arc<AggregateExec>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Self {
        Self {
            properties: Arc::new(properties(&outputs, &input)),
            spec,
            outputs,
            standard,
            input,
            joined: None,
            numbering: None,
            plan: None,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same with other columns, and with nothing that they do not need.
    fn with(self, outputs: Vec<Output>) -> Self {
        let numbers = outputs.iter().any(|o| matches!(o.value, Value::RowNumber));
        let numbering = self.numbering.filter(|_| numbers);
        let read = numbering.iter().flat_map(|numbering| &numbering.outputs);
        let of_key = outputs.iter().chain(read).any(|output| output.of_key);
        Self {
            joined: self.joined.filter(|_| of_key),
            numbering,
            ..Self::new(self.spec, outputs, self.standard, self.input)
        }
    }

    /// The operator, ready to run: all rules over the plan have run.
    fn ready(&self) -> Result<Option<Self>> {
        let Some(input) = repeatable(&self.input)? else {
            return Ok(None);
        };
        let joined = match &self.joined {
            Some((joined, below)) => match repeatable(below)? {
                Some(below) => Some((Arc::clone(joined), below)),
                None => return Ok(None),
            },
            None => None,
        };
        let to = joined.as_ref().map(|(joined, below)| (&**joined, below));
        let numbering = self.numbering.as_deref();
        let (spec, outputs) = (&self.spec, &self.outputs);
        let plan = AggregatePlan::new(spec, outputs, &input, to, numbering)?;
        Ok(plan.map(|plan| Self {
            plan: Some(Arc::new(plan)),
            ..self.over(input, joined)
        }))
    }

    /// The operator, ready to run, or DataFusion's where the plan below was made such that
    /// both sides of a join may have other rows.
    pub(crate) fn ready_or_standard(&self) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        Ok(match self.ready()? {
            Some(ready) => Some(Arc::new(ready)),
            None if self.joined.is_some() => Some(self.standard()?),
            None => None,
        })
    }

    fn over(
        &self,
        input: Arc<dyn ExecutionPlan>,
        joined: Option<(Arc<Joined>, Arc<dyn ExecutionPlan>)>,
    ) -> Self {
        Self {
            properties: Arc::new(properties(&self.outputs, &input)),
            input,
            joined,
            plan: None,
            metrics: ExecutionPlanMetricsSet::new(),
            ..self.clone()
        }
    }

    fn with_inputs(
        &self,
        input: Arc<dyn ExecutionPlan>,
        of_keys: Option<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let joined = self.joined.as_ref().map(|(joined, _)| Arc::clone(joined));
        let new = self.over(input, joined.zip(of_keys));
        if self.plan.is_none() {
            return Ok(Arc::new(new));
        }
        match new.ready_or_standard()? {
            Some(ready) => Ok(ready),
            None => {
                internal_err!("LateAggregateExec got an input that may give other rows")
            }
        }
    }

    /// The same by DataFusion's own operators, which go to disk where they must.
    fn standard(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let mut standard = single(&self.standard, &self.input)?;
        if let Some((joined, input)) = &self.joined {
            standard = joined.to(standard, single(&joined.standard, input)?)?;
        }
        let column = |name: &str, place: usize| -> Arc<dyn PhysicalExpr> {
            Arc::new(Column::new(name, place))
        };
        let mut number = None;
        if let Some(numbering) = &self.numbering {
            standard = numbering.by_standard(standard)?;
            let place = standard.schema().fields().len() - 1;
            number = Some(place);
        }
        let schema = standard.schema();
        let columns = self.outputs.iter().map(|output| {
            let place = match output.value {
                Value::RowNumber => number.unwrap_or(output.place),
                _ => output.place,
            };
            let name = schema.field(place).name();
            ProjectionExpr::new(column(name, place), output.field.name())
        });
        let columns = columns.collect::<Vec<_>>();
        Ok(Arc::new(ProjectionExec::try_new(columns, standard)?))
    }
}

fn properties(outputs: &[Output], input: &Arc<dyn ExecutionPlan>) -> PlanProperties {
    let fields = outputs.iter().map(|output| Arc::clone(&output.field));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    PlanProperties::new(
        EquivalenceProperties::new(Arc::new(schema)),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Final,
        input.boundedness(),
    )
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

/// An aggregation in one step.
fn single(
    of: &AggregateExec,
    input: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let input: Arc<dyn ExecutionPlan> =
        match input.output_partitioning().partition_count() {
            1 => Arc::clone(input),
            _ => Arc::new(CoalescePartitionsExec::new(Arc::clone(input))),
        };
    Ok(Arc::new(AggregateExec::try_new(
        AggregateMode::Single,
        Arc::new(of.group_expr().clone()),
        of.aggr_expr().to_vec(),
        of.filter_expr().to_vec(),
        input,
        of.input_schema(),
    )?))
}

impl DisplayAs for LateAggregateExec {
    fn fmt_as(
        &self,
        kind: DisplayFormatType,
        f: &mut std::fmt::Formatter<'_>,
    ) -> std::fmt::Result {
        let groups = self.spec.group.iter().map(ToString::to_string);
        let groups = groups.collect::<Vec<_>>().join(", ");
        let functions = self.standard.aggr_expr();
        let groups_of = self.standard.group_expr().num_group_exprs();
        let functions = self.outputs.iter().filter_map(|output| {
            let place = output.place.checked_sub(groups_of)?;
            functions.get(place).map(|function| function.name())
        });
        let functions = functions.collect::<Vec<_>>().join(", ");
        if kind == DisplayFormatType::TreeRender {
            return writeln!(f, "group_by={groups}\naggr={functions}");
        }
        write!(f, "LateAggregateExec: gby=[{groups}], aggr=[{functions}]")?;
        match &self.plan {
            Some(plan) if plan.sessions.is_some() => write!(f, ", groups=sessions")?,
            _ => {}
        }
        if let Some((joined, _)) = &self.joined {
            write!(f, ", of_keys=[{}]", joined.names())?;
        }
        match &self.numbering {
            Some(numbering) => write!(f, ", row_number=[{numbering}]"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for LateAggregateExec {
    fn name(&self) -> &'static str {
        "LateAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        let of_keys = self.joined.as_ref().map(|(_, input)| input);
        [&self.input].into_iter().chain(of_keys).collect()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let order = self.spec.order.iter().map(|(expr, _)| expr);
        apply_expression_roots(self.spec.group.iter().chain(order), f)
    }

    /// More partitions would not make the rows come faster.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        let inputs = (children.next(), children.next());
        match (inputs, children.next()) {
            ((Some(input), of_keys), None)
                if of_keys.is_some() == self.joined.is_some() =>
            {
                self.with_inputs(input, of_keys)
            }
            _ => internal_err!("LateAggregateExec got another number of inputs"),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(mode))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(plan) = &self.plan else {
            return internal_err!("LateAggregateExec ran before its plan was final");
        };
        let spills = SpillMetrics::new(&self.metrics, partition);
        let run = Run {
            plan: Arc::clone(plan),
            schema: self.schema(),
            disk: Disk::new(Arc::clone(&context), spills, "LateAggregateExec"),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            narrow: PassMetrics::new(&self.metrics, "groups"),
        };
        let (this, schema) = (self.clone(), self.schema());
        let rows = async move {
            match run.rows().await {
                Err(error) if exhausted(&error) => this.standard()?.execute(0, context),
                rows => rows,
            }
        };
        let rows = stream::once(rows).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    /// Columns that nobody reads are not made.
    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let needed = indexes(projection.expr().iter().map(|column| &column.expr));
        if needed.len() == self.outputs.len() {
            return Ok(None);
        }
        let outputs = needed.iter().map(|index| self.outputs[*index].clone());
        let narrow = self.clone().with(outputs.collect());
        let columns = moved_columns(projection.expr(), &needed)?;
        let projection = ProjectionExec::try_new(columns, Arc::new(narrow))?;
        Ok(Some(Arc::new(projection)))
    }

    fn child_stats_requests(&self, _: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None); self.children().len()]
    }

    /// At most as many groups as rows: joins choose their sides by that.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let [input, ..] = inputs {
            statistics.num_rows = input.num_rows.to_inexact();
        }
        Ok(Arc::new(statistics))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}
