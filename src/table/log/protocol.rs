//! What a commit says of the table itself.

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

