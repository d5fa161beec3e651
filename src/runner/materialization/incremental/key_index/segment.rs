//! A file of an index: Parquet, sorted by hash, with its files in the footer.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    DefaultParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::parquet::arrow::AsyncArrowWriter;
use datafusion::parquet::arrow::async_reader::{
    AsyncFileReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder,
};
use datafusion::parquet::basic::Encoding;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::KeyValue;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::StreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use super::IndexStore;
use super::zones::{Zones, index_hashes};

const HASH: &str = "hash";
const ZONE: &str = "zone";
/// The footer's key for the files.
const FILES: &str = "sessionize.files";
/// Entries that are written at once.
const BATCH: usize = 64 * 1024;

/// The hashes of some keys, each once, in order.
#[derive(Debug, Default)]
pub(in super::super) struct Hashes(Vec<u64>);

impl Hashes {
    /// Those of the keys in some columns.
    pub(in super::super) fn of(keys: &[ArrayRef]) -> Result<Self> {
        let mut all = Vec::new();
        for keys in keys {
            all.extend(index_hashes(keys)?);
        }
        Ok(Self::new(all))
    }

    /// These hashes, in any order.
    pub(in super::super) fn new(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// The zones of entries, sorted by hash, that have one of these.
    pub(super) fn meet(&self, entries: &[u64], zones: &[u32], mut zone: impl FnMut(u32)) {
        let Some(first) = entries.first() else {
            return;
        };
        let mut next = self.0.partition_point(|hash| hash < first);
        for (hash, at) in entries.iter().zip(zones) {
            while self.0.get(next).is_some_and(|asked| asked < hash) {
                next += 1;
            }
            if self.0.get(next) == Some(hash) {
                zone(*at);
            }
        }
    }
}

/// The entries of a segment, in order.
pub(super) struct Entries(ParquetRecordBatchStream<Box<dyn AsyncFileReader>>);

impl Entries {
    /// The next hashes, and the zone of each.
    pub(super) async fn next(&mut self) -> Result<Option<(Vec<u64>, Vec<u32>)>> {
        let Some(batch) = self.0.next().await else {
            return Ok(None);
        };
        let batch = batch?;
        let hashes = batch.column(0).as_primitive::<Int64Type>().values();
        let zones = batch.column(1).as_primitive::<Int32Type>().values();
        let hashes = hashes.iter().map(|hash| hash.cast_unsigned());
        let zones = zones.iter().map(|zone| zone.cast_unsigned());
        Ok(Some((hashes.collect(), zones.collect())))
    }
}

/// Opens a segment; `None` if it is not there any more, or is no segment.
pub(super) async fn read_segment(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    size: u64,
) -> Result<Option<(Zones, Entries)>> {
    match store.head(path).await {
        Ok(meta) if meta.size == size => {}
        Ok(_) | Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(e) => return Err(DataFusionError::from(e)),
    }
    let readers = DefaultParquetFileReaderFactory::new(Arc::clone(store));
    let file = PartitionedFile::new(path.to_string(), size);
    let metrics = ExecutionPlanMetricsSet::new();
    let reader: Box<dyn AsyncFileReader> =
        readers.create_reader(0, file, None, &metrics)?;
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
    let footer = builder.metadata().file_metadata().key_value_metadata();
    let files = footer.and_then(|pairs| pairs.iter().find(|pair| pair.key == FILES));
    let text = files.and_then(|pair| pair.value.as_deref());
    let Some(zones) = text.and_then(Zones::of_text) else {
        return Ok(None);
    };
    let entries = builder.with_batch_size(BATCH).build()?;
    Ok(Some((zones, Entries(entries))))
}

/// Writes a segment; its name, size and number of entries.
pub(super) async fn write_segment(
    at: &IndexStore<'_>,
    mut zones: Zones,
) -> Result<(String, u64, u64)> {
    let name = format!("keys-{}.parquet", Uuid::new_v4());
    let path = at.folder.clone().join(name.as_str());
    let schema = Arc::new(Schema::new(vec![
        Field::new(HASH, DataType::Int64, false),
        Field::new(ZONE, DataType::Int32, false),
    ]));
    let files = KeyValue::new(FILES.to_owned(), zones.files_to_text());
    let hash = ColumnPath::from(HASH);
    let properties = WriterProperties::builder()
        .set_column_dictionary_enabled(hash.clone(), false)
        .set_column_encoding(hash, Encoding::DELTA_BINARY_PACKED)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![files]))
        .build();
    let to = BufWriter::new(Arc::clone(&at.store), path.clone());
    let writer = AsyncArrowWriter::try_new(to, Arc::clone(&schema), Some(properties));
    let mut writer = writer?;
    let entries = zones.sorted();
    for some in entries.chunks(BATCH) {
        let hashes = some.iter().map(|(hash, _)| hash.cast_signed());
        let zones = some
            .iter()
            .map(|(_, zone)| i32::try_from(*zone).unwrap_or(i32::MAX));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(hashes)),
            Arc::new(Int32Array::from_iter_values(zones)),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        writer.write(&batch).await?;
    }
    let count = entries.len() as u64;
    writer.close().await.map_err(|e: ParquetError| {
        DataFusionError::from(e).context(format!("cannot write `{path}`"))
    })?;
    let size = at.store.head(&path).await?.size;
    Ok((name, size, count))
}
