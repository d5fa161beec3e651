//! Event lakes: files of differing columns as one table.
//!
//! ```text
//!   location ──► files ──► one schema a file ──► the lake's schema (by name, widened)
//!   scan: file ──► needed columns and row groups ──► converted to the lake's types
//! ```

mod bytes;
#[cfg(feature = "runner")]
mod changed;
mod convert;
mod dotted;
mod files;
mod glob;
mod groups;
mod header;
mod json;
mod known;
#[cfg(feature = "runner")]
mod rows;
mod schema;
mod table;
mod text;
mod types;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
#[cfg(feature = "runner")]
use datafusion::common::DataFusionError;
use datafusion::common::{Result, plan_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use super::EventLakeOptions;
use crate::store::Stores;
#[cfg(feature = "runner")]
pub(crate) use convert::UNREADABLE_COLUMN;
#[cfg(feature = "runner")]
pub(crate) use files::NoFiles;
use files::{Format, Listing};
use json::JsonLake;
use known::KnownLake;
pub(crate) use known::LakeMemory;
#[cfg(feature = "runner")]
pub(crate) use rows::{FILE_COLUMN, ROW_COLUMN};
use schema::Declared;
pub(crate) use table::FileTable;
#[cfg(feature = "runner")]
pub(crate) use table::Origin;

/// How many files' schemas are read at once.
const CONCURRENT: usize = 16;

/// Opens an event lake: lists its files, reads their schemas (not their rows).
pub async fn event_lake(
    context: &SessionContext,
    stores: &Stores,
    options: EventLakeOptions,
) -> Result<Arc<dyn TableProvider>> {
    event_lake_of(context, stores, options, &LakeMemory::default()).await
}

/// The same; footers of files that are in `memory` are not read again.
pub(crate) async fn event_lake_of(
    context: &SessionContext,
    stores: &Stores,
    options: EventLakeOptions,
    memory: &LakeMemory,
) -> Result<Arc<dyn TableProvider>> {
    let name = if options.name.is_empty() {
        options.location.clone()
    } else {
        options.name.clone()
    };
    let opened = open(context, stores, &options, memory).await;
    let table = opened.map_err(|e| e.context(format!("cannot read `{name}`")))?;
    Ok(Arc::new(table))
}

async fn open(
    context: &SessionContext,
    stores: &Stores,
    options: &EventLakeOptions,
    memory: &LakeMemory,
) -> Result<FileTable> {
    if options.location.trim().is_empty() {
        return plan_err!(
            "its location is empty; expected a file, a folder, a glob or a URL"
        );
    }
    let location = Stores::parse(&options.location, &options.base)?;
    let store = stores.get(&location)?;
    let format = options.format.as_deref().map(Format::named).transpose()?;
    let declared = declared(context, options).await?;
    let listing = files::list(&store, &location, format).await?;
    if listing.delta {
        return delta(stores, &location, &declared).await;
    }
    let reading = Reading {
        location: location.clone(),
        format: listing.format,
        flatten: options.flatten,
    };
    let key = known::key(&location, &declared, options.flatten);
    let known = match listing.format {
        Format::Parquet => memory.recall(&key, &listing).await,
        // their rows are read by the types of their own file, which is not remembered
        Format::Csv | Format::Json => None,
    };
    let schemas = schemas(context, &store, &reading, &listing, known.as_deref()).await?;
    let (fields, values) = files::partitions(&listing.files, &listing.base)?;
    let names = shown(&location, &listing.files);
    let mut lake = schema::lake(&declared, &names, &schemas, fields, values)?;
    // a plain CSV keeps what it does not know: whoever reads the column gives it a type
    let is_csv = listing.format == Format::Csv;
    if listing.format == Format::Json || (is_csv && options.flatten) {
        lake = lake.without_null_types();
    }
    if let Some(known) = known {
        let folded = known.folded.union(&lake.folded);
        lake.folded = Arc::new(folded.cloned().collect());
    }
    if listing.format == Format::Parquet {
        let columns = &lake.files.fields()[..lake.found];
        if let Some(found) = KnownLake::of(columns, &lake.folded, &listing) {
            memory.keep(&key, found).await;
        }
    }
    FileTable::try_new(store, reading, listing.files, &schemas, lake)
}

/// The columns that the options declare, with their types.
async fn declared(
    context: &SessionContext,
    options: &EventLakeOptions,
) -> Result<Vec<Declared>> {
    let mut declared = Vec::new();
    for column in &options.columns {
        let data_type = match &column.data_type {
            Some(text) => Some(types::declared(context, text).await?),
            None => None,
        };
        declared.push(Declared {
            name: column.name.clone(),
            data_type,
            required: column.required,
        });
    }
    Ok(declared)
}

/// What errors call the files of a location.
fn shown(location: &Url, files: &[ObjectMeta]) -> Vec<String> {
    let files = files.iter();
    files
        .map(|f| files::shown_file(location, &f.location))
        .collect()
}

/// A committed table, read as of its newest version.
#[cfg(feature = "runner")]
async fn delta(
    stores: &Stores,
    location: &Url,
    declared: &[Declared],
) -> Result<FileTable> {
    let table = crate::table::Table::new(location.clone(), stores.clone());
    let version = table.open().await;
    let version = version.map_err(|e| DataFusionError::External(Box::new(e)))?;
    match version {
        Some(version) => committed_files(stores, &version, declared),
        None => plan_err!("`{location}` holds no committed version"),
    }
}

#[cfg(not(feature = "runner"))]
#[expect(clippy::unused_async, reason = "the signature of the other build")]
async fn delta(_: &Stores, location: &Url, _: &[Declared]) -> Result<FileTable> {
    plan_err!("`{location}` is a Delta table, which needs the feature `runner`")
}

/// The rows of a committed version, whatever is committed later.
#[cfg(feature = "runner")]
pub(crate) fn committed(
    stores: &Stores,
    version: &crate::table::TableVersion,
) -> Result<FileTable> {
    committed_files(stores, version, &[])
}

#[cfg(feature = "runner")]
fn committed_files(
    stores: &Stores,
    version: &crate::table::TableVersion,
    declared: &[Declared],
) -> Result<FileTable> {
    let store = stores.get(&version.url)?;
    let files: Vec<_> = version
        .files
        .iter()
        .map(|file| ObjectMeta {
            location: file.path.clone(),
            last_modified: chrono::DateTime::from_timestamp_millis(file.modified)
                .unwrap_or_default(),
            size: file.size,
            e_tag: None,
            version: None,
        })
        .collect();
    let schemas = vec![Arc::clone(&version.schema); files.len().max(1)];
    let values = vec![Vec::new(); files.len()];
    let names = shown(&version.url, &files);
    let lake = schema::lake(declared, &names, &schemas, Vec::new(), values)?;
    let reading = Reading {
        location: version.url.clone(),
        format: Format::Parquet,
        flatten: false,
    };
    let table = FileTable::try_new(store, reading, files, &schemas, lake)?;
    Ok(table
        .of_version(version.changed_at)
        .with_rows(&version.files))
}

/// The schema of every file, in the files' order.
async fn schemas(
    context: &SessionContext,
    store: &Arc<dyn ObjectStore>,
    reading: &Reading,
    listing: &Listing,
    known: Option<&KnownLake>,
) -> Result<Vec<SchemaRef>> {
    let state = context.state();
    let state = &state;
    let before = known.and_then(|known| Some((known, known.schema()?)));
    let before = &before;
    futures::stream::iter(listing.files.iter().cloned())
        .map(|file| async move {
            if let Some((known, schema)) = before
                && known.holds(&file)
            {
                return Ok(Arc::clone(schema));
            }
            let format = reading.of(&file);
            let files = std::slice::from_ref(&file);
            let schema = async {
                if reading.format == Format::Csv {
                    header::check_header(store, &file).await?;
                }
                let schema = format.infer_schema(state, store, files).await?;
                reading.columns(schema)
            };
            schema.await.map_err(|e| {
                let shown = files::shown_file(&reading.location, &file.location);
                e.context(format!("the file `{shown}` is not readable"))
            })
        })
        .buffered(CONCURRENT)
        .try_collect()
        .await
}

/// The first Parquet file of a lake that does not decode, as a user would write it.
#[cfg(feature = "runner")]
pub(crate) async fn first_unreadable(
    context: &SessionContext,
    stores: &Stores,
    options: &EventLakeOptions,
) -> Option<String> {
    let location = Stores::parse(&options.location, &options.base).ok()?;
    let store = stores.get(&location).ok()?;
    let listing = files::list(&store, &location, None).await.ok()?;
    if listing.format != Format::Parquet || listing.delta {
        return None;
    }
    for file in listing.files {
        let shown = files::shown_file(&location, &file.location);
        let alone = EventLakeOptions {
            location: shown.clone(),
            columns: Vec::new(),
            ..options.clone()
        };
        if decode(context, stores, alone).await.is_err() {
            return Some(shown);
        }
    }
    None
}

#[cfg(feature = "runner")]
async fn decode(
    context: &SessionContext,
    stores: &Stores,
    options: EventLakeOptions,
) -> Result<()> {
    let lake = event_lake(context, stores, options).await?;
    let mut rows = context.read_table(lake)?.execute_stream().await?;
    while rows.try_next().await?.is_some() {}
    Ok(())
}

/// How the files of a lake are read.
#[derive(Debug, Clone)]
struct Reading {
    location: Url,
    format: Format,
    /// Nested objects become columns of dotted names.
    flatten: bool,
}

impl Reading {
    /// The reader of one file.
    fn of(&self, file: &ObjectMeta) -> Arc<dyn FileFormat> {
        let compression = files::compression(&file.location);
        match self.format {
            Format::Parquet => {
                let parquet = ParquetFormat::default().with_force_view_types(false);
                Arc::new(parquet.with_skip_metadata(true))
            }
            Format::Csv => {
                let csv = CsvFormat::default().with_has_header(true);
                let csv = csv.with_newlines_in_values(true);
                let csv = csv.with_delimiter(files::delimiter(&file.location));
                Arc::new(csv.with_file_compression_type(compression))
            }
            Format::Json => Arc::new(JsonLake {
                location: self.location.clone(),
                compression,
                flatten: self.flatten,
            }),
        }
    }

    /// The columns that a file with this schema gives the lake.
    fn columns(&self, file: SchemaRef) -> Result<SchemaRef> {
        match self.flatten {
            true => Ok(Arc::new(dotted::flattened(&file)?)),
            false => Ok(file),
        }
    }
}
