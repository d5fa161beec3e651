//! The plan node and its stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::TaskContext;
use datafusion::functions_window::lead_lag::WindowShift;
use datafusion::functions_window::row_number::RowNumber;
use datafusion::physical_expr::OrderingRequirements;
use datafusion::physical_expr::window::StandardWindowExpr;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements,
    InputOrderMode, PhysicalExpr, PlanProperties, RecordBatchStream,
    ReplaceChildrenOptions, SendableRecordBatchStream, WindowExpr,
};
use futures::{Stream, StreamExt};

use super::keys::Keys;
use super::run::{Call, Run};
use crate::functions::SessionCall;

/// Window functions of this crate, and `row_number()`, over rows that come ordered by key
/// and time.
///
/// It stands in for a [`BoundedWindowAggExec`] over the same rows and asks for the same
/// order and distribution; that plan answers whatever is asked of this one but the rows.
#[derive(Debug, Clone)]
pub(crate) struct SessionizeExec {
    standard: Arc<BoundedWindowAggExec>,
    calls: Vec<Call>,
    metrics: ExecutionPlanMetricsSet,
}

impl SessionizeExec {
    /// The operator in place of `standard`; `None` if it cannot give the same rows.
    pub(crate) fn in_place_of(standard: &BoundedWindowAggExec) -> Result<Option<Self>> {
        let ordered = matches!(standard.input_order_mode, InputOrderMode::Sorted);
        if !ordered || standard.state_observer().is_some() {
            return Ok(None);
        }
        let input = standard.input().schema();
        let calls = standard.window_expr().iter().map(|e| call(e, &input));
        let calls: Option<Vec<_>> = calls.collect::<Result<_>>()?;
        // what is known only later, or of another row, takes more than one pass over rows
        let calls = calls.filter(|calls| {
            calls.iter().all(|call| match call {
                Call::Session(call) => call.kind.is_causal(),
                Call::RowNumber => true,
                Call::Lag(_) => false,
            })
        });
        Ok(calls.map(|calls| Self {
            standard: Arc::new(standard.clone()),
            calls,
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    /// Whether it runs nothing but `row_number()`.
    pub(crate) fn only_numbers_rows(&self) -> bool {
        self.calls.iter().all(|c| matches!(c, Call::RowNumber))
    }

    fn first(&self) -> Option<&Arc<dyn WindowExpr>> {
        self.standard.window_expr().first()
    }

    fn over(&self) -> String {
        let Some(first) = self.first() else {
            return String::new();
        };
        let by = first.partition_by().iter().map(ToString::to_string);
        let order = first.order_by().iter().map(ToString::to_string);
        format!(
            "partition_by=[{}], order_by=[{}]",
            by.collect::<Vec<_>>().join(", "),
            order.collect::<Vec<_>>().join(", ")
        )
    }
}

/// A window's display name without the window, which is shown once.
pub(super) fn call_of(name: &str) -> &str {
    let end = name
        .find(" PARTITION BY [")
        .or_else(|| name.find(" ORDER BY ["));
    end.and_then(|end| name.get(..end)).unwrap_or(name)
}

/// The call behind a window expression; `None` if it is none of the operator's.
pub(super) fn call(
    expression: &Arc<dyn WindowExpr>,
    input: &SchemaRef,
) -> Result<Option<Call>> {
    let standard = expression.as_any().downcast_ref::<StandardWindowExpr>();
    let function = standard.map(StandardWindowExpr::get_standard_func_expr);
    let Some(function) =
        function.and_then(|f| f.as_any().downcast_ref::<WindowUDFExpr>())
    else {
        return Ok(None);
    };
    if function.fun().inner().downcast_ref::<RowNumber>().is_some() {
        return Ok(Some(Call::RowNumber));
    }
    if function.fun().inner().is::<WindowShift>() {
        let [of] = function.args() else {
            return Ok(None);
        };
        // the plan has no other word of IGNORE NULLS
        let passes_nulls = format!("{function:?}").contains("ignore_nulls: true");
        let lags = function.fun().name() == "lag" && !passes_nulls;
        return Ok(lags.then(|| Call::Lag(Arc::clone(of))));
    }
    Ok(SessionCall::of(function, input)?.map(Call::Session))
}

impl DisplayAs for SessionizeExec {
    fn fmt_as(
        &self,
        kind: DisplayFormatType,
        f: &mut std::fmt::Formatter<'_>,
    ) -> std::fmt::Result {
        let names = self
            .standard
            .window_expr()
            .iter()
            .map(|e| call_of(e.name()));
        let names = names.collect::<Vec<_>>().join(", ");
        match kind {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "SessionizeExec: functions=[{names}], {}", self.over())
            }
            DisplayFormatType::TreeRender => writeln!(f, "functions={names}"),
        }
    }
}

impl ExecutionPlan for SessionizeExec {
    fn name(&self) -> &'static str {
        "SessionizeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.standard.properties()
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

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.standard.required_input_ordering()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.standard.input_distribution_requirements()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let standard: Arc<dyn ExecutionPlan> = Arc::clone(&self.standard) as _;
        let standard = standard.replace_children(children, options)?;
        let Some(standard) = standard.downcast_ref::<BoundedWindowAggExec>() else {
            return internal_err!("a window plan became another with new children");
        };
        match Self::in_place_of(standard)? {
            Some(new) => Ok(Arc::new(new)),
            None => Ok(Arc::new(standard.clone())),
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
        let input = self.standard.input().execute(partition, context)?;
        let keys = self.first().map(|e| e.partition_by().to_vec());
        let counter = |name| MetricBuilder::new(&self.metrics).counter(name, partition);
        Ok(Box::pin(SessionizeStream {
            schema: self.schema(),
            input,
            keys: Keys::new(keys.unwrap_or_default()),
            run: Run::new(&self.calls),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            keys_seen: counter("keys"),
            sessions_seen: counter("sessions"),
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.standard.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.standard.statistics_from_inputs(inputs, args)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// One partition's rows, passing through.
struct SessionizeStream {
    schema: SchemaRef,
    input: SendableRecordBatchStream,
    keys: Keys,
    run: Run,
    metrics: BaselineMetrics,
    keys_seen: Count,
    sessions_seen: Count,
}

impl SessionizeStream {
    fn batch(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let starts = self.keys.starts(batch)?;
        let computed = self.run.batch(batch, &starts)?;
        self.keys_seen.add(starts.len());
        self.sessions_seen.add(computed.sessions);
        let mut columns = batch.columns().to_vec();
        columns.extend(computed.columns);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl Stream for SessionizeStream {
    type Item = Result<RecordBatch>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let polled = loop {
            match ready!(self.input.poll_next_unpin(context)) {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => {
                    let elapsed = self.metrics.elapsed_compute().clone();
                    let _timer = elapsed.timer();
                    break Some(self.batch(&batch));
                }
                ended => break ended,
            }
        };
        self.metrics.record_poll(Poll::Ready(polled))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.input.size_hint()
    }
}

impl RecordBatchStream for SessionizeStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
