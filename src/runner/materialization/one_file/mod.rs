//! The rows of a query as one Parquet file.

mod sink;

use std::io::Write;
use std::sync::Arc;

use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use self::sink::ParquetSink;
use super::splice::Splice;
use super::{all_unchanged, execution_error, query_failed};
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

    /// Runs the query.
    pub fn stream(self) -> Result<SendableRecordBatchStream> {
        execute_stream(self.plan, self.context).map_err(execution_error)
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
        let rows = splice
            .write_one_file(&self.context, &mut file, groups)
            .await?;
        all_unchanged(&self.logical).await?;
        file.close()?;
        Ok(rows)
    }
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
