//! What is kept beside a table so that later runs can take its model up.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::input::{Held, InputReader, only_leaf};
use super::shape::Shape;
use super::tails;
use crate::runner::error::Result;
use crate::runner::materialization::incremental::key_columns;
use crate::runner::materialization::incremental::key_index::KeyIndex;
use crate::runner::materialization::incremental::rows::rows_of;
use crate::runner::materialization::table::AllRows;
use crate::runner::materialization::{Job, execution_error, store_error};
use crate::table::{DataFile, Table, TableVersion, TableWriter};

/// The metadata key under which a commit names its file of tails.
pub(super) const TAILS: &str = "tails";
/// The same for the index of the keys by which the input is told.
pub(super) const INDEX: &str = "key_index";

/// A file of tails, as a commit names it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TailsFile {
    name: String,
    size: u64,
    rows: u64,
    modified: i64,
}

/// Where files of tails lie: beside the log, and hidden from other writers' upkeep.
pub(super) fn tails_table(job: &Job) -> Table {
    let mut url = job.table.url().clone();
    let path = format!("{}/_tails/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Table::new(url, job.table.stores().clone())
}

/// A writer of one file of tails.
pub(super) fn tails_writer(job: &Job, schema: SchemaRef) -> Result<TableWriter> {
    let writer = tails_table(job).writer(schema).map_err(store_error)?;
    Ok(writer.with_roll_at(usize::MAX))
}

/// Writes what later runs need to take a model up from these rows; what the commit is to say
/// of it. `None` if the model is not of that kind.
pub(in super::super) async fn beside(
    job: &Job,
    rows: &AllRows,
) -> Result<Option<BTreeMap<String, String>>> {
    let mut said = BTreeMap::new();
    let (state, plan) = job.rows.clone().into_parts();
    let Ok(key) = key_columns(job, &plan) else {
        return Ok(None);
    };
    let Ok(shape) = Shape::of(&state, &plan, &key, &rows.schema) else {
        return Ok(None);
    };
    let version = TableVersion {
        url: job.table.url().clone(),
        version: 0,
        changed_at: 0,
        schema: Arc::clone(&rows.schema),
        files: rows.files.files().into(),
        metadata: BTreeMap::new(),
    };
    let beside = async {
        let stores = job.table.stores();
        let committed = rows_of(&state, stores, &version, &version.files)?;
        let tails = tails::counted(committed, &shape, &rows.schema)?;
        let tails = tails.execute_stream().await?;
        let schema = tails::tails_schema(&shape, &rows.schema)?;
        let reader = InputReader {
            job,
            state: &state,
            shape: &shape,
            table: &rows.schema,
            held: &Held::new(&state.runtime_env().memory_pool, usize::MAX),
        };
        let index = match only_leaf(&shape.input)? {
            Some(leaf) => reader.index_of_all(&leaf).await?,
            None => None,
        };
        Ok((tails, schema, index))
    };
    let (mut tails, schema, index) = beside.await.map_err(execution_error)?;
    let mut writer = tails_writer(job, schema)?;
    while let Some(batch) = tails.next().await {
        let batch = batch.map_err(execution_error)?;
        writer.write(&batch).await.map_err(store_error)?;
    }
    let tails = writer.close().await.map_err(store_error)?;
    let tails = tails.first().and_then(TailsFile::of);
    said.extend(tails.map(|tails| (TAILS.to_owned(), tails)));
    let index = index.as_ref().and_then(KeyIndex::to_text);
    said.extend(index.map(|index| (INDEX.to_owned(), index)));
    Ok(Some(said))
}

impl TailsFile {
    /// As a commit keeps it.
    pub(super) fn of(file: &DataFile) -> Option<String> {
        let named = Self {
            name: file.path.filename()?.to_owned(),
            size: file.size,
            rows: file.rows,
            modified: file.modified,
        };
        serde_json::to_string(&named).ok()
    }

    /// The file, if it is still there.
    pub(super) async fn there(&self, job: &Job) -> DataFusionResult<Option<DataFile>> {
        let failed = |e| DataFusionError::External(Box::new(e));
        let (_, folder) = job.table.folder("_tails").map_err(failed)?;
        let path = folder.join(self.name.as_str());
        if !job
            .table
            .holds(std::slice::from_ref(&path))
            .await
            .map_err(failed)?
        {
            return Ok(None);
        }
        Ok(Some(DataFile {
            path,
            size: self.size,
            rows: self.rows,
            modified: self.modified,
            statistics: None,
            deletion_vector: None,
        }))
    }
}
