//! The data files of a table, one writer a partition.

use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::parquet::arrow::arrow_writer::ArrowColumnWriter;

use super::Splice;
use super::partition::GroupSink;
use crate::runner::error::Result;
use crate::runner::materialization::table::{Written, all_files};
use crate::runner::materialization::{Job, store_error};
use crate::table::{Chunk, RowGroupWriter, Uncommitted};

/// The files that one partition is written to.
struct Files {
    writer: RowGroupWriter,
    progress: Written,
}

impl Splice {
    /// Writes the files of the table of `job`.
    pub(in crate::runner::materialization) async fn write_table(
        self,
        job: &Job,
        context: &Arc<TaskContext>,
        progress: &Written,
    ) -> Result<Uncommitted> {
        let files = |splice: &Self| {
            let writer = job.table.row_groups(Arc::clone(&splice.schema));
            Ok(Files {
                writer: writer.map_err(store_error)?,
                progress: progress.clone(),
            })
        };
        all_files(self.start(context, files)?).await
    }
}

impl GroupSink for Files {
    type Finished = Uncommitted;

    async fn encoders(&mut self) -> Result<Vec<ArrowColumnWriter>> {
        self.writer.encoders().map_err(store_error)
    }

    async fn write(&mut self, chunks: Vec<Chunk>, rows: usize) -> Result<()> {
        self.writer.write(chunks).await.map_err(store_error)?;
        self.progress.add(rows);
        Ok(())
    }

    async fn finish(self) -> Result<Uncommitted> {
        self.writer.finish_all().await.map_err(store_error)
    }
}
