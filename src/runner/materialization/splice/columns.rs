//! The columns of one row group: copied, or encoded.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::filter;
use datafusion::common::DataFusionError;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use datafusion::parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use datafusion::parquet::bloom_filter::Sbbf;
use datafusion::parquet::column::writer::ColumnCloseResult;
use datafusion::parquet::errors::ParquetError;
use futures::StreamExt;
use object_store::ObjectStoreExt;

use super::forms::leaf;
use super::pages::{Chunk, may_lose_rows, places};
use super::{Group, Splice, other_rows, parquet_error};
use crate::runner::error::Result;
use crate::runner::materialization::execution_error;
use crate::runner::materialization::table::cast_column;
use crate::table::{ChunkBytes, CopiedChunk, under};

/// The most that a bloom filter of unknown length is read of.
const BLOOM: u64 = 1 << 20;

/// The encoders of a row group's columns that are still to be written.
pub(super) type Encoders = Vec<Option<ArrowColumnWriter>>;

impl Splice {
    /// Encodes columns of a row group's files, without the rows that are not kept.
    pub(super) async fn encode_decoded(
        &self,
        group: &Group,
        columns: &[(usize, &str)],
        keeps: &BooleanArray,
        encoders: &mut Encoders,
    ) -> Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        let reader = self.reader(&group.file)?;
        let options = ArrowReaderOptions::new();
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(&group.metadata), options);
        let metadata = metadata.map_err(parquet_error)?;
        let builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        let roots = builder.parquet_schema().root_schema().get_fields();
        let roots = roots
            .iter()
            .enumerate()
            .filter(|(_, root)| columns.iter().any(|(_, name)| *name == root.name()));
        let roots: Vec<_> = roots.map(|(index, _)| index).collect();
        let roots = ProjectionMask::roots(builder.parquet_schema(), roots);
        let builder = builder.with_row_groups(vec![group.index]);
        let batches = builder.with_projection(roots).build();
        let mut batches = batches.map_err(parquet_error)?;
        let mut from = 0;
        while let Some(batch) = batches.next().await.transpose().map_err(parquet_error)? {
            let mask = keeps.slice(from, batch.num_rows());
            from += batch.num_rows();
            for (index, name) in columns {
                let values = batch.column_by_name(name).ok_or_else(other_rows)?;
                let values = match mask.true_count() == mask.len() {
                    true => Arc::clone(values),
                    false => {
                        filter(values, &mask).map_err(|e| execution_error(e.into()))?
                    }
                };
                self.encode(*index, &values, encoders)?;
            }
        }
        Ok(())
    }

    pub(super) fn encode(
        &self,
        index: usize,
        values: &ArrayRef,
        encoders: &mut Encoders,
    ) -> Result<()> {
        let field = self.schema.field(index);
        let values = cast_column(values, field).map_err(execution_error)?;
        let encoders = &mut encoders[self.leaves[index].clone()];
        let leaves = compute_leaves(field, &values).map_err(parquet_error)?;
        for (encoder, leaf) in encoders.iter_mut().zip(&leaves) {
            let encoder = encoder.as_mut().ok_or_else(other_rows)?;
            encoder.write(leaf).map_err(parquet_error)?;
        }
        Ok(())
    }

    /// The chunk of a column that is copied, with the rows that are kept; `None` if its values
    /// have to be decoded for that.
    pub(super) async fn kept_chunk(
        &self,
        group: &Group,
        name: &str,
        index: usize,
        keeps: &BooleanArray,
    ) -> Result<Option<CopiedChunk>> {
        let kept = keeps.true_count();
        let leaf = leaf(&group.metadata, name).ok_or_else(other_rows)?;
        let metadata = group.metadata.row_group(group.index).column(leaf);
        let column = &self.columns[self.leaves[index].start];
        // a dictionary of many values that no row has any more would be of no use
        let few = 2 * kept < group.rows;
        if kept < group.rows && (few || !may_lose_rows(column, metadata)) {
            return Ok(None);
        }
        let (start, length) = metadata.byte_range();
        let chunk = Chunk {
            bytes: self.fetch(&group.file, start..start + length).await?,
            metadata,
            column,
            bloom_filter: self.bloom_filter(group, leaf).await?,
        };
        let chunk = match kept == group.rows {
            true => whole(group, leaf, chunk).map(Some),
            false => chunk.without(keeps.values()),
        };
        chunk.map_err(|e| {
            let location = &group.file.object_meta.location;
            let what = format!("cannot read column `{name}` of `{location}`");
            execution_error(DataFusionError::from(e).context(what))
        })
    }

    async fn bloom_filter(&self, group: &Group, leaf: usize) -> Result<Option<Sbbf>> {
        let chunk = group.metadata.row_group(group.index).column(leaf);
        let start = chunk
            .bloom_filter_offset()
            .and_then(|at| u64::try_from(at).ok());
        let Some(start) = start else { return Ok(None) };
        let length = chunk.bloom_filter_length();
        let length = length.and_then(|length| u64::try_from(length).ok());
        let end = (start + length.unwrap_or(BLOOM)).min(group.file.object_meta.size);
        let bytes = self.fetch(&group.file, start..end).await?;
        // a filter that cannot be read is one that nobody can use
        Ok(Sbbf::read_from_column_chunk(chunk, &bytes).ok().flatten())
    }

    async fn fetch(
        &self,
        file: &PartitionedFile,
        range: Range<u64>,
    ) -> Result<ChunkBytes> {
        let location = &file.object_meta.location;
        let start = range.start;
        let bytes = self.store.get_range(location, range).await;
        let bytes = bytes.map_err(|e| execution_error(DataFusionError::from(e)))?;
        Ok(ChunkBytes { start, bytes })
    }
}

/// A chunk as it is, with its page index.
fn whole(
    group: &Group,
    leaf: usize,
    chunk: Chunk<'_>,
) -> Result<CopiedChunk, ParquetError> {
    let file = &group.metadata;
    let known = file.offset_index();
    let known = known.and_then(|pages| pages.get(group.index)?.get(leaf).cloned());
    let offset_index = match known {
        Some(known) => known,
        None => places(&chunk.bytes, chunk.metadata, group.rows)?,
    };
    let column_index = file.column_index();
    let column_index =
        column_index.and_then(|pages| pages.get(group.index)?.get(leaf).cloned());
    Ok(CopiedChunk {
        close: ColumnCloseResult {
            bytes_written: chunk.bytes.bytes.len() as u64,
            rows_written: group.rows as u64,
            metadata: under(chunk.column, chunk.metadata)?,
            bloom_filter: chunk.bloom_filter,
            column_index,
            offset_index: Some(offset_index),
        },
        bytes: chunk.bytes,
    })
}
