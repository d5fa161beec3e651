//! Committed tables on Delta Lake: versions, files, commits. The only room that knows deltalake.
//!
//! ```text
//!   open ──► TableVersion (an immutable list of files) ──► readers (catalog)
//!   TableWriter ──► data files nobody can see yet ──► commit ──► the next TableVersion
//! ```

mod deletion_vector;
mod log;
mod row_groups;
mod schema;
mod statistics;
mod upkeep;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use datafusion::arrow::datatypes::SchemaRef;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use url::Url;

use crate::store::Stores;

pub(crate) use deletion_vector::DeletionVector;
pub(crate) use row_groups::{
    Chunk, ChunkBytes, CopiedChunk, RowGroupWriter, append, under,
};
pub(crate) use schema::{cast_column, committed_schema};
pub use upkeep::{Commit, Vacuumed};
pub(crate) use writer::{TableWriter, Uncommitted, ZSTD_LEVEL};

/// Why a table cannot be read or committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Another writer committed first and the two changes cannot both stand.
    #[error("table `{url}`: another run committed first")]
    Conflict {
        /// The table.
        url: Box<Url>,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything the store or the log says.
    #[error("table `{url}`: {message}")]
    Other {
        /// The table.
        url: Box<Url>,
        /// What was attempted and what happened.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl TableError {
    pub(crate) fn new(url: &Url, message: impl Into<String>) -> Self {
        Self::Other {
            url: Box::new(url.clone()),
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn caused(
        url: &Url,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Other {
            url: Box::new(url.clone()),
            message: message.into(),
            source: Some(source.into()),
        }
    }
}

/// A place for a table, whether or not one is there yet.
#[derive(Debug, Clone)]
pub struct Table {
    url: Url,
    stores: Stores,
    /// The version it is read at; `None`: the newest.
    version: Option<u64>,
}

/// A folder beside a table's log. The commit that needs a file of it names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Indexes of keys.
    Keys,
    /// The last numbers of each key.
    Tails,
}

impl Beside {
    pub(crate) const ALL: [Self; 2] = [Self::Keys, Self::Tails];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keys => "_keys",
            Self::Tails => "_tails",
        }
    }
}

/// A data file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Path within the store.
    pub path: Path,
    /// Size in bytes.
    pub size: u64,
    /// Number of rows in the file, deleted ones too.
    pub rows: u64,
    /// Modification time, milliseconds since the epoch.
    pub modified: i64,
    /// The log's statistics of the file (JSON): rows, nulls, smallest and greatest values.
    pub statistics: Option<String>,
    /// Which of its rows are deleted.
    pub(crate) deletion_vector: Option<DeletionVector>,
}

impl DataFile {
    /// Number of rows that are not deleted.
    pub fn live_rows(&self) -> u64 {
        let deleted = self.deletion_vector.as_ref().map_or(0, DeletionVector::len);
        self.rows.saturating_sub(deleted)
    }
}

/// A committed, immutable state of a table.
#[derive(Debug, Clone)]
pub struct TableVersion {
    /// The table's URL.
    pub url: Url,
    /// The version number of the log.
    pub version: u64,
    /// The newest version up to this one that changed rows: both have the same rows.
    pub changed_at: u64,
    /// The table's columns.
    pub schema: SchemaRef,
    /// Its data files, ordered by path.
    pub files: Arc<[DataFile]>,
    /// Our own metadata of the commit (run id, model fingerprint, …).
    pub metadata: BTreeMap<String, String>,
}

impl TableVersion {
    /// Files with these columns as a version that no log knows.
    pub(crate) fn of_files(url: &Url, schema: &SchemaRef, files: &[DataFile]) -> Self {
        Self {
            url: url.clone(),
            version: 0,
            changed_at: 0,
            schema: Arc::clone(schema),
            files: files.into(),
            metadata: BTreeMap::new(),
        }
    }
}

/// What a commit changes. Files are those of the version that it is based on.
#[derive(Debug, Clone)]
pub enum Change {
    /// The new files are the whole table.
    Replace,
    /// The named files go, the new ones come. Columns may be added: they are null in the
    /// files that stay.
    Files(Vec<DataFile>),
    /// The same, and of other files single rows go.
    Rows {
        /// The files that go whole.
        removed: Vec<DataFile>,
        /// Files that stay, and all of their rows that are deleted from now on: those that are
        /// deleted already, and more. A file all of whose rows are named goes.
        masked: Vec<(DataFile, DeletionVector)>,
    },
    /// The same, and the new files hold the very rows of those that go: no row changes.
    Compact {
        /// The files that go.
        files: Vec<DataFile>,
        /// The size that new files were to have, for the log.
        target_size: u64,
    },
}

impl Table {
    /// A table at `url` (a folder).
    pub fn new(url: Url, stores: Stores) -> Self {
        Self {
            url,
            stores,
            version: None,
        }
    }

    /// The same table, read as of `version`.
    pub(crate) fn at(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The stores it is read through.
    pub(crate) fn stores(&self) -> &Stores {
        &self.stores
    }

    /// What lies in a folder of the table beside its log, which hides it from other writers'
    /// upkeep; as a table without a log.
    pub(crate) fn beside(&self, folder: Beside) -> Self {
        let mut url = self.url.clone();
        let path = format!("{}/{}/", url.path().trim_end_matches('/'), folder.name());
        url.set_path(&path);
        Self::new(url, self.stores.clone())
    }

    /// Its store, and its folder there.
    pub(crate) fn folder(
        &self,
    ) -> Result<(Arc<dyn object_store::ObjectStore>, Path), TableError> {
        place(self)
    }

    /// Whether anything has been committed.
    pub(crate) async fn exists(&self) -> Result<bool, TableError> {
        log::exists(self).await
    }

    /// The newest committed version, or the one it is read at; `None` if there is no table.
    pub async fn open(&self) -> Result<Option<TableVersion>, TableError> {
        log::open(self, self.version).await
    }

    /// The rows of an older version, in the files that the newest version with these rows
    /// has (upkeep may have moved them); an error if the log no longer has it.
    pub(crate) async fn open_rows_of(
        &self,
        version: u64,
    ) -> Result<Option<TableVersion>, TableError> {
        let version = log::last_with_rows_of(self, version).await?;
        log::open(self, Some(version)).await
    }

    /// Whether all of these files are still there: a vacuum removes those of old versions.
    pub(crate) async fn holds(&self, files: &[Path]) -> Result<bool, TableError> {
        let (store, _) = place(self)?;
        for path in files {
            match store.head(path).await {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => return Ok(false),
                Err(e) => {
                    let message = format!("cannot look for `{path}`");
                    return Err(TableError::caused(&self.url, message, e));
                }
            }
        }
        Ok(true)
    }

    /// Its newest `limit` commits, newest first.
    pub async fn history(&self, limit: usize) -> Result<Vec<Commit>, TableError> {
        upkeep::history(self, limit).await
    }

    /// Removes files that no version younger than `retain` needs.
    pub async fn vacuum(
        &self,
        retain: TimeDelta,
        dry_run: bool,
    ) -> Result<Vacuumed, TableError> {
        upkeep::vacuum(self, retain, dry_run).await
    }

    /// A writer of new data files with this schema, as [`committed_schema`] gives it; rows
    /// of other types are cast, and a value that does not fit is an error.
    pub fn writer(&self, schema: SchemaRef) -> Result<TableWriter, TableError> {
        TableWriter::try_new(self, schema)
    }

    /// A writer of new data files by row groups, whose columns may be those of other files.
    pub(crate) fn row_groups(
        &self,
        schema: SchemaRef,
    ) -> Result<RowGroupWriter, TableError> {
        RowGroupWriter::try_new(self, schema)
    }

    /// Commits `files` in one log entry on top of `base` (`None`: creates the table) and
    /// returns the new version. `metadata` is kept in the entry.
    ///
    /// If anyone else committed since `base` was opened, nothing changes and the error is
    /// [`TableError::Conflict`]. Files that leave the table stay in the store, for readers
    /// of older versions.
    pub async fn commit(
        &self,
        base: Option<&TableVersion>,
        change: Change,
        schema: SchemaRef,
        files: Vec<DataFile>,
        metadata: BTreeMap<String, String>,
    ) -> Result<TableVersion, TableError> {
        log::commit(self, base, change, schema, files, metadata).await
    }
}

/// The store of `table` and the table's folder in it.
fn place(
    table: &Table,
) -> Result<(Arc<dyn object_store::ObjectStore>, Path), TableError> {
    let store = table
        .stores
        .get(&table.url)
        .map_err(|e| TableError::caused(&table.url, "cannot open its store", e))?;
    let folder = Path::from_url_path(table.url.path())
        .map_err(|e| TableError::caused(&table.url, "not a path of the store", e))?;
    Ok((store, folder))
}

#[cfg(test)]
mod tests;
