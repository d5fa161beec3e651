//! `row_number()` of groups, found before their rows are read.
//!
//! Sorted are hashes of keys, what keys are ordered by and the numbers of groups; DataFusion
//! would sort all columns of all groups.

use std::fmt::{Display, Formatter};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array,
};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Schema, SchemaRef, UInt32Type, UInt64Type,
};
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::WindowFrame;
use datafusion::physical_expr::window::StandardWindowExpr;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, create_udwf_window_expr};
use datafusion::physical_plan::{
    ExecutionPlan, InputOrderMode, PhysicalExpr, WindowExpr,
};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};

use super::assemble::{Known, Rows};
use super::picking::Picking;
use super::picks::Reading;
use super::plan::Made;
use super::spec::Output;
use crate::operators::sessionize::SessionizeExec;
use crate::operators::sessionize::late::entries::KeyHasher;
use crate::operators::sessionize::late::narrow::shifted;
use crate::operators::sessionize::late::order::{By, by, shown};
use crate::operators::sessionize::late::other_rows;
use crate::operators::spill::{ordering, sorted_stream};

/// How many columns the hash of a key has.
const HASHES: usize = 2;

/// A window of `row_number()` over groups.
#[derive(Debug)]
pub(super) struct Numbering {
    /// What it reads.
    pub(super) outputs: Vec<Output>,
    pub(super) key: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) order: By,
}

impl Display for Numbering {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let key: Vec<_> = self.key.iter().map(ToString::to_string).collect();
        write!(
            f,
            "partition_by={}, order_by={}",
            key.join(", "),
            shown(&self.order)
        )
    }
}

impl Numbering {
    /// The numbers by DataFusion's own operator, in a column after those of `groups`.
    pub(super) fn by_standard(
        &self,
        groups: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = groups.schema();
        let places: Vec<_> = self.outputs.iter().map(|output| output.place).collect();
        let read: Vec<_> = (0..places.len()).collect();
        let over = |e: &Arc<dyn PhysicalExpr>| shifted(e, &read, &places);
        let key = self.key.iter().map(over).collect::<Result<Vec<_>>>()?;
        let order = by(&self.order, over)?.into_iter();
        let order = order.map(|(e, options)| PhysicalSortExpr::new(e, options));
        let order: Vec<_> = order.collect();
        let function = create_udwf_window_expr(
            &row_number_udwf(),
            &[],
            &schema,
            "row_number".to_owned(),
            false,
        )?;
        let frame = WindowFrame::new(Some(false));
        let window: Arc<dyn WindowExpr> = Arc::new(StandardWindowExpr::new(
            function,
            &key,
            &order,
            Arc::new(frame),
        ));
        let keys = key.into_iter().map(PhysicalSortExpr::new_default);
        let Some(sorted) = LexOrdering::new(keys.chain(order)) else {
            return internal_err!("groups are numbered without an order");
        };
        let sort = Arc::new(SortExec::new(sorted, groups));
        let ordered = InputOrderMode::Sorted;
        let window = BoundedWindowAggExec::try_new(vec![window], sort, ordered, true)?;
        Ok(match SessionizeExec::in_place_of(&window)? {
            Some(faster) => Arc::new(faster),
            None => Arc::new(window),
        })
    }
}

/// What is read for it.
#[derive(Debug, Clone)]
pub(super) struct NumberingPlan {
    /// The slot whose row any value is taken from; none if no row is read.
    pub(super) slot: Option<usize>,
    pub(super) picks: Arc<Picking>,
    pub(super) columns: Vec<(FieldRef, Made)>,
    pub(super) key: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) order: By,
}

/// The plan as it runs.
pub(super) struct NumberingStreams {
    plan: NumberingPlan,
    rows: Vec<SendableRecordBatchStream>,
}

impl NumberingPlan {
    pub(super) fn start(&self, context: &Arc<TaskContext>) -> Result<NumberingStreams> {
        Ok(NumberingStreams {
            plan: self.clone(),
            rows: self.picks.execute(context)?,
        })
    }

    /// What is sorted of groups of which the rows have the columns of `rows`.
    fn schema(&self, rows: &SchemaRef) -> Result<SchemaRef> {
        let hash = || Field::new("hash", DataType::UInt64, false);
        let order = self
            .order
            .iter()
            .map(|(e, _)| Ok(Field::new("order", e.data_type(rows)?, e.nullable(rows)?)));
        let mut fields = vec![hash(), hash()];
        fields.extend(order.collect::<Result<Vec<_>>>()?);
        fields.push(Field::new("group", DataType::UInt32, false));
        Ok(Arc::new(Schema::new(fields)))
    }

    /// What is sorted of some groups.
    fn sorted_of(
        &self,
        groups: Vec<u32>,
        rows: &RecordBatch,
        hasher: &mut KeyHasher,
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let count = groups.len();
        let value = |e: &Arc<dyn PhysicalExpr>| e.evaluate(rows)?.into_array(count);
        let keys = self.key.iter().map(value);
        let [first, second] = hasher.hash(&keys.collect::<Result<Vec<_>>>()?, count)?;
        let hash = |hashes: &[u64]| Arc::new(UInt64Array::from(hashes.to_vec()));
        let mut columns: Vec<ArrayRef> = vec![hash(first), hash(second)];
        for (e, _) in &self.order {
            columns.push(value(e)?);
        }
        columns.push(Arc::new(UInt32Array::from(groups)));
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

impl NumberingStreams {
    /// The number of each group.
    pub(super) async fn numbers(
        self,
        known: &Arc<Known>,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<u32>> {
        let groups = known.groups.groups;
        let rows = Rows::new(&self.plan.columns, known, Vec::new());
        let schema = self.plan.schema(&rows.schema)?;
        let ascending = SortOptions::default();
        let options = std::iter::repeat_n(ascending, HASHES);
        let options = options.chain(self.plan.order.iter().map(|(_, options)| *options));
        let order = ordering(&schema, options.enumerate())?;
        let batch_size = context.session_config().batch_size();
        let unsorted = self.unsorted(rows, schema, batch_size);
        let mut sorted = sorted_stream(unsorted, order, Arc::clone(context))?;
        let mut numbers = vec![0; groups];
        let mut last = None;
        let mut number = 0;
        while let Some(batch) = sorted.next().await.transpose()? {
            let hashes = |place: usize| batch.column(place).as_primitive::<UInt64Type>();
            let keys = hashes(0).values().iter().zip(hashes(1).values());
            let of_rows = batch.column(batch.num_columns() - 1);
            let of_rows = of_rows.as_primitive::<UInt32Type>().values();
            for ((first, second), group) in keys.zip(of_rows) {
                let key = Some((*first, *second));
                number = if key == last { number + 1 } else { 1 };
                last = key;
                numbers[*group as usize] = number;
            }
        }
        // each group has a row
        match numbers.contains(&0) {
            true => Err(other_rows()),
            false => Ok(numbers),
        }
    }

    fn unsorted(
        self,
        rows: Rows,
        schema: SchemaRef,
        batch_size: usize,
    ) -> SendableRecordBatchStream {
        let groups = &rows.known.groups;
        let all = groups.groups as u32;
        let picked: SendableGroups = match self.plan.slot {
            Some(slot) => {
                let rows = &groups.rows[slot..=slot];
                let (picks, addresses) = (&self.plan.picks, &groups.partitions);
                let reading = Reading::start(picks, self.rows, addresses, rows);
                let picks = stream::try_unfold(reading, |mut reading| async {
                    let picks = reading.next().await?;
                    Ok(picks.map(|picks| ((picks.groups, vec![picks.columns]), reading)))
                });
                picks.boxed()
            }
            None => {
                let from = (0..all).step_by(batch_size.max(1));
                let groups = from.map(move |from| {
                    let until = all.min(from.saturating_add(batch_size as u32));
                    Ok(((from..until).collect(), Vec::new()))
                });
                stream::iter(groups).boxed()
            }
        };
        let (plan, sorted) = (self.plan, Arc::clone(&schema));
        let mut state = (rows, KeyHasher::default());
        let batches = picked.map(move |picked| {
            let (groups, columns): (Vec<u32>, _) = picked?;
            let (rows, hasher) = &mut state;
            let rows = rows.of(&groups, &columns)?;
            plan.sorted_of(groups, &rows, hasher, &sorted)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

/// Groups, and the columns that are read of their rows.
type SendableGroups = BoxStream<'static, Result<(Vec<u32>, Vec<Vec<ArrayRef>>)>>;
