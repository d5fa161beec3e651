//! One partition of the files, row group after row group.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch,
};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::prep_null_mask_filter;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::arrow::arrow_writer::ArrowColumnWriter;
use futures::StreamExt;

use super::columns::Encoders;
use super::forms::Form;
use super::{Group, Splice, other_rows, parquet_error};
use crate::runner::error::Result;
use crate::runner::materialization::execution_error;
use crate::table::Chunk;

/// Batches, taken some rows at a time.
pub(super) struct Rows {
    batches: SendableRecordBatchStream,
    ahead: Option<RecordBatch>,
}

impl Rows {
    pub(super) fn new(batches: SendableRecordBatchStream) -> Self {
        Self {
            batches,
            ahead: None,
        }
    }

    /// The next rows, at most so many; `None` after the last.
    async fn next(&mut self, most: usize) -> Result<Option<RecordBatch>> {
        let batch = match self.ahead.take() {
            Some(batch) => Some(batch),
            None => self
                .batches
                .next()
                .await
                .transpose()
                .map_err(execution_error)?,
        };
        let Some(batch) = batch else { return Ok(None) };
        let taken = most.min(batch.num_rows());
        if taken < batch.num_rows() {
            self.ahead = Some(batch.slice(taken, batch.num_rows() - taken));
        }
        Ok(Some(batch.slice(0, taken)))
    }

    /// Whether there are no more rows.
    async fn is_done(&mut self) -> Result<bool> {
        while let Some(batch) = self.next(1).await? {
            if batch.num_rows() > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Where the row groups of a partition go.
pub(super) trait GroupSink: Send {
    /// What there is after the last row group.
    type Finished: Send;

    /// Writers for the columns of the next row group.
    fn encoders(&mut self)
    -> impl Future<Output = Result<Vec<ArrowColumnWriter>>> + Send;

    /// Takes the next row group, of so many rows.
    fn write(
        &mut self,
        chunks: Vec<Chunk>,
        rows: usize,
    ) -> impl Future<Output = Result<()>> + Send;

    fn finish(self) -> impl Future<Output = Result<Self::Finished>> + Send;
}

/// One partition as it is written.
pub(super) struct Partition<G> {
    pub(super) splice: Arc<Splice>,
    pub(super) made: Rows,
    pub(super) keeps: Vec<Rows>,
    pub(super) to: G,
}

impl<G: GroupSink> Partition<G> {
    pub(super) async fn write(mut self, groups: Vec<Group>) -> Result<G::Finished> {
        for group in groups {
            self.group(&group).await?;
        }
        if !self.made.is_done().await? {
            return Err(other_rows());
        }
        self.to.finish().await
    }

    async fn group(&mut self, group: &Group) -> Result<()> {
        let encoders = self.to.encoders().await?;
        let mut encoders: Encoders = encoders.into_iter().map(Some).collect();
        let keeps = self.keeps(group.rows).await?;
        let kept = keeps.true_count();
        self.encode_made(kept, &mut encoders).await?;
        if kept == 0 {
            return Ok(());
        }
        let splice = Arc::clone(&self.splice);
        let (mut copied, mut decoded) = (Vec::new(), Vec::new());
        for (index, form) in splice.forms().enumerate() {
            let chunk = match form {
                Form::Copied(name) => {
                    splice.kept_chunk(group, name, index, &keeps).await?
                }
                Form::Decoded(_) | Form::Made(_) => None,
            };
            if let (None, Form::Copied(name) | Form::Decoded(name)) = (&chunk, form) {
                decoded.push((index, name));
            }
            copied.push(chunk);
        }
        splice
            .encode_decoded(group, &decoded, &keeps, &mut encoders)
            .await?;
        let mut chunks = Vec::with_capacity(encoders.len());
        for (leaves, copied) in splice.leaves.iter().zip(copied) {
            if let Some(copied) = copied {
                chunks.push(Chunk::Copied(copied));
                continue;
            }
            for encoder in &mut encoders[leaves.clone()] {
                let encoder = encoder.take().ok_or_else(other_rows)?;
                chunks.push(Chunk::Encoded(encoder.close().map_err(parquet_error)?));
            }
        }
        self.to.write(chunks, kept).await
    }

    /// Which of the next rows are kept.
    async fn keeps(&mut self, rows: usize) -> Result<BooleanArray> {
        let mut kept = BooleanBuffer::new_set(rows);
        for filter in &mut self.keeps {
            let passes = passes(filter, kept.count_set_bits()).await?;
            let mut both = BooleanBufferBuilder::new(rows);
            both.append_n(rows, false);
            let of_kept = kept.set_indices().zip(passes.iter());
            of_kept.for_each(|(row, passes)| both.set_bit(row, passes));
            kept = both.finish();
        }
        Ok(BooleanArray::new(kept, None))
    }

    /// Encodes the new columns of the next rows.
    async fn encode_made(&mut self, rows: usize, encoders: &mut Encoders) -> Result<()> {
        let mut left = rows;
        while left > 0 {
            let batch = self.made.next(left).await?.ok_or_else(other_rows)?;
            left -= batch.num_rows();
            for (index, form) in self.splice.forms().enumerate() {
                if let Form::Made(place) = form {
                    let values = batch.column(place);
                    self.splice.encode(index, values, encoders)?;
                }
            }
        }
        Ok(())
    }
}

/// Which of the next rows pass a filter.
async fn passes(filter: &mut Rows, rows: usize) -> Result<BooleanBuffer> {
    let mut passes = BooleanBufferBuilder::new(rows);
    while passes.len() < rows {
        let batch = filter.next(rows - passes.len()).await?;
        let batch = batch.ok_or_else(other_rows)?;
        let of_batch = batch.column(0).as_boolean();
        match of_batch.nulls() {
            Some(_) => passes.append_buffer(prep_null_mask_filter(of_batch).values()),
            None => passes.append_buffer(of_batch.values()),
        }
    }
    Ok(passes.finish())
}
