//! Batches from disk, mapped and sorted in bounded memory by DataFusion's own sort.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, stream};

use super::disk::{Disk, OnDisk};

/// What becomes of each batch before it is sorted.
type Map = dyn Fn(&RecordBatch) -> Result<RecordBatch> + Send + Sync;

/// The batches of `source`, mapped, sorted by the first `columns` columns, nulls last.
pub(in crate::operators) fn sorted(
    disk: &Disk,
    source: &OnDisk,
    schema: SchemaRef,
    map: Arc<Map>,
    columns: usize,
) -> Result<SendableRecordBatchStream> {
    let options = SortOptions {
        descending: false,
        nulls_first: false,
    };
    let order = ordering(&schema, (0..columns).map(|index| (index, options)))?;
    let mapped = source.stream()?.map(move |batch| map(&batch?));
    let mapped = RecordBatchStreamAdapter::new(schema, mapped);
    sorted_stream(Box::pin(mapped), order, disk.context())
}

/// The rows of `batches` in an order.
pub(in crate::operators) fn sorted_stream(
    batches: SendableRecordBatchStream,
    order: LexOrdering,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let schema = batches.schema();
    let once = Arc::new(Once {
        schema: Arc::clone(&schema),
        batches: Mutex::new(Some(batches)),
    });
    let scan = StreamingTableExec::try_new(schema, vec![once], None, [], false, None)?;
    SortExec::new(order, Arc::new(scan)).execute(0, context)
}

/// An order by columns of `schema`: their places, and how each sorts.
pub(in crate::operators) fn ordering(
    schema: &SchemaRef,
    columns: impl Iterator<Item = (usize, SortOptions)>,
) -> Result<LexOrdering> {
    let order = columns.map(|(index, options)| {
        let column = Column::new(schema.field(index).name(), index);
        PhysicalSortExpr::new(Arc::new(column), options)
    });
    match LexOrdering::new(order) {
        Some(order) => Ok(order),
        None => internal_err!("nothing to sort by"),
    }
}

/// Rows that are read once.
struct Once {
    schema: SchemaRef,
    batches: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Once").field(&self.schema).finish()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let schema = Arc::clone(&self.schema);
        batches.take().unwrap_or_else(|| {
            let again = stream::once(async { internal_err!("rows are read once") });
            Box::pin(RecordBatchStreamAdapter::new(schema, again))
        })
    }
}
