//! Data files made of whole row groups, whose columns may be copied from other files as they
//! are.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory,
};
use datafusion::parquet::column::writer::ColumnCloseResult;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::ColumnChunkMetaData;
use datafusion::parquet::file::reader::{ChunkReader, Length};
use datafusion::parquet::file::writer::SerializedFileWriter;
use datafusion::parquet::schema::types::ColumnDescPtr;
use tokio::io::AsyncWriteExt;

use super::writer::{NewFiles, ROLL_AT, Upload};
use super::{Table, TableError, Uncommitted};
use datafusion::arrow::datatypes::SchemaRef;

/// Writes row groups to data files that no reader sees before they are committed.
pub(crate) struct RowGroupWriter {
    files: NewFiles,
    current: Option<OpenFile>,
}

struct OpenFile {
    writer: SerializedFileWriter<Collected>,
    groups: ArrowRowGroupWriterFactory,
    collected: Collected,
    upload: Upload,
}

/// One column of a row group.
pub(crate) enum Chunk {
    Encoded(ArrowColumnChunk),
    Copied(CopiedChunk),
}

/// A column chunk of another file: its bytes, and what that file says of it.
pub(crate) struct CopiedChunk {
    pub(crate) bytes: ChunkBytes,
    pub(crate) close: ColumnCloseResult,
}

/// Bytes of a file from some place on.
#[derive(Debug, Clone)]
pub(crate) struct ChunkBytes {
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
}

impl Length for ChunkBytes {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkBytes {
    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let skipped = start
            .checked_sub(self.start)
            .and_then(|n| usize::try_from(n).ok());
        match skipped {
            Some(skipped) if skipped <= self.bytes.len() => {
                Ok(self.bytes.slice(skipped..))
            }
            _ => Err(ParquetError::EOF(format!("nothing was read at {start}"))),
        }
    }
}

impl ChunkReader for ChunkBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.from(start)?;
        match bytes.len() < length {
            true => Err(ParquetError::EOF(format!("too few bytes at {start}"))),
            false => Ok(bytes.slice(..length)),
        }
    }
}

impl RowGroupWriter {
    pub(crate) fn try_new(table: &Table, schema: SchemaRef) -> Result<Self, TableError> {
        Ok(Self {
            files: NewFiles::of(table, schema)?,
            current: None,
        })
    }

    /// Writers for the columns of the next row group.
    pub(crate) fn encoders(&mut self) -> Result<Vec<ArrowColumnWriter>, TableError> {
        let file = match self.current.take() {
            Some(file) => file,
            None => self.next_file()?,
        };
        let group = file.writer.flushed_row_groups().len();
        let encoders = file.groups.create_column_writers(group);
        let encoders = encoders.map_err(|e| self.files.failed(&file.upload.path, e));
        self.current = Some(file);
        encoders
    }

    /// Writes the next row group.
    pub(crate) async fn write(&mut self, chunks: Vec<Chunk>) -> Result<(), TableError> {
        let mut file = match self.current.take() {
            Some(file) => file,
            None => self.next_file()?,
        };
        let written = append(&mut file.writer, chunks);
        written.map_err(|e| self.files.failed(&file.upload.path, e))?;
        let flushed = file.flush().await;
        flushed.map_err(|e| self.files.failed(&file.upload.path, e))?;
        if file.writer.bytes_written() >= ROLL_AT {
            return self.finish(file).await;
        }
        self.current = Some(file);
        Ok(())
    }

    /// Finishes the files (none, if no row group came).
    pub(crate) async fn finish_all(mut self) -> Result<Uncommitted, TableError> {
        if let Some(file) = self.current.take()
            && !file.writer.flushed_row_groups().is_empty()
        {
            self.finish(file).await?;
        }
        Ok(self.files.finished)
    }

    fn next_file(&self) -> Result<OpenFile, TableError> {
        let upload = self.files.upload();
        let collected = Collected::default();
        let writer = ArrowWriter::try_new(
            collected.clone(),
            Arc::clone(&self.files.schema),
            Some(self.files.properties.clone()),
        );
        let writer = writer.and_then(ArrowWriter::into_serialized_writer);
        let (writer, groups) = writer.map_err(|e| self.files.failed(&upload.path, e))?;
        Ok(OpenFile {
            writer,
            groups,
            collected,
            upload,
        })
    }

    async fn finish(&mut self, mut file: OpenFile) -> Result<(), TableError> {
        let metadata = file.writer.finish();
        let metadata = metadata.map_err(|e| self.files.failed(&file.upload.path, e))?;
        let flushed = file.flush().await;
        flushed.map_err(|e| self.files.failed(&file.upload.path, e))?;
        let shut = file.upload.to.shutdown().await;
        shut.map_err(|e| self.files.failed(&file.upload.path, e.into()))?;
        self.files.add(file.upload.path, &metadata).await
    }
}

impl OpenFile {
    /// Uploads what is written so far.
    async fn flush(&mut self) -> ParquetResult<()> {
        let bytes = self.collected.take();
        Ok(self.upload.to.write_all(&bytes).await?)
    }
}

/// Writes a row group.
pub(crate) fn append<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    chunks: Vec<Chunk>,
) -> ParquetResult<()> {
    let mut group = file.next_row_group()?;
    for chunk in chunks {
        match chunk {
            Chunk::Encoded(chunk) => chunk.append_to_row_group(&mut group)?,
            Chunk::Copied(chunk) => group.append_column(&chunk.bytes, chunk.close)?,
        }
    }
    group.close()?;
    Ok(())
}

/// What a chunk's file says of it, under the column that it is to be in another file.
pub(crate) fn under(
    column: &ColumnDescPtr,
    chunk: &ColumnChunkMetaData,
) -> ParquetResult<ColumnChunkMetaData> {
    let mut builder = ColumnChunkMetaData::builder(Arc::clone(column))
        .set_compression_codec(chunk.compression_codec())
        .set_encodings_mask(*chunk.encodings_mask())
        .set_total_compressed_size(chunk.compressed_size())
        .set_total_uncompressed_size(chunk.uncompressed_size())
        .set_num_values(chunk.num_values())
        .set_data_page_offset(chunk.data_page_offset())
        .set_dictionary_page_offset(chunk.dictionary_page_offset())
        .set_unencoded_byte_array_data_bytes(chunk.unencoded_byte_array_data_bytes());
    if let Some(encodings) = chunk.page_encoding_stats() {
        builder = builder.set_page_encoding_stats(encodings.clone());
    }
    // old writers ordered some types' values in a way of their own
    let statistics = chunk.statistics();
    let statistics = statistics.filter(|s| !s.is_min_max_deprecated());
    if let Some(statistics) = statistics {
        builder = builder.set_statistics(statistics.clone());
    }
    builder.build()
}

/// Bytes that wait to be uploaded.
#[derive(Debug, Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Collected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
