//! Batches from disk, mapped and sorted in bounded memory by DataFusion's own sort.

use std::fmt;
use std::sync::Arc;

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
use futures::{StreamExt, TryStreamExt, stream};

use super::disk::{Disk, OnDisk};

/// What becomes of each batch before it is sorted.
type Map = dyn Fn(&RecordBatch) -> Result<RecordBatch> + Send + Sync;

/// The batches of `source`, mapped, sorted by the first `columns` columns, nulls last.
pub(in crate::operators) fn sorted(
    disk: &Disk,
    source: OnDisk,
    schema: SchemaRef,
    map: Arc<Map>,
    columns: usize,
) -> Result<SendableRecordBatchStream> {
    let options = SortOptions {
        descending: false,
        nulls_first: false,
    };
    let order = ordering(&schema, (0..columns).map(|index| (index, options)))?;
    let mapped = Arc::new(Mapped {
        source,
        schema: Arc::clone(&schema),
        map,
    });
    let scan = StreamingTableExec::try_new(schema, vec![mapped], None, [], false, None)?;
    SortExec::new(order, Arc::new(scan)).execute(0, disk.context())
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

struct Mapped {
    source: OnDisk,
    schema: SchemaRef,
    map: Arc<Map>,
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mapped").field(&self.source).finish()
    }
}

impl PartitionStream for Mapped {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let map = Arc::clone(&self.map);
        let batches = match self.source.stream() {
            Ok(batches) => batches.map(move |batch| map(&batch?)).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        };
        let schema = Arc::clone(&self.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, batches.into_stream()))
    }
}
