//! The scalar functions against computations of their own: seeded rows, any batch size.

mod session_bucket_id;
mod traffic_source;
mod user_agent;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use datafusion_sessionize::{SessionizeExt, SessionizeSqlExt};

/// What `sql` makes of `columns`, which it reads as the table `rows`, in batches of `size`.
async fn answers(
    sql: &str,
    columns: Vec<(&str, ArrayRef)>,
    size: usize,
) -> Vec<RecordBatch> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let slices = (0..batch.num_rows()).step_by(size);
    let slices = slices.map(|at| batch.slice(at, size.min(batch.num_rows() - at)));
    let table = MemTable::try_new(batch.schema(), vec![slices.collect()]).unwrap();
    let context = SessionContext::new().with_sessionize();
    context.register_table("rows", Arc::new(table)).unwrap();
    let frame = context.sessionize_sql(sql).await.unwrap();
    frame.collect().await.unwrap()
}
