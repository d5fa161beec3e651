//! The rows of a query as one Parquet file.

mod sink;

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::DataFrame;
use futures::{StreamExt, stream};

use self::sink::ParquetSink;
use super::splice::Splice;
use super::{changed, execution_error, or_changed, query_failed};
use crate::runner::error::{Result, RunnerError};

/// Rows of a query, planned and not run.
#[derive(Debug)]
pub struct QueryRows {
    logical: LogicalPlan,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
}

/// Why rows are not in a file: the query, or the file.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// The query failed.
    #[error(transparent)]
    Query(#[from] RunnerError),
    /// The place that the file goes to failed (an [`std::io::Error`] inside), or Parquet
    /// cannot hold such rows.
    #[error(transparent)]
    File(#[from] ParquetError),
}

impl QueryRows {
    pub(crate) async fn of(rows: DataFrame) -> Result<Self> {
        let context = Arc::new(rows.task_ctx());
        let logical = rows.logical_plan().clone();
        let plan = rows.create_physical_plan().await.map_err(execution_error)?;
        Ok(Self {
            logical,
            plan,
            context,
        })
    }

    /// Runs the query. An error comes after its last row if a file that it read is no longer
    /// as it was.
    pub fn stream(self) -> Result<SendableRecordBatchStream> {
        let rows = execute_stream(self.plan, self.context).map_err(execution_error)?;
        let schema = rows.schema();
        let rows = stream::unfold(Some((rows, self.logical)), next_or_changed);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// Runs the query and writes its rows as one Parquet file; gives the number of rows.
    ///
    /// Where the rows are those of Parquet files with columns more, the files' column chunks
    /// are copied, and of row groups that lose some rows the pages are put together anew.
    pub async fn write_parquet<W: Write + Send>(self, out: W) -> Result<u64, NotWritten> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("sessionize".to_owned())
            .build();
        let schema = self.plan.schema();
        // what is wrong with files is said where the query reads them
        let splice = Splice::of(&self.plan, &schema, &self.context).await;
        let Some(splice) = splice.ok().flatten() else {
            return encode(self.stream()?, properties, out).await;
        };
        let writer = ArrowWriter::try_new(out, schema, Some(properties))?;
        let (mut file, groups) = writer.into_serialized_writer()?;
        let rows = splice.write_one_file(&self.context, &mut file, groups);
        let rows = match rows.await {
            Err(NotWritten::Query(error)) => {
                return Err(or_changed(&self.logical, error).await.into());
            }
            ended => ended?,
        };
        if let Some(error) = changed(&self.logical).await? {
            return Err(error.into());
        }
        file.close()?;
        Ok(rows)
    }
}

/// Rows that are still to come, and what they come from.
type Left = Option<(SendableRecordBatchStream, LogicalPlan)>;

async fn next_or_changed(left: Left) -> Option<(DataFusionResult<RecordBatch>, Left)> {
    let (mut rows, logical) = left?;
    let failed = match rows.next().await {
        Some(Ok(batch)) => return Some((Ok(batch), Some((rows, logical)))),
        Some(Err(error)) => Some(error),
        None => None,
    };
    let changed = match changed(&logical).await {
        Ok(changed) => changed,
        Err(error) => Some(error).filter(|_| failed.is_none()),
    };
    let changed = changed.map(|error| DataFusionError::External(Box::new(error)));
    Some((Err(changed.or(failed)?), None))
}

async fn encode<W: Write + Send>(
    mut rows: SendableRecordBatchStream,
    properties: WriterProperties,
    out: W,
) -> Result<u64, NotWritten> {
    let mut sink = ParquetSink::try_new(out, &rows.schema(), properties)?;
    let mut written = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(query_failed)?;
        written += batch.num_rows() as u64;
        sink.write(&batch)?;
    }
    sink.close()?;
    Ok(written)
}
