//! Where the pages of a chunk are, from their headers: for files that do not say it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::parquet::column::page::PageReader;
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use datafusion::parquet::file::page_index::offset_index::OffsetIndexMetaData;
use datafusion::parquet::file::reader::{ChunkReader, Length};
use datafusion::parquet::file::serialized_reader::SerializedPageReader;

use super::hybrid::damaged;
use super::too_large;
use crate::table::ChunkBytes;

/// The places of the pages of a chunk of a column without repetitions.
pub(in super::super) fn places(
    bytes: &ChunkBytes,
    metadata: &ColumnChunkMetaData,
    rows: usize,
) -> Result<OffsetIndexMetaData> {
    let noting = Arc::new(Noting {
        bytes: bytes.clone(),
        last: Mutex::default(),
    });
    let mut pages = SerializedPageReader::new(Arc::clone(&noting), metadata, rows, None)?;
    let (mut starts, mut counts) = (Vec::new(), Vec::new());
    while let Some(page) = pages.peek_next_page()? {
        if !page.is_dict {
            starts.push(noting.last());
            counts.push(page.num_rows.or(page.num_levels).unwrap_or_default());
        }
        pages.skip_next_page()?;
    }
    if counts.iter().sum::<usize>() != rows {
        return Err(damaged("other rows than the row group has"));
    }
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let mut places = OffsetIndexBuilder::new();
    for ((start, end), rows) in starts.iter().zip(ends).zip(counts) {
        let length = i32::try_from(end - start).map_err(|_| too_large())?;
        places.append_offset_and_size(start.cast_signed(), length);
        places.append_row_count(rows as i64);
    }
    Ok(places.build())
}

/// Notes where a header was read last.
struct Noting {
    bytes: ChunkBytes,
    last: Mutex<u64>,
}

impl Noting {
    fn last(&self) -> u64 {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Length for Noting {
    fn len(&self) -> u64 {
        self.bytes.len()
    }
}

impl ChunkReader for Noting {
    type T = <ChunkBytes as ChunkReader>::T;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = start;
        self.bytes.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.bytes.get_bytes(start, length)
    }
}
