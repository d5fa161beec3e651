//! The plan node.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::EquivalenceProperties;
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
use futures::{StreamExt, TryStreamExt, stream};

use super::plan::AggregatePlan;
use super::run::Run;
use super::spec::{Output, Spec, Value};
use crate::operators::sessionize::late::exhausted;
use crate::operators::sessionize::late::narrow::{indexes, moved_columns, repeatable};
use crate::operators::sessionize::late::pass::PassMetrics;
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
        match AggregatePlan::new(&spec, &outputs, &input)? {
            Some(plan) if plan.sessions.is_some() || picks >= MANY => {}
            _ => return Ok(None),
        }
        let (spec, standard) = (Arc::new(spec), Arc::new(standard));
        let input = Arc::clone(standard.input());
        Ok(Some(Self::new(spec, outputs, standard, input)))
    }

    fn new(
        spec: Arc<Spec>,
        outputs: Vec<Output>,
        standard: Arc<AggregateExec>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let fields = outputs.iter().map(|output| Arc::clone(&output.field));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            input.boundedness(),
        );
        Self {
            spec,
            outputs,
            standard,
            input,
            plan: None,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The operator, ready to run: all rules over the plan have run.
    pub(crate) fn ready(&self) -> Result<Option<Self>> {
        let Some(input) = repeatable(&self.input)? else {
            return Ok(None);
        };
        let Some(plan) = AggregatePlan::new(&self.spec, &self.outputs, &input)? else {
            return Ok(None);
        };
        let mut ready = self.over(input);
        ready.plan = Some(Arc::new(plan));
        Ok(Some(ready))
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        let (spec, standard) = (Arc::clone(&self.spec), Arc::clone(&self.standard));
        Self::new(spec, self.outputs.clone(), standard, input)
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let new = self.over(input);
        if self.plan.is_none() {
            return Ok(new);
        }
        match new.ready()? {
            Some(ready) => Ok(ready),
            None => {
                internal_err!("LateAggregateExec got an input that may give other rows")
            }
        }
    }

    /// The aggregation by DataFusion's own operator.
    fn standard(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let standard = &self.standard;
        let input: Arc<dyn ExecutionPlan> =
            match self.input.output_partitioning().partition_count() {
                1 => Arc::clone(&self.input),
                _ => Arc::new(CoalescePartitionsExec::new(Arc::clone(&self.input))),
            };
        Ok(Arc::new(AggregateExec::try_new(
            AggregateMode::Single,
            Arc::new(standard.group_expr().clone()),
            standard.aggr_expr().to_vec(),
            standard.filter_expr().to_vec(),
            input,
            standard.input_schema(),
        )?))
    }
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
            Some(plan) if plan.sessions.is_some() => write!(f, ", groups=sessions"),
            _ => Ok(()),
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
        vec![&self.input]
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
        vec![false]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(self.with_input(input)?)),
            Err(_) => internal_err!("LateAggregateExec has one input"),
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
                Err(error) if exhausted(&error) => this.standard_rows(context),
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
        let (spec, standard) = (Arc::clone(&self.spec), Arc::clone(&self.standard));
        let input = Arc::clone(&self.input);
        let narrow = Self::new(spec, outputs.collect(), standard, input);
        let columns = moved_columns(projection.expr(), &needed)?;
        let projection = ProjectionExec::try_new(columns, Arc::new(narrow))?;
        Ok(Some(Arc::new(projection)))
    }

    fn child_stats_requests(&self, _: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None)]
    }

    /// At most as many groups as rows: joins choose their sides by that.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let [input] = inputs {
            statistics.num_rows = input.num_rows.to_inexact();
        }
        Ok(Arc::new(statistics))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}

impl LateAggregateExec {
    /// The rows by DataFusion's own operator, which goes to disk where it must.
    fn standard_rows(
        &self,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.standard()?.execute(0, context)?;
        let places: Vec<_> = self.outputs.iter().map(|output| output.place).collect();
        let schema = self.schema();
        let rows = rows.map(move |batch| {
            let batch = batch?;
            let columns = places.iter().map(|place| Arc::clone(batch.column(*place)));
            let count = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let (schema, columns) = (Arc::clone(&schema), columns.collect());
            Ok(RecordBatch::try_new_with_options(schema, columns, &count)?)
        });
        let schema = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
