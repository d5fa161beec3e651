//! The plan node.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, EmissionType, apply_expression_roots,
    reset_plan_states,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics,
};
#[cfg(feature = "runner")]
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PhysicalExpr, PlanProperties, ReplaceChildrenOptions, SendableRecordBatchStream,
};
use futures::{TryStreamExt, stream};

use super::emit::{Emit, Function, Output};
use super::lineage::{self, Lineage};
use super::narrow::{indexes, moved_columns, named, project, repeatable};
use super::order::shown;
use super::stream::{Pass, Passes, Wide};
use super::window::{Shape, Windows};
use crate::operators::sessionize::exec::call_of;
use crate::operators::spill::Disk;

/// Window functions of this crate, and `row_number()`, beside rows that leave as they come.
///
/// Its input gives the same rows in the same order in every run ([`narrow`](super::narrow)).
#[derive(Debug, Clone)]
pub(crate) struct LateSessionizeExec {
    shape: Arc<Shape>,
    outputs: Vec<Output>,
    input: Arc<dyn ExecutionPlan>,
    /// There once the plan around is final.
    pass: Option<Arc<Pass>>,
    /// Whether the metrics of the pass are shown here, not by another one that shares it.
    shows_pass: bool,
    /// What it was before the plan around asked for fewer columns. The shape is over the
    /// input of that.
    whole: Option<Whole>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// An operator with all columns, and where those of a narrower one are among them.
#[derive(Debug, Clone)]
struct Whole {
    exec: Arc<LateSessionizeExec>,
    columns: Vec<usize>,
}

impl LateSessionizeExec {
    /// The operator in place of `window`; `None` if it cannot give the same rows.
    pub(crate) fn in_place_of(window: Windows<'_>) -> Result<Option<Self>> {
        let Some((shape, outputs)) = Shape::of(window)? else {
            return Ok(None);
        };
        let input = Arc::clone(window.input);
        if repeatable(&input)?.is_none() {
            return Ok(None);
        }
        Self::new(Arc::new(shape), outputs, input).map(Some)
    }

    /// Whether it runs nothing but `row_number()`.
    pub(crate) fn only_numbers_rows(&self) -> bool {
        self.shape.rules.is_empty() && !self.shape.lags && !self.shape.counts
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What tells its functions from those of others over `rows`; `None` as long as nothing
    /// does.
    pub(super) fn windows(&self, rows: &Lineage) -> Result<Option<lineage::Windows>> {
        if let Some(pass) = &self.pass {
            return Ok(Some(lineage::Windows::Pass(Arc::clone(pass))));
        }
        if !self.shape.rules.is_empty() {
            return Ok(None);
        }
        let key = self.shape.key.iter().map(|e| rows.expr(e));
        Ok(Some(lineage::Windows::Over {
            key: key.collect::<Result<_>>()?,
            order: rows.order(&self.shape.order)?,
        }))
    }

    /// A word for each function that says all of it, but for the window; `None` if one may be
    /// made of anything.
    pub(super) fn words(&self) -> Option<Vec<String>> {
        let words = self.outputs.iter().map(|output| match &output.function {
            Function::Session { kind, .. } if kind.has_key() => None,
            Function::Session { kind, rule, .. } => Some(format!("{kind:?} {rule}")),
            function => Some(format!("{function:?}")),
        });
        words.collect()
    }

    /// The function that `expression` is the column of; `None` if it is none.
    pub(super) fn output(&self, expression: &Arc<dyn PhysicalExpr>) -> Option<&Output> {
        let column = expression.downcast_ref::<Column>()?;
        self.outputs.get(column.index().checked_sub(self.width())?)
    }

    fn new(
        shape: Arc<Shape>,
        outputs: Vec<Output>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Self> {
        let schema = input.schema();
        let added = outputs.iter().map(|output| &output.field);
        let fields: Vec<_> = schema.fields().iter().chain(added).cloned().collect();
        let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            input.boundedness(),
        );
        Ok(Self {
            shape,
            outputs,
            input,
            pass: None,
            shows_pass: false,
            whole: None,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// The operator, ready to run: all rules over the plan have run.
    pub(crate) fn ready(&self, passes: &mut Passes) -> Result<Option<Self>> {
        let Some(input) = repeatable(&self.input)? else {
            return Ok(None);
        };
        if self.whole.is_some() {
            return self.with_input(input).map(Some);
        }
        let window = self.shape.over(&input)?;
        let mut ready = Self::new(Arc::clone(&self.shape), self.outputs.clone(), input)?;
        let (pass, is_new) = passes.of(window)?;
        (ready.pass, ready.shows_pass) = (Some(pass), is_new);
        Ok(Some(ready))
    }

    /// The same rows with fewer columns, and `columns` over them. The narrow pass is shared.
    pub(super) fn project(
        &self,
        columns: Vec<ProjectionExpr>,
    ) -> Result<(Arc<dyn ExecutionPlan>, Vec<ProjectionExpr>)> {
        let width = self.width();
        let needed = indexes(columns.iter().map(|column| &column.expr));
        let outputs = needed.iter().filter(|index| **index >= width);
        let outputs: Vec<_> = outputs.map(|index| &self.outputs[index - width]).collect();
        if outputs.is_empty() {
            return Ok((Arc::clone(&self.input), columns));
        }
        let read = outputs.iter().flat_map(|output| output.read());
        let mut kept = indexes(read);
        kept.extend(needed.iter().filter(|index| **index < width));
        kept.sort_unstable();
        kept.dedup();
        let input = project(&self.input, named(&kept, &self.input))?;
        let outputs = outputs.iter().map(|output| output.moved(&kept));
        let outputs = outputs.collect::<Result<_>>()?;
        let mut narrow = Self::new(Arc::clone(&self.shape), outputs, input)?;
        narrow.pass.clone_from(&self.pass);
        narrow.shows_pass = self.shows_pass;
        kept.extend(needed.into_iter().filter(|index| *index >= width));
        let columns = moved_columns(&columns, &kept)?;
        narrow.whole = Some(match &self.whole {
            None => Whole {
                exec: Arc::new(self.clone()),
                columns: kept,
            },
            Some(whole) => Whole {
                exec: Arc::clone(&whole.exec),
                columns: kept.iter().map(|index| whole.columns[*index]).collect(),
            },
        });
        Ok((Arc::new(narrow), columns))
    }

    /// How many columns its rows have before it adds to them.
    pub(super) fn width(&self) -> usize {
        self.input.schema().fields().len()
    }

    /// The same columns of the operator with all of them; `None` if it has them.
    #[cfg(feature = "runner")]
    pub(super) fn widened(&self) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(Whole { exec, columns }) = &self.whole else {
            return Ok(None);
        };
        let whole = Arc::clone(exec) as Arc<dyn ExecutionPlan>;
        let columns = named(columns, &whole);
        let columns = ProjectionExec::try_new(columns, whole)?;
        Ok(Some(Arc::new(columns)))
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let outputs = self.outputs.clone();
        let mut new = Self::new(Arc::clone(&self.shape), outputs, input)?;
        if self.pass.is_none() {
            return Ok(new);
        }
        if let Some(Whole { exec, columns }) = &self.whole {
            // the narrow pass reads more than the input has: the same anew
            let exec = exec.with_input(reset_plan_states(Arc::clone(&exec.input))?)?;
            (new.pass, new.shows_pass) = (exec.pass.clone(), exec.shows_pass);
            new.whole = Some(Whole {
                exec: Arc::new(exec),
                columns: columns.clone(),
            });
            return Ok(new);
        }
        match new.ready(&mut Passes::default())? {
            Some(ready) => Ok(ready),
            None => {
                internal_err!("LateSessionizeExec got an input that may give other rows")
            }
        }
    }
}

impl DisplayAs for LateSessionizeExec {
    fn fmt_as(
        &self,
        kind: DisplayFormatType,
        f: &mut std::fmt::Formatter<'_>,
    ) -> std::fmt::Result {
        let names = self.outputs.iter().map(|o| call_of(o.field.name()));
        let names = names.collect::<Vec<_>>().join(", ");
        if kind == DisplayFormatType::TreeRender {
            return writeln!(f, "functions={names}");
        }
        let key = self.shape.key.iter().map(ToString::to_string);
        write!(
            f,
            "LateSessionizeExec: functions=[{names}], partition_by=[{}], order_by=[{}]",
            key.collect::<Vec<_>>().join(", "),
            shown(&self.shape.order)
        )
    }
}

impl ExecutionPlan for LateSessionizeExec {
    fn name(&self) -> &'static str {
        "LateSessionizeExec"
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
        let order = self.shape.order.iter().map(|(expr, _)| expr);
        apply_expression_roots(self.shape.key.iter().chain(order), f)
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
            Err(_) => internal_err!("LateSessionizeExec has one input"),
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
        let Some(pass) = &self.pass else {
            return internal_err!("LateSessionizeExec ran before its plan was final");
        };
        let spills = SpillMetrics::new(&self.metrics, partition);
        let disk = Disk::new(Arc::clone(&context), spills, "LateSessionizeExec");
        let wide = Wide {
            partition,
            // here, so that what it shares with narrow plans lives on
            rows: self.input.execute(partition, context)?,
            pass: Arc::clone(pass),
            running: pass.run(&disk),
            disk,
            emit: Emit::new(self.schema(), self.outputs.clone()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let rows = stream::once(wide.stream()).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        if let Some(pass) = self.pass.as_ref().filter(|_| self.shows_pass) {
            for metric in pass.metrics().clone_inner().iter() {
                metrics.push(Arc::clone(metric));
            }
        }
        Some(metrics)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let [input] = inputs {
            statistics.num_rows = input.num_rows;
            for (of, from) in statistics
                .column_statistics
                .iter_mut()
                .zip(&input.column_statistics)
            {
                *of = from.clone();
            }
        }
        Ok(Arc::new(statistics))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
