//! Committed tables on Delta Lake: versions, files, commits. The only room that knows deltalake.
//!
//! ```text
//!   open ──► TableVersion (an immutable list of files) ──► readers (catalog)
//!   TableWriter ──► data files nobody can see yet ──► commit ──► the next TableVersion
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use object_store::path::Path;
use url::Url;

use crate::store::Stores;

/// Why a table cannot be read or committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Another writer committed first and the two changes cannot both stand.
    #[error("table `{url}`: another run committed first")]
    Conflict {
        /// The table.
        url: Url,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything the store or the log says.
    #[error("table `{url}`: {message}")]
    Other {
        /// The table.
        url: Url,
        /// What was attempted and what happened.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// A place for a table, whether or not one is there yet.
#[derive(Debug, Clone)]
pub struct Table {
    url: Url,
    stores: Stores,
}

/// A data file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Path within the store.
    pub path: Path,
    /// Size in bytes.
    pub size: u64,
    /// Number of rows.
    pub rows: u64,
    /// Modification time, milliseconds since the epoch.
    pub modified: i64,
}

/// A committed, immutable state of a table.
#[derive(Debug, Clone)]
pub struct TableVersion {
    /// The table's URL.
    pub url: Url,
    /// The version number of the log.
    pub version: u64,
    /// The table's columns.
    pub schema: SchemaRef,
    /// Its data files, ordered by path.
    pub files: Arc<[DataFile]>,
    /// Our own metadata of the commit (run id, model fingerprint, …).
    pub metadata: BTreeMap<String, String>,
}

/// What a commit changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// The new files are the whole table.
    Replace,
    /// The named files go, the new ones come.
    Files(Vec<DataFile>),
}

/// Writes data files that no reader sees before they are committed. Dropping it without
/// `close` aborts the upload.
#[derive(Debug)]
pub struct TableWriter {
    schema: SchemaRef,
}

impl Table {
    /// A table at `url` (a folder).
    pub fn new(url: Url, stores: Stores) -> Self {
        Self { url, stores }
    }

    /// The newest committed version; `None` if there is no table.
    pub async fn open(&self) -> Result<Option<TableVersion>, TableError> {
        let _ = (&self.url, &self.stores);
        Ok(None)
    }

    /// A writer of new data files with this schema. Types that Delta has not are refused
    /// or widened by [`committed_schema`] before.
    pub fn writer(&self, schema: SchemaRef) -> Result<TableWriter, TableError> {
        Ok(TableWriter { schema })
    }

    /// Commits `files` in one log entry on top of `base` (`None`: creates the table) and
    /// returns the new version. `metadata` is kept in the entry.
    pub async fn commit(
        &self,
        base: Option<&TableVersion>,
        change: Change,
        schema: SchemaRef,
        files: Vec<DataFile>,
        metadata: BTreeMap<String, String>,
    ) -> Result<TableVersion, TableError> {
        let _ = (base, change, schema, files, metadata);
        Err(TableError::Other {
            url: self.url.clone(),
            message: "not built yet".to_owned(),
            source: None,
        })
    }
}

impl TableWriter {
    /// Appends rows.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        let _ = (batch, &self.schema);
        Ok(())
    }

    /// Finishes the files (none, if no row came).
    pub async fn close(self) -> Result<Vec<DataFile>, TableError> {
        Ok(Vec::new())
    }
}

/// The schema under which a query's result is committed: unsigned integers widened to
/// signed ones, timestamps to microseconds (with a zone: UTC), dictionaries and views to plain
/// strings, everything nullable; an error names the column of a type Delta cannot hold.
pub fn committed_schema(schema: &SchemaRef) -> datafusion::common::Result<SchemaRef> {
    Ok(Arc::clone(schema))
}
