//! A column chunk without some of its rows, its other values neither decoded nor encoded.
//!
//! The dictionary stays; of each page the indices, or the plain values, of the rows that are
//! kept are put together anew, with bounds that are as exact as those of rows written afresh.

mod hybrid;
mod places;
mod values;

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::parquet::basic::{CompressionCodec, Encoding, Type};
use datafusion::parquet::bloom_filter::Sbbf;
use datafusion::parquet::column::page::{CompressedPage, Page, PageWriter};
use datafusion::parquet::column::writer::ColumnCloseResult;
use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use datafusion::parquet::file::serialized_reader::SerializedPageReader;
use datafusion::parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use datafusion::parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use self::hybrid::{damaged, decode, encode, take};
pub(super) use self::places::places;
use self::values::{Bounds, Dictionary, Kind, plain_without};
use crate::table::{ChunkBytes, CopiedChunk, ZSTD_LEVEL};

/// A column chunk of a file.
pub(super) struct Chunk<'a> {
    pub(super) bytes: ChunkBytes,
    pub(super) metadata: &'a ColumnChunkMetaData,
    /// What it is to be in the file that it is written to.
    pub(super) column: &'a ColumnDescPtr,
    /// One that may hold more values does no harm.
    pub(super) bloom_filter: Option<Sbbf>,
}

/// Whether rows may be taken out of such a chunk; a look at its pages may still tell otherwise.
#[expect(deprecated, reason = "old files have levels in it")]
pub(super) fn may_lose_rows(
    column: &ColumnDescPtr,
    metadata: &ColumnChunkMetaData,
) -> bool {
    let mut encodings = metadata.encodings();
    Kind::of(column).is_some()
        && encodings.all(|encoding| {
            matches!(
                encoding,
                Encoding::PLAIN
                    | Encoding::RLE_DICTIONARY
                    | Encoding::PLAIN_DICTIONARY
                    | Encoding::RLE
                    | Encoding::BIT_PACKED
            )
        })
}

impl Chunk<'_> {
    /// The chunk with the rows that are kept; `None` if its values have to be decoded.
    pub(super) fn without(self, keeps: &BooleanBuffer) -> Result<Option<CopiedChunk>> {
        let Some(kind) = Kind::of(self.column) else {
            return Ok(None);
        };
        let bytes = Arc::new(self.bytes.clone());
        let pages = SerializedPageReader::new(bytes, self.metadata, keeps.len(), None)?;
        let mut written = Written::try_new(kind, self.column.physical_type())?;
        let (mut dictionary, mut row) = (None, 0);
        for page in pages {
            let page = page?;
            if let Page::DictionaryPage {
                buf, num_values, ..
            } = &page
            {
                let values = Dictionary::try_new(kind, buf, *num_values as usize)?;
                dictionary = Some(values);
                written.dictionary(buf, *num_values)?;
                continue;
            }
            let nullable = self.column.max_def_level() > 0;
            let Some(data) = Data::of(&page, nullable)? else {
                return Ok(None);
            };
            if row + data.rows > keeps.len() {
                return Err(damaged("more rows than the row group has"));
            }
            let of_page = keeps.slice(row, data.rows);
            row += data.rows;
            match data.without(&of_page, kind, dictionary.as_mut())? {
                Some(data) if data.rows > 0 => written.data(&data, nullable)?,
                Some(_) => {}
                None => return Ok(None),
            }
        }
        if row != keeps.len() {
            return Err(damaged("fewer rows than the row group has"));
        }
        written.finish(self).map(Some)
    }
}

/// A page of values, without its compression.
struct Data<'a> {
    rows: usize,
    encoding: Encoding,
    /// 1 where there is a value; none if there is one everywhere.
    levels: Option<Vec<u32>>,
    values: &'a [u8],
}

/// A page that is to be written.
struct Kept {
    rows: usize,
    encoding: Encoding,
    levels: Option<Vec<u32>>,
    values: Vec<u8>,
    nulls: usize,
    bounds: Option<Bounds>,
}

impl<'a> Data<'a> {
    /// `None` if its levels are written in a way of old.
    fn of(page: &'a Page, nullable: bool) -> Result<Option<Self>> {
        let (values, levels, rows, encoding) = match page {
            Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding,
                ..
            } => {
                let mut values = &buf[..];
                let mut levels = None;
                if nullable && *def_level_encoding != Encoding::RLE {
                    return Ok(None);
                }
                if nullable {
                    let length = take(&mut values, 4)?.try_into().unwrap_or_default();
                    let length = u32::from_le_bytes(length) as usize;
                    levels = Some(take(&mut values, length)?);
                }
                (values, levels, *num_values as usize, *encoding)
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let mut values = &buf[..];
                take(&mut values, *rep_levels_byte_len as usize)?;
                let levels = take(&mut values, *def_levels_byte_len as usize)?;
                (
                    values,
                    nullable.then_some(levels),
                    *num_values as usize,
                    *encoding,
                )
            }
            Page::DictionaryPage { .. } => return Ok(None),
        };
        let levels = levels.map(|levels| decode(levels, 1, rows)).transpose()?;
        Ok(Some(Self {
            rows,
            encoding,
            levels,
            values,
        }))
    }

    /// The rows that are kept; `None` if their values have to be decoded.
    fn without(
        self,
        keeps: &BooleanBuffer,
        kind: Kind,
        dictionary: Option<&mut Dictionary>,
    ) -> Result<Option<Kept>> {
        let (levels, of_values) = match self.levels {
            None => (None, keeps.clone()),
            Some(levels) => {
                let kept = keeps.set_indices().map(|row| levels[row]);
                let values = (0..self.rows).filter(|row| levels[*row] > 0);
                let values = values.map(|row| keeps.value(row));
                (Some(kept.collect()), values.collect())
            }
        };
        let count = of_values.len();
        let (encoding, (values, bounds)) = match (self.encoding, dictionary) {
            (Encoding::PLAIN, _) => (
                Encoding::PLAIN,
                plain_without(kind, self.values, count, &of_values)?,
            ),
            (Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, Some(values)) => (
                Encoding::RLE_DICTIONARY,
                values.without(self.values, count, &of_values)?,
            ),
            _ => return Ok(None),
        };
        let rows = keeps.count_set_bits();
        Ok(Some(Kept {
            rows,
            encoding,
            levels,
            values,
            nulls: rows - of_values.count_set_bits(),
            bounds,
        }))
    }
}

/// The chunk as it grows.
struct Written {
    kind: Kind,
    compressor: Compressor<'static>,
    out: TrackedWrite<Vec<u8>>,
    dictionary: bool,
    first_data: Option<u64>,
    uncompressed: usize,
    rows: usize,
    nulls: usize,
    bounds: Option<Bounds>,
    columns: ColumnIndexBuilder,
    offsets: OffsetIndexBuilder,
    encodings: Vec<PageEncodingStats>,
}

impl Written {
    fn try_new(kind: Kind, physical: Type) -> Result<Self> {
        Ok(Self {
            kind,
            compressor: Compressor::new(ZSTD_LEVEL)?,
            out: TrackedWrite::new(Vec::new()),
            dictionary: false,
            first_data: None,
            uncompressed: 0,
            rows: 0,
            nulls: 0,
            bounds: None,
            columns: ColumnIndexBuilder::new(physical),
            offsets: OffsetIndexBuilder::new(),
            encodings: Vec::new(),
        })
    }

    fn dictionary(&mut self, values: &[u8], num_values: u32) -> Result<()> {
        let page = Page::DictionaryPage {
            buf: self.compress(values)?,
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.dictionary = true;
        self.page(page, values.len()).map(drop)
    }

    fn data(&mut self, data: &Kept, nullable: bool) -> Result<()> {
        let mut bytes = Vec::with_capacity(data.values.len() + 64);
        if nullable {
            let levels = data.levels.as_deref().unwrap_or_default();
            bytes.extend([0; 4]);
            encode(levels, 1, &mut bytes);
            let length = (bytes.len() - 4) as u32;
            bytes[..4].copy_from_slice(&length.to_le_bytes());
        }
        bytes.extend(&data.values);
        let page = Page::DataPage {
            buf: self.compress(&bytes)?,
            num_values: data.rows as u32,
            encoding: data.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let (offset, length) = self.page(page, bytes.len())?;
        self.first_data.get_or_insert(offset);
        let length = i32::try_from(length).map_err(|_| too_large())?;
        self.offsets.append_offset_and_size(offset as i64, length);
        self.offsets.append_row_count(data.rows as i64);
        let (min, max) = data.bounds.clone().unwrap_or_default();
        let (is_null, nulls) = (data.bounds.is_none(), data.nulls as i64);
        self.columns.append(is_null, min, max, nulls);
        if let Some(bounds) = &data.bounds {
            self.kind.widen(&mut self.bounds, bounds);
        }
        self.rows += data.rows;
        self.nulls += data.nulls;
        Ok(())
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<Bytes> {
        Ok(Bytes::from(self.compressor.compress(bytes)?))
    }

    /// Appends a page: where it begins, and its length.
    fn page(&mut self, page: Page, uncompressed: usize) -> Result<(u64, u64)> {
        let (page_type, encoding) = (page.page_type(), page.encoding());
        let page = CompressedPage::new(page, uncompressed);
        let written = SerializedPageWriter::new(&mut self.out).write_page(page)?;
        self.uncompressed += written.uncompressed_size;
        let known = self.encodings.iter_mut();
        let mut known =
            known.filter(|e| e.page_type == page_type && e.encoding == encoding);
        match known.next() {
            Some(known) => known.count += 1,
            None => self.encodings.push(PageEncodingStats {
                page_type,
                encoding,
                count: 1,
            }),
        }
        Ok((written.offset, written.bytes_written))
    }

    fn finish(self, chunk: Chunk<'_>) -> Result<CopiedChunk> {
        let bytes = Bytes::from(self.out.into_inner()?);
        let length = i64::try_from(bytes.len()).map_err(|_| too_large())?;
        let statistics = self
            .kind
            .statistics(self.bounds.as_ref(), self.nulls as u64);
        let mut encodings: Vec<_> = self.encodings.iter().map(|e| e.encoding).collect();
        encodings.push(Encoding::RLE);
        let metadata = ColumnChunkMetaData::builder(Arc::clone(chunk.column))
            .set_compression_codec(CompressionCodec::ZSTD)
            .set_encodings(encodings)
            .set_page_encoding_stats(self.encodings)
            .set_total_compressed_size(length)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.rows as i64)
            .set_data_page_offset(self.first_data.unwrap_or_default() as i64)
            .set_dictionary_page_offset(self.dictionary.then_some(0))
            .set_statistics(statistics)
            .build()?;
        Ok(CopiedChunk {
            close: ColumnCloseResult {
                bytes_written: bytes.len() as u64,
                rows_written: self.rows as u64,
                metadata,
                bloom_filter: chunk.bloom_filter,
                column_index: Some(self.columns.build()?),
                offset_index: Some(self.offsets.build()),
            },
            bytes: ChunkBytes { start: 0, bytes },
        })
    }
}

fn too_large() -> ParquetError {
    ParquetError::General("a column chunk is too large".to_owned())
}

#[cfg(test)]
mod tests;
