//! The rows of the input, until their labels are known.

use std::sync::Arc;

use crate::operators::spill::{Disk, DiskWriter, OnDisk};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};

/// Rows in memory as long as the pool has some, then on disk.
pub(super) struct HeldRows {
    disk: Disk,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
    writer: Option<DiskWriter>,
}

impl HeldRows {
    pub(super) fn new(
        disk: Disk,
        schema: SchemaRef,
        reservation: MemoryReservation,
    ) -> Self {
        Self {
            disk,
            schema,
            batches: Vec::new(),
            reservation,
            writer: None,
        }
    }

    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            return writer.write(&batch);
        }
        let size = batch.get_array_memory_size();
        if self.reservation.try_grow(size).is_ok() {
            self.batches.push(batch);
            return Ok(());
        }
        self.spill()?.write(&batch)
    }

    /// Gives the memory back: all rows go to disk, those to come too.
    pub(super) fn spill(&mut self) -> Result<&mut DiskWriter> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let mut writer = self.disk.writer(Arc::clone(&self.schema))?;
                for batch in self.batches.drain(..) {
                    writer.write(&batch)?;
                }
                self.reservation.free();
                writer
            }
        };
        Ok(self.writer.insert(writer))
    }

    /// All rows, in the order in which they came.
    pub(super) fn stream(self) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let Some(writer) = self.writer else {
            let reservation = self.reservation;
            let batches = stream::iter(self.batches.into_iter().map(Ok));
            return Ok(batches
                .inspect(move |_| {
                    // held until the last batch is out
                    let _ = &reservation;
                })
                .boxed());
        };
        let stream: SendableRecordBatchStream = writer.finish()?.stream()?;
        Ok(stream.boxed())
    }

    /// All rows on disk.
    pub(super) fn on_disk(mut self) -> Result<OnDisk> {
        self.spill()?;
        match self.writer {
            Some(writer) => writer.finish(),
            None => self.disk.writer(self.schema)?.finish(),
        }
    }
}
