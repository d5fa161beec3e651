//! Data files before they are committed.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::AsyncArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::parquet::file::properties::WriterProperties;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;
use url::Url;
use uuid::Uuid;

use super::{DataFile, Table, TableError, place, schema, statistics};

/// A file that has grown to this many bytes is closed and the next one begun.
pub(super) const ROLL_AT: usize = 128 * 1024 * 1024;

/// How hard Zstandard tries: more costs more time than it saves bytes.
pub(crate) const ZSTD_LEVEL: i32 = 1;

/// Rows of a page: who wants some rows of a table, an update by key above all, decompresses the
/// pages they are in. Parquet's default is 20,000; pages of a tenth take a fiftieth more space.
const PAGE_ROWS: usize = 2_048;

/// Writes data files that no reader sees before they are committed.
///
/// Dropping it without [`close`](Self::close) leaves the table as it was: the file in
/// progress is aborted, and finished ones are deleted as far as the store lets us.
#[derive(Debug)]
pub struct TableWriter {
    files: NewFiles,
    roll_at: usize,
    current: Option<OpenFile>,
}

/// The files that a writer makes.
#[derive(Debug)]
pub(super) struct NewFiles {
    pub(super) url: Url,
    store: Arc<dyn ObjectStore>,
    folder: Path,
    pub(super) schema: SchemaRef,
    pub(super) properties: WriterProperties,
    pub(super) finished: Uncommitted,
}

/// Where a file's bytes go.
pub(super) struct Upload {
    pub(super) path: Path,
    pub(super) to: BufWriter,
    /// Dropped after the writer; not there for stores that are not of this machine.
    pub(super) staged: Option<Staged>,
}

/// The file that rows go to.
struct OpenFile {
    path: Path,
    writer: AsyncArrowWriter<BufWriter>,
    /// Dropped after the writer; not there for stores that are not of this machine.
    _staged: Option<Staged>,
}

/// Where the local store gathers the parts of a file. The store removes it in a task of its
/// own, and a process about to end runs no further task: here it goes at once.
pub(super) struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenFile").field(&self.path).finish()
    }
}

impl TableWriter {
    pub(super) fn try_new(table: &Table, schema: SchemaRef) -> Result<Self, TableError> {
        Ok(Self {
            files: NewFiles::of(table, schema)?,
            roll_at: ROLL_AT,
            current: None,
        })
    }

    /// Begins the next file when one has grown to `bytes`.
    pub(crate) fn with_roll_at(mut self, bytes: usize) -> Self {
        self.roll_at = bytes;
        self
    }

    /// Appends rows.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = schema::cast_batch(batch, &self.files.schema)
            .map_err(|e| TableError::caused(&self.files.url, "cannot write rows", e))?;
        let mut file = match self.current.take() {
            Some(file) => file,
            None => self.next_file()?,
        };
        let written = file.writer.write(&batch).await;
        written.map_err(|e| self.files.failed(&file.path, e))?;
        if file.writer.bytes_written() + file.writer.in_progress_size() >= self.roll_at {
            self.finish(file).await
        } else {
            self.current = Some(file);
            Ok(())
        }
    }

    /// Finishes the files (none, if no row came).
    pub async fn close(self) -> Result<Vec<DataFile>, TableError> {
        Ok(self.finish_all().await?.keep())
    }

    /// The same; the files go again unless they are kept.
    pub(crate) async fn finish_all(mut self) -> Result<Uncommitted, TableError> {
        if let Some(file) = self.current.take() {
            self.finish(file).await?;
        }
        Ok(self.files.finished)
    }

    /// Takes back what was written.
    pub async fn abort(mut self) {
        if let Some(mut file) = self.current.take() {
            // Nobody sees the file: an upload that cannot be taken back is only space.
            drop(file.writer.flush().await);
            drop(file.writer.into_inner().abort().await);
        }
        delete(&self.files.store, self.files.finished.keep()).await;
    }

    fn next_file(&self) -> Result<OpenFile, TableError> {
        let Upload { path, to, staged } = self.files.upload();
        let schema = Arc::clone(&self.files.schema);
        let properties = Some(self.files.properties.clone());
        let writer = AsyncArrowWriter::try_new(to, schema, properties)
            .map_err(|e| self.files.failed(&path, e))?;
        Ok(OpenFile {
            path,
            writer,
            _staged: staged,
        })
    }

    async fn finish(&mut self, mut file: OpenFile) -> Result<(), TableError> {
        let metadata = file.writer.finish().await;
        let metadata = metadata.map_err(|e| self.files.failed(&file.path, e))?;
        self.files.add(file.path, &metadata).await
    }
}

impl NewFiles {
    pub(super) fn of(table: &Table, schema: SchemaRef) -> Result<Self, TableError> {
        let (store, folder) = place(table)?;
        let level = ZstdLevel::try_new(ZSTD_LEVEL)
            .map_err(|e| TableError::caused(table.url(), "cannot compress", e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_truncate_length(None)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .build();
        Ok(Self {
            url: table.url().clone(),
            finished: Uncommitted::of(table.url(), &store),
            store,
            folder,
            schema,
            properties,
        })
    }

    /// A new file.
    pub(super) fn upload(&self) -> Upload {
        let index = self.finished.files.len();
        let name = format!("part-{index:05}-{}.zstd.parquet", Uuid::new_v4());
        let path = self.folder.clone().join(name);
        let name = path.filename().unwrap_or_default();
        let local = self.finished.local.as_ref();
        Upload {
            staged: local.map(|folder| Staged(folder.join(format!("{name}#1")))),
            to: BufWriter::new(Arc::clone(&self.store), path.clone()),
            path,
        }
    }

    /// Takes in a file that is written.
    pub(super) async fn add(
        &mut self,
        path: Path,
        metadata: &ParquetMetaData,
    ) -> Result<(), TableError> {
        let head = self.store.head(&path).await;
        let head = head.map_err(|e| {
            let message = format!("cannot find `{path}` after writing it");
            TableError::caused(&self.url, message, e)
        })?;
        let statistics = statistics::of_file(metadata, &self.schema).map_err(|e| {
            let message = format!("cannot sum up `{path}`");
            TableError::caused(&self.url, message, e)
        })?;
        self.finished.files.push(DataFile {
            path,
            size: head.size,
            rows: u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0),
            modified: head.last_modified.timestamp_millis(),
            statistics: Some(statistics),
            deletion_vector: None,
        });
        Ok(())
    }

    pub(super) fn failed(&self, path: &Path, error: ParquetError) -> TableError {
        let name = path.filename().unwrap_or_default();
        TableError::caused(&self.url, format!("cannot write `{name}`"), error)
    }
}

/// Whole files that nobody sees yet; dropped, they are deleted as far as the store lets us.
#[derive(Debug, Default)]
pub(crate) struct Uncommitted {
    store: Option<Arc<dyn ObjectStore>>,
    /// The table's folder, if it is one of this machine.
    local: Option<PathBuf>,
    files: Vec<DataFile>,
}

impl Uncommitted {
    fn of(table: &Url, store: &Arc<dyn ObjectStore>) -> Self {
        let local = (table.scheme() == "file").then(|| table.to_file_path().ok());
        Self {
            store: Some(Arc::clone(store)),
            local: local.flatten(),
            files: Vec::new(),
        }
    }

    /// The files so far.
    pub(crate) fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// Takes over the files of `other`.
    pub(crate) fn extend(&mut self, mut other: Self) {
        self.store = self.store.take().or_else(|| other.store.take());
        self.local = self.local.take().or_else(|| other.local.take());
        self.files.append(&mut other.files);
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// The rows in all of them.
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.rows).sum()
    }

    /// The files, ordered by path; from here on they stay.
    pub(crate) fn keep(mut self) -> Vec<DataFile> {
        let mut files = std::mem::take(&mut self.files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }
}

impl Drop for Uncommitted {
    fn drop(&mut self) {
        let files = std::mem::take(&mut self.files);
        if let Some(folder) = &self.local {
            // A process about to end runs no further task: these go here and now.
            let names = files.iter().filter_map(|f| f.path.filename());
            names.for_each(|name| drop(std::fs::remove_file(folder.join(name))));
        } else if let (Some(store), false, Ok(runtime)) =
            (self.store.take(), files.is_empty(), Handle::try_current())
        {
            runtime.spawn(async move { delete(&store, files).await });
        }
    }
}

/// Deletes files that nobody sees; one that stays is only space.
async fn delete(store: &Arc<dyn ObjectStore>, files: Vec<DataFile>) {
    for file in files {
        drop(store.delete(&file.path).await);
    }
}
