//! A file's records -> batches of rows.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::json::ReaderBuilder;
use datafusion::arrow::json::reader::Decoder;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStore;

use super::super::bytes::chunks;
use super::records::{Record, Records};
use super::{JsonLake, flat};

/// Opens the files of a scan.
pub(super) struct JsonLakeOpener {
    pub(super) lake: JsonLake,
    pub(super) store: Arc<dyn ObjectStore>,
    /// The columns that are read.
    pub(super) schema: SchemaRef,
    pub(super) batch_size: usize,
}

impl FileOpener for JsonLakeOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let decoder = ReaderBuilder::new(Arc::clone(&self.schema))
            .with_batch_size(self.batch_size)
            .with_coerce_primitive(true)
            .build_decoder()?;
        let (lake, store) = (self.lake.clone(), Arc::clone(&self.store));
        let opened = async move {
            let file = file.object_meta;
            let name = lake.shown(&file);
            let reading = Reading {
                chunks: chunks(&store, &file, lake.compression).await?,
                records: Records::new(name.clone()),
                rows: Rows {
                    name,
                    decoder,
                    flat: lake.flatten.then(Vec::new),
                    ready: VecDeque::new(),
                },
                over: false,
            };
            let batches = futures::stream::try_unfold(reading, Reading::next);
            Ok(batches.boxed())
        };
        Ok(opened.boxed())
    }
}

/// A file that is being read.
struct Reading {
    chunks: BoxStream<'static, Result<Bytes>>,
    records: Records,
    rows: Rows,
    over: bool,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        loop {
            if let Some(batch) = self.rows.ready.pop_front() {
                return Ok(Some((batch, self)));
            }
            if self.over {
                return Ok(None);
            }
            let rows = &mut self.rows;
            let mut add = |record: Record<'_>| rows.add(record);
            match self.chunks.next().await {
                Some(chunk) => self.records.push(&chunk?, &mut add)?,
                None => {
                    self.records.finish(&mut add)?;
                    self.rows.flush()?;
                    self.over = true;
                }
            }
        }
    }
}

/// Records as rows; at most one batch of them is open.
struct Rows {
    name: String,
    decoder: Decoder,
    /// Where records are flattened, if they are.
    flat: Option<Vec<u8>>,
    ready: VecDeque<RecordBatch>,
}

impl Rows {
    fn add(&mut self, record: Record<'_>) -> Result<()> {
        let mut flat = self.flat.take();
        if let Some(flat) = &mut flat {
            flat.clear();
            flat::flatten(record.text, flat);
        }
        let added = self.decode(flat.as_deref().unwrap_or(record.text));
        self.flat = flat;
        added.map_err(|e| e.context(self.place(record.line)))
    }

    fn decode(&mut self, mut text: &[u8]) -> Result<()> {
        loop {
            let read = self.decoder.decode(text)?;
            text = &text[read..];
            if text.is_empty() {
                return Ok(());
            }
            if !self.flush()? && read == 0 {
                return internal_err!("a record that is not taken");
            }
        }
    }

    /// Makes a batch of the rows so far; false if there are none.
    fn flush(&mut self) -> Result<bool> {
        let batch = self.decoder.flush().map_err(DataFusionError::from);
        let name = &self.name;
        let read =
            |e: DataFusionError| e.context(format!("the file `{name}` cannot be read"));
        let batch = batch.map_err(read)?;
        let any = batch.is_some();
        self.ready.extend(batch);
        Ok(any)
    }

    fn place(&self, line: u64) -> String {
        format!("line {line} of the file `{}` cannot be read", self.name)
    }
}
