//! The Delta log: versions are read from it, commits are written to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use deltalake::DeltaTableError;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{
    CommitBuilder, CommitProperties, TableReference, TransactionError,
};
use deltalake::kernel::{
    Action, Add, EagerSnapshot, LogicalFileView, Metadata, MetadataExt, Protocol, Remove,
    StructType, new_metadata,
};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::protocol::{DeltaOperation, SaveMode};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use serde_json::{Value, json};
use url::Url;

use super::{Change, DataFile, Table, TableError, TableVersion, place};

/// The key of our own metadata in the log's `commitInfo`.
const METADATA_KEY: &str = "sessionize";

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
    let mut files = Vec::with_capacity(views.len());
    for view in &views {
        files.push(data_file(table.url(), &folder, view)?);
    }
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

fn data_file(
    url: &Url,
    folder: &Path,
    view: &LogicalFileView,
) -> Result<DataFile, TableError> {
    let relative = view.object_store_path();
    if view.deletion_vector_descriptor().is_some() {
        let message = format!(
            "`{relative}` has a deletion vector, which is not supported; rewrite the table without (`REORG TABLE … APPLY (PURGE)`)"
        );
        return Err(TableError::new(url, message));
    }
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
    Ok(DataFile {
        path: folder.parts().chain(relative.parts()).collect(),
        size: u64::try_from(view.size()).unwrap_or(0),
        rows,
        modified: view.modification_time(),
        statistics,
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

pub(super) async fn commit(
    table: &Table,
    base: Option<&TableVersion>,
    change: Change,
    schema: SchemaRef,
    files: Vec<DataFile>,
    metadata: BTreeMap<String, String>,
) -> Result<TableVersion, TableError> {
    let url = table.url();
    let (log, folder) = log_store(table)?;
    let snapshot = match base {
        Some(base) => {
            let snapshot = EagerSnapshot::try_new(log.as_ref(), Some(base.version)).await;
            Some(snapshot.map_err(|e| read_error(url, e))?)
        }
        None => None,
    };
    let mut actions = table_actions(url, base, snapshot.as_ref(), &change, &schema)?;
    let data_change = !matches!(change, Change::Compact { .. });
    let operation = operation(&change);
    let removed = match (base, change) {
        (Some(base), Change::Replace) => base.files.to_vec(),
        (_, Change::Files(files) | Change::Compact { files, .. }) => files,
        (None, Change::Replace) => Vec::new(),
    };
    let now = chrono::Utc::now().timestamp_millis();
    for file in &removed {
        let remove = remove(url, &folder, file, now)?;
        actions.push(Action::Remove(Remove {
            data_change,
            ..remove
        }));
    }
    for file in &files {
        let add = add(url, &folder, file)?;
        actions.push(Action::Add(Add { data_change, ..add }));
    }
    // an entry of upkeep says nothing of inputs: those of the entry before still hold
    let said = (!metadata.is_empty()).then(|| (METADATA_KEY.to_owned(), json!(metadata)));
    let properties = CommitProperties::default()
        .with_metadata(said)
        .with_max_retries(0);
    let reference = snapshot.as_ref().map(|s| s as &dyn TableReference);
    let committed = CommitBuilder::from(properties)
        .with_actions(actions)
        .build(reference, log, operation)
        .await
        .map_err(|e| commit_error(url, e))?;
    let version = committed.version();
    match open(table, Some(version)).await? {
        Some(version) => Ok(version),
        None => Err(TableError::new(url, "the table vanished after the commit")),
    }
}

/// What a commit does, in the log's words.
fn operation(change: &Change) -> DeltaOperation {
    match change {
        Change::Replace | Change::Files(_) => DeltaOperation::Write {
            mode: SaveMode::Overwrite,
            partition_by: None,
            predicate: None,
        },
        Change::Compact { target_size, .. } => DeltaOperation::Optimize {
            predicate: None,
            target_size: i64::try_from(*target_size).unwrap_or(i64::MAX),
        },
    }
}

/// What a commit says of the table itself: all when it is new, the schema when that changes.
fn table_actions(
    url: &Url,
    base: Option<&TableVersion>,
    snapshot: Option<&EagerSnapshot>,
    change: &Change,
    schema: &SchemaRef,
) -> Result<Vec<Action>, TableError> {
    let kernel_schema: StructType = schema
        .as_ref()
        .try_into_kernel()
        .map_err(|e| TableError::caused(url, "cannot hold this schema", e))?;
    let failed = |e| TableError::caused(url, "cannot describe the table", e);
    let (Some(base), Some(snapshot)) = (base, snapshot) else {
        let none: [(&str, &str); 0] = [];
        let metadata = new_metadata(&kernel_schema, Vec::<String>::new(), none);
        let metadata = metadata.map_err(failed)?;
        return Ok(vec![
            Action::Protocol(protocol(url)?),
            Action::Metadata(metadata),
        ]);
    };
    if &base.schema == schema {
        return Ok(Vec::new());
    }
    if matches!(change, Change::Files(removed) if stays(base, removed))
        && !extends(schema, &base.schema)
    {
        let message = "a commit of single files can only add columns to the table";
        return Err(TableError::new(url, message));
    }
    let metadata: Metadata = snapshot.metadata().clone();
    let metadata = metadata.with_schema(&kernel_schema).map_err(failed)?;
    Ok(vec![Action::Metadata(metadata)])
}

/// Whether a file of `base` is not among those removed.
fn stays(base: &TableVersion, removed: &[DataFile]) -> bool {
    base.files.iter().any(|file| !removed.contains(file))
}

/// Whether `schema` has the columns of `base` and new ones, which are null in older files.
fn extends(schema: &SchemaRef, base: &SchemaRef) -> bool {
    base.fields()
        .iter()
        .all(|field| schema.fields().iter().any(|new| new == field))
}

/// The oldest protocol: every engine reads it, and we need no feature.
fn protocol(url: &Url) -> Result<Protocol, TableError> {
    let oldest = json!({ "minReaderVersion": 1, "minWriterVersion": 2 });
    serde_json::from_value(oldest)
        .map_err(|e| TableError::caused(url, "cannot describe the table", e))
}

fn relative(url: &Url, folder: &Path, file: &DataFile) -> Result<String, TableError> {
    let Some(parts) = file.path.prefix_match(folder) else {
        let message = format!("`{}` lies outside of `{folder}`", file.path);
        return Err(TableError::new(url, message));
    };
    Ok(Path::from_iter(parts).to_string())
}

fn add(url: &Url, folder: &Path, file: &DataFile) -> Result<Add, TableError> {
    let rows = || json!({ "numRecords": file.rows }).to_string();
    Ok(Add {
        path: relative(url, folder, file)?,
        partition_values: HashMap::new(),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: file.modified,
        data_change: true,
        stats: Some(file.statistics.clone().unwrap_or_else(rows)),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    })
}

fn remove(
    url: &Url,
    folder: &Path,
    file: &DataFile,
    now: i64,
) -> Result<Remove, TableError> {
    Ok(Remove {
        path: relative(url, folder, file)?,
        data_change: true,
        deletion_timestamp: Some(now),
        extended_file_metadata: Some(true),
        partition_values: Some(HashMap::new()),
        size: i64::try_from(file.size).ok(),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    })
}

fn commit_error(url: &Url, error: DeltaTableError) -> TableError {
    let conflict = matches!(
        error,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::MaxCommitAttempts(_)
                    | TransactionError::CommitConflict(_)
                    | TransactionError::VersionAlreadyExists(_)
            }
    );
    if conflict {
        TableError::Conflict {
            url: Box::new(url.clone()),
            source: Box::new(error),
        }
    } else {
        TableError::caused(url, "cannot commit", error)
    }
}
