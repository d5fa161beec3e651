//! One file, whose row groups are made side by side and written one after the other.

use std::io::Write;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory,
};
use datafusion::parquet::file::writer::SerializedFileWriter;
use futures::TryFutureExt;
use futures::future::try_join;
use tokio::sync::mpsc;

use super::partition::GroupSink;
use super::{Splice, parquet_error};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::table::all_ended;
use crate::runner::materialization::{NotWritten, query_failed};
use crate::table::{Chunk, append};

/// A row group that is made, and its rows.
type Made = (Vec<Chunk>, usize);

/// The row groups of one partition, which wait for their turn.
struct Waiting {
    groups: Arc<ArrowRowGroupWriterFactory>,
    to: mpsc::Sender<Made>,
}

impl Splice {
    /// Writes the partitions in their order to `file`, whose columns `groups` encodes; gives the
    /// number of rows.
    ///
    /// Each partition holds one row group, which is being made or waits for the partitions
    /// before it, beside the one that is being written.
    pub(in crate::runner::materialization) async fn write_one_file<W: Write + Send>(
        self,
        context: &Arc<TaskContext>,
        file: &mut SerializedFileWriter<W>,
        groups: ArrowRowGroupWriterFactory,
    ) -> Result<u64, NotWritten> {
        let groups = Arc::new(groups);
        let mut partitions = Vec::with_capacity(self.partitions.len());
        let waiting = |_: &Self| {
            let (to, from) = mpsc::channel(1);
            partitions.push(from);
            let groups = Arc::clone(&groups);
            Ok(Waiting { groups, to })
        };
        let made = self.start(context, waiting)?;
        let made = all_ended(made).map_err(failed);
        let (_, rows) = try_join(made, write_all(file, partitions)).await?;
        Ok(rows)
    }
}

fn failed(error: RunnerError) -> NotWritten {
    query_failed(error.into_cause()).into()
}

/// Writes what all partitions give, one partition after the other.
async fn write_all<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    partitions: Vec<mpsc::Receiver<Made>>,
) -> Result<u64, NotWritten> {
    let mut all = 0;
    for mut partition in partitions {
        while let Some((chunks, rows)) = partition.recv().await {
            append(file, chunks)?;
            all += rows as u64;
        }
    }
    Ok(all)
}

impl GroupSink for Waiting {
    type Finished = ();

    /// Comes when the row group before has its turn.
    async fn encoders(&mut self) -> Result<Vec<ArrowColumnWriter>> {
        drop(self.to.reserve().await.map_err(|_| not_taken())?);
        self.groups.create_column_writers(0).map_err(parquet_error)
    }

    async fn write(&mut self, chunks: Vec<Chunk>, rows: usize) -> Result<()> {
        let taken = self.to.send((chunks, rows)).await;
        taken.map_err(|_| not_taken())
    }

    async fn finish(self) -> Result<()> {
        Ok(())
    }
}

/// What wrote the file has failed, and says why.
fn not_taken() -> RunnerError {
    RunnerError::new(ErrorKind::Internal, "the file is not written any more")
}
