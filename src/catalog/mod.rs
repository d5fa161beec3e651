//! Table providers: event lakes, committed tables, and a project's models as a catalog.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result};
use datafusion::prelude::SessionContext;

use crate::store::Stores;

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

/// Opens an event lake: lists its files, reads their schemas (not their rows).
pub async fn event_lake(
    context: &SessionContext,
    stores: &Stores,
    options: EventLakeOptions,
) -> Result<Arc<dyn TableProvider>> {
    let _ = (context, stores, options);
    Err(DataFusionError::Internal("not built yet".to_owned()))
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

/// Catalogs, schemas and tables by name, resolved when they are used.
///
/// Entries can be replaced while queries run (a model commits a new version); a query that
/// is planned keeps what it saw.
#[derive(Debug, Clone, Default)]
pub struct ProjectCatalog {
    entries: Arc<RwLock<HashMap<(String, String, String), CatalogEntry>>>,
    stores: Stores,
}

impl ProjectCatalog {
    /// An empty catalog that opens files through `stores`.
    pub fn new(stores: Stores) -> Self {
        Self {
            entries: Arc::default(),
            stores,
        }
    }

    /// Puts `entry` under `catalog.schema.name`, replacing what was there.
    pub fn insert(&self, catalog: &str, schema: &str, name: &str, entry: CatalogEntry) {
        let _ = (catalog, schema, name, entry, &self.stores, &self.entries);
    }

    /// Makes every entry visible in `context`; names without a catalog resolve in
    /// `default_catalog`: there a bare name finds the entry of that name in any schema if there is only one.
    pub fn register(
        &self,
        context: &SessionContext,
        default_catalog: &str,
    ) -> Result<()> {
        let _ = (context, default_catalog);
        Ok(())
    }
}
