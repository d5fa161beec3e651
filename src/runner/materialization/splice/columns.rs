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
use futures::StreamExt;
use object_store::ObjectStoreExt;

use super::{Group, Splice, leaf, other_rows, parquet_error};
use crate::operators::ColumnSource;
use crate::runner::error::Result;
use crate::runner::materialization::execution_error;
use crate::runner::materialization::table::cast_column;
use crate::table::{ChunkBytes, CopiedChunk, under};

/// The most that a bloom filter of unknown length is read of.
const BLOOM: u64 = 1 << 20;

/// The encoders of a row group's columns that are still to be written.
pub(super) type Encoders = Vec<Option<ArrowColumnWriter>>;

impl Splice {
    /// Encodes the columns of a row group that would be copied if it lost no row.
    pub(super) async fn encode_kept(
        &self,
        group: &Group,
        keeps: &BooleanArray,
        encoders: &mut Encoders,
    ) -> Result<()> {
        let reader = self.reader(&group.file)?;
        let options = ArrowReaderOptions::new();
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(&group.metadata), options);
        let metadata = metadata.map_err(parquet_error)?;
        let builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        let names = self.kept.columns.iter();
        let names = names.filter_map(|source| match source {
            ColumnSource::File(name) => Some(name.as_str()),
            ColumnSource::Made(_) => None,
        });
        let columns = ProjectionMask::columns(builder.parquet_schema(), names);
        let builder = builder.with_row_groups(vec![group.index]);
        let batches = builder.with_projection(columns).build();
        let mut batches = batches.map_err(parquet_error)?;
        let mut from = 0;
        while let Some(batch) = batches.next().await.transpose().map_err(parquet_error)? {
            let mask = keeps.slice(from, batch.num_rows());
            from += batch.num_rows();
            for (index, source) in self.kept.columns.iter().enumerate() {
                if let ColumnSource::File(name) = source {
                    let column = batch.column_by_name(name).ok_or_else(other_rows)?;
                    self.encode(index, column, Some(&mask), encoders)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn encode(
        &self,
        index: usize,
        values: &ArrayRef,
        mask: Option<&BooleanArray>,
        encoders: &mut Encoders,
    ) -> Result<()> {
        let field = self.schema.field(index);
        let values = match mask {
            None => Arc::clone(values),
            Some(mask) => filter(values, mask).map_err(|e| execution_error(e.into()))?,
        };
        let values = cast_column(&values, field).map_err(execution_error)?;
        let encoder = encoders[index].as_mut().ok_or_else(other_rows)?;
        for leaf in compute_leaves(field, &values).map_err(parquet_error)? {
            encoder.write(&leaf).map_err(parquet_error)?;
        }
        Ok(())
    }

    /// A column of a row group as it is, with its page index and its bloom filter.
    pub(super) async fn copied(
        &self,
        group: &Group,
        name: &str,
        index: usize,
    ) -> Result<CopiedChunk> {
        let metadata = &group.metadata;
        let leaf = leaf(metadata, name).ok_or_else(other_rows)?;
        let chunk = metadata.row_group(group.index).column(leaf);
        let (start, length) = chunk.byte_range();
        let column = &self.columns[index];
        let offset_index = metadata
            .offset_index()
            .and_then(|pages| pages.get(group.index)?.get(leaf).cloned());
        let column_index = metadata
            .column_index()
            .and_then(|pages| pages.get(group.index)?.get(leaf).cloned());
        Ok(CopiedChunk {
            bytes: self.fetch(&group.file, start..start + length).await?,
            close: ColumnCloseResult {
                bytes_written: length,
                rows_written: group.rows as u64,
                metadata: under(column, chunk).map_err(parquet_error)?,
                bloom_filter: self.bloom_filter(group, leaf).await?,
                // one without the other would be of no use
                column_index: column_index.filter(|_| self.page_index),
                offset_index: offset_index.filter(|_| self.page_index),
            },
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
