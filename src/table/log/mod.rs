//! The Delta log: versions are read from it, commits are written to it.

mod actions;
mod commit;
mod protocol;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use deltalake::DeltaTableError;
use deltalake::kernel::{DeletionVectorDescriptor, EagerSnapshot, LogicalFileView};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use serde_json::{Value, json};
use url::Url;

use super::deletion_vector::DeletionVector;
use super::{DataFile, Table, TableError, TableVersion, place};

pub(super) use commit::commit;

/// The key of our own metadata in the log's `commitInfo`.
const METADATA_KEY: &str = "sessionize";
/// How many deletion vectors are read at a time.
const VECTORS: usize = 16;

pub(super) fn log_store(table: &Table) -> Result<(LogStoreRef, Path), TableError> {
    let (store, folder) = place(table)?;
    let prefixed: Arc<dyn ObjectStore> =
        Arc::new(PrefixStore::new(Arc::clone(&store), folder.clone()));
    let options = StorageConfig::default();
    Ok((
        default_logstore(prefixed, store, table.url(), &options),
        folder,
    ))
}

/// Whether there is a log.
pub(super) async fn exists(table: &Table) -> Result<bool, TableError> {
    let (log, _) = log_store(table)?;
    let found = log.is_delta_table_location().await;
    found.map_err(|e| read_error(table.url(), e))
}

/// Version `version` of the table, or the newest.
pub(super) async fn open(
    table: &Table,
    version: Option<u64>,
) -> Result<Option<TableVersion>, TableError> {
    let (log, folder) = log_store(table)?;
    let failed = |e| read_error(table.url(), e);
    if !log.is_delta_table_location().await.map_err(failed)? {
        return Ok(None);
    }
    if let Some(asked) = version {
        let newest = log.get_latest_version(0).await.map_err(failed)?;
        if asked > newest {
            let message = format!("there is no version {asked}, the newest is {newest}");
            return Err(TableError::new(table.url(), message));
        }
    }
    let snapshot = EagerSnapshot::try_new(log.as_ref(), version).await;
    let snapshot = snapshot.map_err(failed)?;
    refuse_unsupported(table.url(), &snapshot)?;
    let views = snapshot.file_views(log.as_ref(), None);
    let views: Vec<_> = views.try_collect().await.map_err(failed)?;
    let (store, url) = (place(table)?.0, table.url());
    let files = views.iter().map(|view| data_file(url, &folder, view));
    let files = stream::iter(files.collect::<Result<Vec<_>, _>>()?);
    let files = files.map(|(file, vector)| masked(url, &store, &folder, file, vector));
    let mut files: Vec<_> = files.buffered(VECTORS).try_collect().await?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let version = snapshot.version();
    let (changed_at, metadata) = last_change(&log, version).await.map_err(failed)?;
    Ok(Some(TableVersion {
        url: table.url().clone(),
        version,
        changed_at,
        schema: plain_schema(&snapshot.arrow_schema()),
        files: files.into(),
        metadata,
    }))
}

/// The schema without the log's field metadata.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| {
        let field = f.as_ref().clone();
        field.with_metadata(HashMap::new())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn read_error(url: &Url, error: DeltaTableError) -> TableError {
    TableError::caused(url, "cannot read its log", error)
}

/// Tables of other writers may use what we do not read: better no rows than wrong ones.
fn refuse_unsupported(url: &Url, snapshot: &EagerSnapshot) -> Result<(), TableError> {
    let metadata = json!(snapshot.metadata());
    let partitions = metadata["partitionColumns"].as_array();
    if partitions.is_some_and(|columns| !columns.is_empty()) {
        let message = "partitioned Delta tables are not supported";
        return Err(TableError::new(url, message));
    }
    let mapping = metadata["configuration"]["delta.columnMapping.mode"].as_str();
    if mapping.is_some_and(|mode| mode != "none") {
        let message = "Delta tables with column mapping are not supported";
        return Err(TableError::new(url, message));
    }
    Ok(())
}

/// A file of the log, and where its deleted rows are told.
fn data_file(
    url: &Url,
    folder: &Path,
    view: &LogicalFileView,
) -> Result<(DataFile, Option<DeletionVectorDescriptor>), TableError> {
    let relative = view.object_store_path();
    if view.path().contains("://") {
        let message = format!("its file `{}` lies outside of its folder", view.path());
        return Err(TableError::new(url, message));
    }
    let statistics = view.stats();
    let counted = statistics.as_deref().and_then(|text| {
        let value: Value = serde_json::from_str(text).ok()?;
        value.get("numRecords")?.as_u64()
    });
    let Some(rows) = counted else {
        let message = format!("the log does not say how many rows `{relative}` has");
        return Err(TableError::new(url, message));
    };
    let file = DataFile {
        path: folder.parts().chain(relative.parts()).collect(),
        size: u64::try_from(view.size()).unwrap_or(0),
        rows,
        modified: view.modification_time(),
        statistics,
        deletion_vector: None,
    };
    Ok((file, view.deletion_vector_descriptor()))
}

/// `file` with its deleted rows.
async fn masked(
    url: &Url,
    store: &Arc<dyn ObjectStore>,
    folder: &Path,
    file: DataFile,
    vector: Option<DeletionVectorDescriptor>,
) -> Result<DataFile, TableError> {
    let Some(vector) = vector else {
        return Ok(file);
    };
    let vector = DeletionVector::read(url, store, folder, vector).await?;
    if vector.last() >= Some(file.rows) {
        let message = format!(
            "a deletion vector names rows that `{}` of {} rows has not",
            file.path, file.rows
        );
        return Err(TableError::new(url, message));
    }
    Ok(DataFile {
        deletion_vector: Some(vector),
        ..file
    })
}

/// How many entries that change no row are passed over in search of our own metadata.
const LONGEST_SEARCH: u64 = 100;

/// The version that last changed rows as of `version`, and our own metadata of it: upkeep
/// (which changes no row) may have come after.
async fn last_change(
    log: &LogStoreRef,
    version: u64,
) -> Result<(u64, BTreeMap<String, String>), DeltaTableError> {
    let newest = version;
    let oldest = version.saturating_sub(LONGEST_SEARCH);
    for version in (oldest..=version).rev() {
        let Some(entry) = log.read_commit_entry(version).await? else {
            break;
        };
        if let Some(found) = metadata_of(&entry) {
            return Ok((version, found));
        }
        if changes_rows(&entry) {
            return Ok((version, BTreeMap::new()));
        }
    }
    Ok((newest, BTreeMap::new()))
}

/// The newest version that has the rows of `version`: what was committed in between only
/// moved them.
pub(super) async fn last_with_rows_of(
    table: &Table,
    version: u64,
) -> Result<u64, TableError> {
    let (log, _) = log_store(table)?;
    let mut last = version;
    loop {
        let entry = log.read_commit_entry(last + 1).await;
        match entry.map_err(|e| read_error(table.url(), e))? {
            Some(entry) if !changes_rows(&entry) => last += 1,
            _ => return Ok(last),
        }
    }
}

/// The actions of a log entry: one JSON object a line.
pub(super) fn actions(entry: &[u8]) -> impl Iterator<Item = Value> {
    let lines = entry.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok())
}

/// What a log entry says of itself.
pub(super) fn commit_info(entry: &[u8]) -> Option<Value> {
    actions(entry).find_map(|mut action| Some(action.get_mut("commitInfo")?.take()))
}

fn metadata_of(entry: &[u8]) -> Option<BTreeMap<String, String>> {
    let info = commit_info(entry)?;
    serde_json::from_value(info.get(METADATA_KEY)?.clone()).ok()
}

fn changes_rows(entry: &[u8]) -> bool {
    actions(entry).any(|action| {
        let file = action.get("add").or_else(|| action.get("remove"));
        file.is_some_and(|file| file["dataChange"].as_bool() != Some(false))
    })
}
