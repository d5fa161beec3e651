//! The commit of rows that came and of places that went.
//!
//! Of a file that loses some of its rows a deletion vector says which; one that has lost most of
//! them is copied without, and one that has lost all of them goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::prelude::SessionContext;

use super::places::Positions;
use super::row_index::{ROW_INDEX, RowIndex};
use super::rows::rows_of;
use crate::runner::error::{Result, RunnerError};
use crate::runner::materialization::{
    Job, Progress, execution_error, store_error, table,
};
use crate::table::{Change, DataFile, DeletionVector, TableVersion, Uncommitted};

/// Commits `fresh` and that the rows at `went` are no longer there, with what `index` becomes;
/// the bytes that came.
pub(super) async fn commit_rows(
    job: &Job,
    base: &TableVersion,
    context: &SessionContext,
    mut fresh: Uncommitted,
    went: Positions,
    mut metadata: BTreeMap<String, String>,
    index: Option<&RowIndex<'_>>,
) -> Result<u64> {
    let vectors = !job.node.config.incremental.without_deletion_vectors;
    let (mut removed, mut masked, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for (place, rows) in went.files() {
        let Some(file) = base.files.get(place) else {
            return Err(no_such_file(base, place));
        };
        let mut gone = DeletionVector::from(rows.clone());
        if let Some(before) = &file.deletion_vector {
            gone = gone.union(before);
        }
        if gone.len() >= file.rows {
            removed.push(file.clone());
        } else if vectors && gone.len() <= file.rows / 2 {
            masked.push((file.clone(), gone));
        } else {
            removed.push(file.clone());
            rest.push(DataFile {
                deletion_vector: Some(gone),
                ..file.clone()
            });
        }
    }
    fresh.extend(copies(job, base, context, &rest).await?);
    if let Some(index) = index {
        let index = index.after(Some(base), &base.schema, fresh.files()).await;
        let index = index.map_err(execution_error)?;
        metadata.extend(index.map(|index| (ROW_INDEX.to_owned(), index)));
    }
    job.enter_gate().await?;
    let files = fresh.keep();
    let bytes = files.iter().map(|f| f.size).sum();
    let change = Change::Rows { removed, masked };
    let schema = Arc::clone(&base.schema);
    job.table
        .commit(Some(base), change, schema, files, metadata)
        .await
        .map_err(store_error)?;
    Ok(bytes)
}

/// The rows that files still have, in new files.
async fn copies(
    job: &Job,
    base: &TableVersion,
    context: &SessionContext,
    files: &[DataFile],
) -> Result<Uncommitted> {
    if files.is_empty() {
        return Ok(Uncommitted::default());
    }
    let rows = rows_of(&context.state(), job.table.stores(), base, files);
    let rows = rows.map_err(execution_error)?;
    // they are none of those that the run is to write
    let silent: Progress = Arc::new(|_| {});
    table::write_rows(job, &base.schema, rows, &silent).await
}

fn no_such_file(base: &TableVersion, place: usize) -> RunnerError {
    let what = format!("`{}` has no file {place}", base.url);
    execution_error(datafusion::common::DataFusionError::Internal(what))
}
