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

use super::numbering::Numbering;
use super::of_key::Joined;
use super::plan::AggregatePlan;
use super::run::Run;
use super::spec::{Output, Spec, Value};
use crate::operators::sessionize::late::exhausted;
use crate::operators::sessionize::late::narrow::{indexes, moved_columns, repeatable};
use crate::operators::sessionize::late::pass::PassMetrics;
use crate::operators::spill::Disk;

/// How many values must be picked for two passes to cost less than one, however few the groups.
const MANY: usize = 4;

/// An aggregation that picks first and last rows, or whose groups are sessions.
///
/// Its input gives the same rows in the same order in every run.
#[derive(Debug, Clone)]
pub(crate) struct LateAggregateExec {
    pub(super) spec: Arc<Spec>,
    pub(super) outputs: Vec<Output>,
    /// The aggregation as DataFusion planned it: where memory does not suffice, it runs.
    pub(super) standard: Arc<AggregateExec>,
    input: Arc<dyn ExecutionPlan>,
    /// What the groups, which are sessions, are joined to.
    pub(super) joined: Option<(Arc<Joined>, Arc<dyn ExecutionPlan>)>,
    pub(super) numbering: Option<Arc<Numbering>>,
    /// There once the plan around is final.
    plan: Option<Arc<AggregatePlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LateAggregateExec {
    pub(super) fn new(
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
    pub(super) fn with(self, outputs: Vec<Output>) -> Self {
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
    pub(super) fn ready(&self) -> Result<Option<Self>> {
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

    /// Whether DataFusion's own operators are faster where there are few groups: rows are
    /// sorted for fewer values than it takes to pay for that.
    fn is_for_many_groups(&self) -> bool {
        let picks = self.outputs.iter().map(|output| &output.value);
        let picks = picks.filter(|v| matches!(v, Value::Pick { .. })).count();
        let sessions = self.plan.as_ref().is_some_and(|p| p.sessions.is_some());
        picks < MANY && !sessions
    }

    /// The same by DataFusion's own operators, which go to disk where they must.
    fn standard(&self) -> Result<Arc<dyn ExecutionPlan>> {
        self.over_standard(single(&self.standard, &self.input)?)
    }

    /// What it makes of the rows of the aggregation.
    fn over_standard(
        &self,
        mut standard: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some((joined, input)) = &self.joined {
            standard = joined.to(standard, single(&joined.standard, input)?)?;
        }
        if let Some(numbering) = &self.numbering {
            standard = numbering.by_standard(standard)?;
        }
        let schema = standard.schema();
        let last = schema.fields().len() - 1;
        let columns = self.outputs.iter().map(|output| {
            let place = match output.value {
                Value::RowNumber => last,
                _ => output.place,
            };
            let column = Column::new(schema.field(place).name(), place);
            ProjectionExpr::new(Arc::new(column), output.field.name())
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

/// An aggregation in two steps, the first of which all threads share: few groups cost it least.
fn in_two_steps(
    of: &AggregateExec,
    input: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if input.output_partitioning().partition_count() == 1 {
        return single(of, input);
    }
    let functions = || of.aggr_expr().to_vec();
    let first = AggregateExec::try_new(
        AggregateMode::Partial,
        Arc::new(of.group_expr().clone()),
        functions(),
        of.filter_expr().to_vec(),
        Arc::clone(input),
        of.input_schema(),
    )?;
    let groups = first.group_expr().as_final();
    let parts = Arc::new(CoalescePartitionsExec::new(Arc::new(first)));
    Ok(Arc::new(AggregateExec::try_new(
        AggregateMode::Final,
        Arc::new(groups),
        functions(),
        vec![None; of.aggr_expr().len()],
        parts,
        of.input_schema(),
    )?))
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
            let plan = &run.plan.keyed;
            if this.is_for_many_groups() && plan.has_few_keys(&context).await? {
                let standard = in_two_steps(&this.standard, &this.input)?;
                return this.over_standard(standard)?.execute(0, context);
            }
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
