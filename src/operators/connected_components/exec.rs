//! The plan node and its work.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::window::StandardWindowExpr;
use datafusion::physical_plan::execution_plan::{
    Boundedness, CardinalityEffect, ChildrenPropertiesMode, EmissionType,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{WindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements,
    Partitioning, PhysicalExpr, PlanProperties, ReplaceChildrenOptions,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};

use super::held_rows::HeldRows;
use super::links::{LinkWriter, NODE, contracted, node_column};
use super::merge::Labels;
use crate::functions::{Components, ConnectedComponent, Node, labels_array, nodes};
use crate::operators::spill::{Disk, sorted};

/// `connected_component(id, other_id) OVER ()`.
///
/// It stands in for a [`WindowAggExec`] over the same rows, which holds all of them in
/// memory that nobody counts. Rows may leave in another order.
#[derive(Debug, Clone)]
pub(crate) struct ConnectedComponentsExec {
    standard: Arc<WindowAggExec>,
    arguments: [Arc<dyn PhysicalExpr>; 2],
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ConnectedComponentsExec {
    /// The operator in place of `standard`; `None` if that is another window.
    pub(crate) fn in_place_of(standard: &WindowAggExec) -> Option<Self> {
        let [window] = standard.window_expr() else {
            return None;
        };
        if !window.partition_by().is_empty() || !window.order_by().is_empty() {
            return None;
        }
        let function = window.as_any().downcast_ref::<StandardWindowExpr>()?;
        let function = function.get_standard_func_expr().as_any();
        let function = function.downcast_ref::<WindowUDFExpr>()?;
        let udwf = function.fun().inner();
        udwf.downcast_ref::<ConnectedComponent>()?;
        let arguments: [_; 2] = function.args().to_vec().try_into().ok()?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(standard.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Some(Self {
            standard: Arc::new(standard.clone()),
            arguments,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for ConnectedComponentsExec {
    fn fmt_as(
        &self,
        kind: DisplayFormatType,
        f: &mut std::fmt::Formatter<'_>,
    ) -> std::fmt::Result {
        let [id, other] = &self.arguments;
        match kind {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "ConnectedComponentsExec: id={id}, other_id={other}")
            }
            DisplayFormatType::TreeRender => writeln!(f, "id={id}\nother_id={other}"),
        }
    }
}

impl ExecutionPlan for ConnectedComponentsExec {
    fn name(&self) -> &'static str {
        "ConnectedComponentsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.standard.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.standard.apply_expressions(f)
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.standard.input_distribution_requirements()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let standard: Arc<dyn ExecutionPlan> = Arc::clone(&self.standard) as _;
        let standard = standard.replace_children(children, options)?;
        let standard = standard.downcast_ref::<WindowAggExec>();
        match standard.and_then(Self::in_place_of) {
            Some(new) => Ok(Arc::new(new)),
            None => internal_err!("a window plan became another with new children"),
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
        let input = self
            .standard
            .input()
            .execute(partition, Arc::clone(&context))?;
        let spills = SpillMetrics::new(&self.metrics, partition);
        let work = Work {
            arguments: self.arguments.clone(),
            disk: Disk::new(context, spills, "connected components"),
            input: input.schema(),
            output: self.schema(),
        };
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let rows = stream::once(async move { Box::pin(work.run(input)).await });
        let rows = rows.try_flatten().inspect_ok(move |batch| {
            baseline.record_output(batch.num_rows());
        });
        let schema = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// Rows with their labels.
type Rows = BoxStream<'static, Result<RecordBatch>>;

struct Work {
    arguments: [Arc<dyn PhysicalExpr>; 2],
    disk: Disk,
    input: SchemaRef,
    output: SchemaRef,
}

/// The links so far.
enum Links {
    InMemory(Components),
    OnDisk(LinkWriter),
}

impl Work {
    async fn run(self, mut input: SendableRecordBatchStream) -> Result<Rows> {
        let context = self.disk.context();
        let pool = context.memory_pool();
        let charged = |what| {
            MemoryConsumer::new(what)
                .with_can_spill(true)
                .register(pool)
        };
        let mut held = HeldRows::new(
            self.disk.clone(),
            Arc::clone(&self.input),
            charged("rows that wait for their component"),
        );
        let mut links = Links::InMemory(Components::charged(charged("components")));
        while let Some(batch) = input.next().await {
            let batch = batch?;
            let [ids, others] = &self.arguments;
            let ids = nodes_of(ids, &batch)?;
            for (id, other) in ids.into_iter().zip(nodes_of(others, &batch)?) {
                if let (Some(id), Some(other)) = (id, other) {
                    links = self.join(links, &mut held, id, other)?;
                }
            }
            held.push(batch)?;
        }
        drop(input);
        match links {
            Links::InMemory(components) => self.label(held, components),
            Links::OnDisk(writer) => self.merge(held, writer).await,
        }
    }

    /// Adds a link; where memory ends, what is known goes to disk.
    fn join(
        &self,
        links: Links,
        held: &mut HeldRows,
        id: Node,
        other: Node,
    ) -> Result<Links> {
        let mut components = match links {
            Links::OnDisk(mut writer) => {
                writer.push(id, other)?;
                return Ok(Links::OnDisk(writer));
            }
            Links::InMemory(components) => components,
        };
        let Err(error) = components.join(id, other) else {
            return Ok(Links::InMemory(components));
        };
        let DataFusionError::ResourcesExhausted(_) = error.find_root() else {
            return Err(error);
        };
        held.spill()?;
        if components.join(id, other).is_ok() {
            return Ok(Links::InMemory(components));
        }
        let mut writer = LinkWriter::try_new(&self.disk)?;
        for (id, label) in components.links() {
            writer.push(id, label)?;
        }
        writer.push(id, other)?;
        Ok(Links::OnDisk(writer))
    }

    /// Labels rows out of memory, in their order.
    fn label(self, held: HeldRows, mut components: Components) -> Result<Rows> {
        let rows = held.stream()?;
        let labelled = rows.map(move |batch| {
            let batch = batch?;
            let ids = nodes_of(&self.arguments[0], &batch)?.into_iter();
            let labels = ids.map(|id| id.map(|id| components.label(id)));
            let mut columns = batch.columns().to_vec();
            columns.push(labels_array(labels));
            Ok(RecordBatch::try_new(Arc::clone(&self.output), columns)?)
        });
        Ok(labelled.boxed())
    }

    /// Labels rows on disk, in the order of their ids.
    async fn merge(self, held: HeldRows, links: LinkWriter) -> Result<Rows> {
        let held = held.on_disk()?;
        let labels = contracted(&self.disk, links.finish()?).await?;
        let id = Field::new("__id", NODE, true);
        let fields = self.input.fields().iter().cloned();
        let fields = std::iter::once(Arc::new(id)).chain(fields);
        let with_id = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let schema = Arc::clone(&with_id);
        let argument = Arc::clone(&self.arguments[0]);
        let map = move |batch: &RecordBatch| {
            let ids = nodes_of(&argument, batch)?.into_iter();
            let mut columns = vec![node_column(ids)?];
            columns.extend_from_slice(batch.columns());
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        };
        let rows = sorted(&self.disk, &held, with_id, Arc::new(map), 1)?;
        let labels = Labels::new(labels.stream()?);
        let output = self.output;
        let merged = stream::try_unfold((rows, labels), move |(mut rows, mut labels)| {
            let output = Arc::clone(&output);
            async move {
                let Some(batch) = rows.next().await.transpose()? else {
                    return Ok(None);
                };
                let mut columns = batch.columns()[1..].to_vec();
                columns.push(labels.of(&batch).await?);
                let batch = RecordBatch::try_new(output, columns)?;
                Ok(Some((batch, (rows, labels))))
            }
        });
        Ok(merged.boxed())
    }
}

fn nodes_of(
    argument: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
) -> Result<Vec<Option<Node>>> {
    let values = argument.evaluate(batch)?;
    nodes(&values.into_array(batch.num_rows())?)
}
