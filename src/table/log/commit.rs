//! One change, one log entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{
    CommitBuilder, CommitProperties, TableReference, TransactionError,
};
use deltalake::kernel::{Action, Add, EagerSnapshot, Remove};
use deltalake::protocol::{DeltaOperation, SaveMode};
use object_store::ObjectStore;
use object_store::path::Path;
use serde_json::json;
use url::Url;

use super::actions::{add, remove};
use super::protocol::{Known, Next};
use super::{METADATA_KEY, log_store, open, read_error};
use crate::table::{
    Change, DataFile, DeletionVector, Table, TableError, TableVersion, place,
};

pub(in crate::table) async fn commit(
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
    let data_change = !matches!(change, Change::Compact { .. });
    let operation = operation(&change);
    let single = !matches!(change, Change::Replace | Change::Compact { .. });
    let changed = Changed::of(table, base, change).await?;
    let next = Next {
        base,
        schema: &schema,
        stay: single && !changed.all(base),
        masks: !changed.masked.is_empty(),
    };
    let mut actions = next.actions(url, snapshot.as_ref())?;
    let now = chrono::Utc::now().timestamp_millis();
    for file in changed.removed.iter().chain(changed.before()) {
        let remove = remove(url, &folder, file, now)?;
        actions.push(Action::Remove(Remove {
            data_change,
            ..remove
        }));
    }
    for file in changed.after().chain(&files) {
        let add = add(url, &folder, file)?;
        actions.push(Action::Add(Add { data_change, ..add }));
    }
    // an entry of upkeep says nothing of inputs: those of the entry before still hold
    let said = (!metadata.is_empty()).then(|| (METADATA_KEY.to_owned(), json!(metadata)));
    let properties = CommitProperties::default()
        .with_metadata(said)
        .with_max_retries(0);
    let known = snapshot.as_ref().map(|s| Known::of(url, s)).transpose()?;
    let reference = known.as_ref().map(|s| s as &dyn TableReference);
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

/// What becomes of the files that were there.
#[derive(Default)]
struct Changed {
    removed: Vec<DataFile>,
    /// Files as they were, and as they are with more rows deleted.
    masked: Vec<(DataFile, DataFile)>,
}

impl Changed {
    async fn of(
        table: &Table,
        base: Option<&TableVersion>,
        change: Change,
    ) -> Result<Self, TableError> {
        let (removed, masks) = match change {
            Change::Replace => {
                (base.map(|b| b.files.to_vec()).unwrap_or_default(), vec![])
            }
            Change::Files(files) | Change::Compact { files, .. } => (files, vec![]),
            Change::Rows { removed, masked } => (removed, masked),
        };
        let mut changed = Self {
            removed,
            ..Self::default()
        };
        let (store, folder) = place(table)?;
        for (file, rows) in masks {
            changed
                .mask(table.url(), &store, &folder, file, &rows)
                .await?;
        }
        Ok(changed)
    }

    /// Deletes `rows` of `file` and no others, of which some may be deleted already.
    async fn mask(
        &mut self,
        url: &Url,
        store: &Arc<dyn ObjectStore>,
        folder: &Path,
        file: DataFile,
        rows: &DeletionVector,
    ) -> Result<(), TableError> {
        let before = file.deletion_vector.as_ref();
        if rows.last() >= Some(file.rows) || !before.is_none_or(|old| rows.covers(old)) {
            let message = format!(
                "rows to delete of `{}` were to be some of its {}, with all that are deleted",
                file.path, file.rows
            );
            return Err(TableError::new(url, message));
        }
        if rows.len() == file.rows {
            self.removed.push(file);
        } else if before.map_or(0, DeletionVector::len) < rows.len() {
            let masked = DataFile {
                deletion_vector: Some(rows.keep(url, store, folder).await?),
                ..file.clone()
            };
            self.masked.push((file, masked));
        }
        Ok(())
    }

    fn before(&self) -> impl Iterator<Item = &DataFile> {
        self.masked.iter().map(|(before, _)| before)
    }

    fn after(&self) -> impl Iterator<Item = &DataFile> {
        self.masked.iter().map(|(_, after)| after)
    }

    /// Whether no file of `base` stays.
    fn all(&self, base: Option<&TableVersion>) -> bool {
        let mut files = base.iter().flat_map(|base| base.files.iter());
        files.all(|file| self.removed.contains(file))
    }
}

/// What a commit does, in the log's words.
fn operation(change: &Change) -> DeltaOperation {
    match change {
        Change::Replace | Change::Files(_) | Change::Rows { .. } => {
            DeltaOperation::Write {
                mode: SaveMode::Overwrite,
                partition_by: None,
                predicate: None,
            }
        }
        Change::Compact { target_size, .. } => DeltaOperation::Optimize {
            predicate: None,
            target_size: i64::try_from(*target_size).unwrap_or(i64::MAX),
        },
    }
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
