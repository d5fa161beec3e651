//! Table providers: event lakes, committed tables, and a project's models as a catalog.

mod lake;
mod project;

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::TableProvider;

pub use lake::event_lake;
#[cfg(feature = "runner")]
pub(crate) use lake::{
    FILE_COLUMN, FileTable, NoFiles, Origin, ROW_COLUMN, UNREADABLE_COLUMN, committed,
    first_unreadable,
};
pub(crate) use lake::{LakeMemory, event_lake_of};
pub use project::ProjectCatalog;

/// Where the files of an event lake are and how they are read.
///
/// Files may differ in their columns: they are read by name, a column missing in some files is null
/// there, and types are widened to a common one. `key=value` folders become typed columns.
#[derive(Debug, Clone, Default)]
pub struct EventLakeOptions {
    /// What errors call it (`source('segment', 'pages')`, or the location itself).
    pub name: String,
    /// A file, folder or glob: an absolute path or a URL.
    pub location: String,
    /// `parquet`, `csv` or `json`; default: by the files' ending.
    pub format: Option<String>,
    /// Columns the readers count on.
    pub columns: Vec<LakeColumn>,
    /// Whether nested objects become columns of dotted names: `context.page.url`. In JSON
    /// files lists become texts then, and what is an object in one record and a plain value in
    /// another becomes columns for both.
    pub flatten: bool,
    /// Where relative paths start.
    pub base: PathBuf,
}

/// A column that readers of a lake count on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeColumn {
    /// Name.
    pub name: String,
    /// SQL type it is cast to; `None`: the files' own.
    pub data_type: Option<String>,
    /// Missing in every file: an error that names the column, a file and the columns there (true), or a
    /// column of nulls (false; needs `data_type`).
    pub required: bool,
}

/// What stands behind a name of a [`ProjectCatalog`].
#[derive(Debug, Clone)]
pub enum CatalogEntry {
    /// A query, planned when the name is used. Its own names resolve in the same catalogs.
    View(String),
    /// A provider that is there: a committed version, an in-memory table.
    Table(Arc<dyn TableProvider>),
    /// A committed table, opened at its newest version when first used.
    #[cfg(feature = "runner")]
    Committed(crate::table::Table),
    /// An event lake, opened when first used.
    Lake(EventLakeOptions),
    /// A name that cannot be read; using it is this error.
    Unavailable(String),
}
