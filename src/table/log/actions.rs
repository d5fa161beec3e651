//! The actions of a commit that name files.

use std::collections::HashMap;

use deltalake::kernel::{Add, DeletionVectorDescriptor, Remove};
use object_store::path::Path;
use serde_json::{Value, json};
use url::Url;

use crate::table::{DataFile, TableError};

fn relative(url: &Url, folder: &Path, file: &DataFile) -> Result<String, TableError> {
    let Some(parts) = file.path.prefix_match(folder) else {
        let message = format!("`{}` lies outside of `{folder}`", file.path);
        return Err(TableError::new(url, message));
    };
    Ok(Path::from_iter(parts).to_string())
}

pub(super) fn add(url: &Url, folder: &Path, file: &DataFile) -> Result<Add, TableError> {
    Ok(Add {
        path: relative(url, folder, file)?,
        partition_values: HashMap::new(),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: file.modified,
        data_change: true,
        stats: Some(statistics(file)),
        tags: None,
        deletion_vector: vector(file),
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    })
}

pub(super) fn remove(
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
        deletion_vector: vector(file),
        base_row_id: None,
        default_row_commit_version: None,
    })
}

/// What the log says of the file's deleted rows: they have been kept.
fn vector(file: &DataFile) -> Option<DeletionVectorDescriptor> {
    file.deletion_vector.as_ref()?.stored().cloned()
}

/// The file's statistics. Of a file with deleted rows they are those of all its rows, as
/// readers are told.
fn statistics(file: &DataFile) -> String {
    let rows = || json!({ "numRecords": file.rows });
    let told = match (&file.statistics, &file.deletion_vector) {
        (Some(told), None) => return told.clone(),
        (Some(told), Some(_)) => serde_json::from_str(told).ok(),
        (None, _) => None,
    };
    let mut told = told.unwrap_or_else(rows);
    if file.deletion_vector.is_some()
        && let Value::Object(told) = &mut told
    {
        told.insert("tightBounds".to_owned(), json!(false));
    }
    told.to_string()
}
