//! Batches on disk: written once, read as often as wanted, removed when dropped.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::metrics::SpillMetrics;
use datafusion::physical_plan::{EmptyRecordBatchStream, SpillManager};

/// Where an operator's batches go, and what is counted of them.
#[derive(Debug, Clone)]
pub(in crate::operators) struct Disk {
    context: Arc<TaskContext>,
    metrics: SpillMetrics,
    /// What the files are for.
    purpose: &'static str,
}

impl Disk {
    pub(in crate::operators) fn new(
        context: Arc<TaskContext>,
        metrics: SpillMetrics,
        purpose: &'static str,
    ) -> Self {
        Self {
            context,
            metrics,
            purpose,
        }
    }

    pub(in crate::operators) fn context(&self) -> Arc<TaskContext> {
        Arc::clone(&self.context)
    }

    /// A new file for batches of `schema`.
    pub(in crate::operators) fn writer(&self, schema: SchemaRef) -> Result<DiskWriter> {
        let env = self.context.runtime_env();
        let manager = SpillManager::new(env, self.metrics.clone(), schema);
        let mut file = manager.create_in_progress_file(self.purpose)?;
        // DataFusion does not name the file's type
        let step = move |batch: Option<&RecordBatch>| match batch {
            Some(batch) => file.append_batch(batch).map(|_| None),
            None => file.finish(),
        };
        Ok(DiskWriter {
            manager,
            step: Box::new(step),
        })
    }
}

/// Appends a batch, or ends the file.
type WriteStep =
    dyn FnMut(Option<&RecordBatch>) -> Result<Option<Arc<dyn SpillFile>>> + Send;

/// A file that is being written.
pub(in crate::operators) struct DiskWriter {
    manager: SpillManager,
    step: Box<WriteStep>,
}

impl DiskWriter {
    pub(in crate::operators) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        (self.step)(Some(batch)).map(drop)
    }

    pub(in crate::operators) fn finish(mut self) -> Result<OnDisk> {
        let file = (self.step)(None)?;
        Ok(OnDisk {
            manager: self.manager,
            file,
        })
    }
}

/// A whole file.
#[derive(Clone)]
pub(in crate::operators) struct OnDisk {
    manager: SpillManager,
    /// None if there are no batches.
    file: Option<Arc<dyn SpillFile>>,
}

impl std::fmt::Debug for OnDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OnDisk")
            .field(&self.manager.schema())
            .finish()
    }
}

impl OnDisk {
    pub(in crate::operators) fn schema(&self) -> &SchemaRef {
        self.manager.schema()
    }

    /// All batches, as they were written.
    pub(in crate::operators) fn stream(&self) -> Result<SendableRecordBatchStream> {
        match &self.file {
            Some(file) => self.manager.read_spill_as_stream(Arc::clone(file), None),
            None => Ok(Box::pin(EmptyRecordBatchStream::new(Arc::clone(
                self.schema(),
            )))),
        }
    }
}
