//! What is kept beside a table so that later runs can take its model up.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::SessionState;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::input::{Held, InputReader, only_leaf};
use super::shape::Shape;
use super::tails;
use crate::runner::error::Result;
use crate::runner::materialization::incremental::configured::key_columns;
use crate::runner::materialization::incremental::key_index::KeyIndex;
use crate::runner::materialization::incremental::rows::rows_of;
use crate::runner::materialization::table::AllRows;
use crate::runner::materialization::{Job, execution_error, store_error};
use crate::table::{Beside, DataFile, TableVersion, TableWriter};

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

/// A writer of one file of tails.
pub(super) fn tails_writer(job: &Job, schema: SchemaRef) -> Result<TableWriter> {
    let table = job.table.beside(Beside::Tails);
    let writer = table.writer(schema).map_err(store_error)?;
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
    let beside = async {
        let stores = job.table.stores();
        let files = rows.files.files();
        let version = TableVersion::of_files(job.table.url(), &rows.schema, files);
        let committed = rows_of(&state, stores, &version, files)?;
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

    /// Its rows, which have the columns of `schema`; `None` if it is not there any more.
    pub(super) async fn rows(
        &self,
        job: &Job,
        state: &SessionState,
        schema: &SchemaRef,
    ) -> DataFusionResult<Option<DataFrame>> {
        let failed = |e| DataFusionError::External(Box::new(e));
        let table = job.table.beside(Beside::Tails);
        let (_, folder) = table.folder().map_err(failed)?;
        let path = folder.join(self.name.as_str());
        let there = table.holds(std::slice::from_ref(&path)).await;
        if !there.map_err(failed)? {
            return Ok(None);
        }
        let file = DataFile {
            path,
            size: self.size,
            rows: self.rows,
            modified: self.modified,
            statistics: None,
            deletion_vector: None,
        };
        let version = TableVersion::of_files(table.url(), schema, &[file]);
        rows_of(state, table.stores(), &version, &version.files).map(Some)
    }
}
