//! One change, one log entry.

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
