//! What a table needs beside reading and committing: its history, and the removal of files
//! that no version needs any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use deltalake::DeltaTable;
use deltalake::operations::vacuum::VacuumMode;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;

use super::deletion_vector::{is_vector_file, relative_path};
use super::log::{actions, commit_info, log_store};
use super::{Beside, Table, TableError, TableVersion, place};

/// One commit of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The version it made.
    pub version: u64,
    /// When, as its writer said.
    pub at: Option<DateTime<Utc>>,
    /// What was done, in the log's words (`WRITE`, `VACUUM END`, …).
    pub operation: String,
    /// The run that made it; `None` for other writers.
    pub run_id: Option<String>,
    /// Files that came and files that went.
    pub files: (usize, usize),
    /// Files that stayed, with fewer rows.
    pub masked: usize,
    /// Rows in the files that came, where the log says.
    pub rows: u64,
}

/// What a vacuum removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Files, relative to the table's folder, sorted.
    pub files: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
    /// Files that no version needs either, but that no table's writer has named: they are
    /// never removed.
    pub others: Vec<String>,
}

/// The newest `limit` commits, newest first; none if there is no table.
pub(super) async fn history(
    table: &Table,
    limit: usize,
) -> Result<Vec<Commit>, TableError> {
    let (log, _) = log_store(table)?;
    let Some(newest) = table.open().await?.map(|v| v.version) else {
        return Ok(Vec::new());
    };
    let mut commits = Vec::new();
    for version in (0..=newest).rev().take(limit) {
        let entry = log.read_commit_entry(version).await.map_err(|e| {
            TableError::caused(table.url(), format!("cannot read version {version}"), e)
        })?;
        // entries older than the last checkpoint may have been removed
        let Some(entry) = entry else { break };
        commits.push(commit(version, &entry));
    }
    Ok(commits)
}

fn commit(version: u64, entry: &[u8]) -> Commit {
    let actions: Vec<Value> = actions(entry).collect();
    let named = |what: &'static str| actions.iter().filter_map(move |a| a.get(what));
    let paths = |what| named(what).filter_map(|file| file["path"].as_str());
    let (added, removed): (BTreeSet<_>, BTreeSet<_>) =
        (paths("add").collect(), paths("remove").collect());
    let masked = added.intersection(&removed).count();
    let came = named("add")
        .filter(|add| add["path"].as_str().is_some_and(|p| !removed.contains(p)));
    let info = commit_info(entry).unwrap_or_default();
    let at = info["timestamp"].as_i64();
    Commit {
        version,
        at: at.and_then(DateTime::from_timestamp_millis),
        operation: info["operation"].as_str().unwrap_or("unknown").to_owned(),
        run_id: info["sessionize"]["run_id"].as_str().map(str::to_owned),
        files: (added.len() - masked, removed.len() - masked),
        masked,
        rows: came.filter_map(live_rows).sum(),
    }
}

/// The rows of a file that came, as far as they are not deleted.
fn live_rows(add: &Value) -> Option<u64> {
    let statistics: Value = serde_json::from_str(add["stats"].as_str()?).ok()?;
    let deleted = add["deletionVector"]["cardinality"].as_u64().unwrap_or(0);
    statistics["numRecords"].as_u64()?.checked_sub(deleted)
}

/// Removes files that no version younger than `retain` needs: those that were replaced, and
/// those that a killed run left behind. Nothing is removed if `dry_run`.
pub(super) async fn vacuum(
    table: &Table,
    retain: TimeDelta,
    dry_run: bool,
) -> Result<Vacuumed, TableError> {
    let url = table.url();
    let failed = |e| TableError::caused(url, "cannot vacuum", e);
    let Some(newest) = table.open().await? else {
        return Ok(Vacuumed::default());
    };
    let mut unneeded = DeltaTable::new(log_store(table)?.0);
    unneeded.load().await.map_err(failed)?;
    let listing = unneeded
        .vacuum()
        .with_mode(VacuumMode::Full)
        .with_retention_period(retain)
        .with_enforce_retention_duration(false)
        .with_dry_run(true);
    let listed = listing.await.map_err(failed)?.1.files_deleted;
    let kept = match listed.iter().any(|f| is_vector_file(f)) {
        true => vectors_since(table, Utc::now() - retain).await?,
        false => BTreeSet::new(),
    };
    let listed = listed.into_iter().filter(|f| !kept.contains(f));
    let (mut ours, others): (Vec<_>, Vec<_>) =
        listed.partition(|f| is_data_file(f) || is_vector_file(f));
    let (store, folder) = place(table)?;
    let before = Utc::now() - retain;
    for beside in Beside::ALL {
        let unneeded = unneeded_beside(&store, &folder, beside, &newest, before).await;
        ours.extend(unneeded.map_err(|e| TableError::caused(url, "cannot vacuum", e))?);
    }
    let mut vacuumed = there(&store, &folder, ours).await;
    vacuumed.others = there(&store, &folder, others).await.files;
    if !dry_run {
        let paths = vacuumed.files.iter().map(|f| Ok(below(&folder, f)));
        let paths = futures::stream::iter(paths.collect::<Vec<_>>()).boxed();
        let removed = store.delete_stream(paths).try_collect::<Vec<_>>().await;
        removed.map_err(|e| TableError::caused(url, "cannot remove a file", e))?;
    }
    Ok(vacuumed)
}

/// The files of such a folder that are older than `before` and that `newest` does not name.
async fn unneeded_beside(
    store: &Arc<dyn ObjectStore>,
    folder: &Path,
    beside: Beside,
    newest: &TableVersion,
    before: DateTime<Utc>,
) -> object_store::Result<Vec<String>> {
    let prefix = folder.clone().join(beside.name());
    let mut files = store.list(Some(&prefix));
    let mut unneeded = Vec::new();
    while let Some(file) = files.try_next().await? {
        let Some(name) = file.location.filename() else {
            continue;
        };
        let is_named = newest.metadata.values().any(|said| said.contains(name));
        if !is_named && file.last_modified < before {
            unneeded.push(format!("{}/{name}", beside.name()));
        }
    }
    Ok(unneeded)
}

/// Whether a table's writer gives its files such names: they lie beside the log and begin
/// with `part-`. All else in the folder is somebody's own.
fn is_data_file(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    name.starts_with("part-") && !name.contains('/') && ending == Some("parquet")
}

/// The files of deletion vectors that versions younger than `since` still need, and the newest
/// does not: what lists files for a vacuum passes over them.
async fn vectors_since(
    table: &Table,
    since: DateTime<Utc>,
) -> Result<BTreeSet<String>, TableError> {
    let (log, _) = log_store(table)?;
    let failed = |e| TableError::caused(table.url(), "cannot read its log", e);
    let newest = log.get_latest_version(0).await.map_err(failed)?;
    let mut found = BTreeSet::new();
    for version in (0..=newest).rev() {
        let Some(entry) = log.read_commit_entry(version).await.map_err(failed)? else {
            break;
        };
        let at = commit_info(&entry).and_then(|info| info["timestamp"].as_i64());
        if at.is_some_and(|at| at < since.timestamp_millis()) {
            break;
        }
        found.extend(actions(&entry).filter_map(|mut action| {
            let vector = action.get_mut("remove")?.get_mut("deletionVector")?.take();
            relative_path(&serde_json::from_value(vector).ok()?).ok()?
        }));
    }
    Ok(found)
}

fn below(folder: &Path, file: &str) -> Path {
    file.split('/')
        .fold(folder.clone(), |path, part| path.join(part))
}

/// Those of `files` that are there; a log also names some that were removed before.
async fn there(
    store: &Arc<dyn ObjectStore>,
    folder: &Path,
    mut files: Vec<String>,
) -> Vacuumed {
    let mut found = Vacuumed::default();
    // a file that has lost rows before it went is named twice
    files.sort();
    files.dedup();
    for file in files {
        if let Ok(meta) = store.head(&below(folder, &file)).await {
            found.bytes += meta.size;
            found.files.push(file);
        }
    }
    found
}
