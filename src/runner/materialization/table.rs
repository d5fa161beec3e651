//! `table`: every run writes new files and commits them as the whole table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::common::runtime::JoinSet;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use futures::future::BoxFuture;

use super::reading::{DEFINITION, FINGERPRINT, INPUTS, Reading, TRAFFIC_RULES};
use super::splice::Splice;
use super::{
    Built, Job, Materialization, Progress, SEED_CHECKSUM, execution_error, no_op,
    seed_checksum, store_error, unchanged,
};
use crate::runner::compile::Materialized;
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::table::{
    Change, DataFile, TableVersion, TableWriter, Uncommitted, committed_schema,
};

/// A committed table, rebuilt whole.
#[derive(Debug)]
pub(super) struct TableModel;

impl Materialization for TableModel {
    fn kind(&self) -> Materialized {
        Materialized::Table
    }

    fn word(&self) -> &'static str {
        "table"
    }

    fn build<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Built>> {
        Box::pin(async move {
            let reading =
                Reading::of(job.rows.logical_plan()).map_err(execution_error)?;
            rebuild(job, &reading).await
        })
    }
}

/// Rebuilds the table of `job`, unless what it reads and how are as they were.
pub(super) async fn rebuild(job: &Job, reading: &Reading) -> Result<Built> {
    let base = job.table.open().await.map_err(store_error)?;
    if base
        .as_ref()
        .is_some_and(|base| unchanged(job, base, reading))
    {
        return Ok(no_op());
    }
    replace(job, base.as_ref(), reading).await
}

/// Writes the rows of `job` and commits them as the whole table.
pub(super) async fn replace(
    job: &Job,
    base: Option<&TableVersion>,
    reading: &Reading,
) -> Result<Built> {
    let rows = all_rows(job).await?;
    commit_all(job, base, reading, rows, BTreeMap::new()).await
}

/// All rows of a model, in files that nobody sees yet.
pub(super) struct AllRows {
    pub(super) schema: SchemaRef,
    pub(super) files: Uncommitted,
}

/// Writes the rows of `job`.
pub(super) async fn all_rows(job: &Job) -> Result<AllRows> {
    let (state, logical) = job.rows.clone().into_parts();
    let plan = state
        .create_physical_plan(&logical)
        .await
        .map_err(execution_error)?;
    let schema = committed_schema(&plan.schema()).map_err(execution_error)?;
    let context = state.task_ctx();
    let progress = Written::of(&job.progress);
    let files = match Splice::of(&plan, &schema, &context).await? {
        Some(splice) => splice.write_table(job, &context, &progress).await?,
        None => {
            let streams =
                execute_stream_partitioned(plan, context).map_err(execution_error)?;
            write(job, &schema, streams, progress).await?
        }
    };
    Ok(AllRows { schema, files })
}

/// Commits rows as the whole table; `further` goes into the same entry.
pub(super) async fn commit_all(
    job: &Job,
    base: Option<&TableVersion>,
    reading: &Reading,
    rows: AllRows,
    further: BTreeMap<String, String>,
) -> Result<Built> {
    job.enter_gate().await?;
    let files = rows.files.keep();
    let built = Built {
        rows: Some(files.iter().map(DataFile::live_rows).sum()),
        bytes: Some(files.iter().map(|f| f.size).sum()),
        message: None,
    };
    let mut metadata = metadata(job, reading);
    metadata.extend(further);
    if let Some(checksum) = seed_checksum(&job.node).await? {
        metadata.insert(SEED_CHECKSUM.to_owned(), checksum);
    }
    job.table
        .commit(base, Change::Replace, rows.schema, files, metadata)
        .await
        .map_err(store_error)?;
    Ok(built)
}

/// What the commit remembers of the model, the run and all that was read.
pub(super) fn metadata(job: &Job, reading: &Reading) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::from([
        ("run_id".to_owned(), job.run_id.clone()),
        ("node".to_owned(), job.node.id.to_string()),
        (FINGERPRINT.to_owned(), job.fingerprint()),
        (DEFINITION.to_owned(), job.definition_hash()),
    ]);
    if let Some(rules) = &reading.traffic_rules {
        metadata.insert(TRAFFIC_RULES.to_owned(), rules.clone());
    }
    if let Some(inputs) = reading.inputs().and_then(|inputs| inputs.to_text()) {
        metadata.insert(INPUTS.to_owned(), inputs);
    }
    metadata
}

/// One writer a partition, side by side.
async fn write(
    job: &Job,
    schema: &SchemaRef,
    streams: Vec<SendableRecordBatchStream>,
    progress: Written,
) -> Result<Uncommitted> {
    let mut writers = JoinSet::new();
    for stream in streams {
        let writer = job.table.writer(Arc::clone(schema)).map_err(store_error)?;
        writers.spawn(drain(stream, writer, Arc::clone(schema), progress.clone()));
    }
    all_files(writers).await
}

/// What all writers of a table have written.
pub(super) async fn all_files(
    writers: JoinSet<Result<Uncommitted>>,
) -> Result<Uncommitted> {
    let mut files = Uncommitted::default();
    for written in all_ended(writers).await? {
        files.extend(written);
    }
    Ok(files)
}

/// What all writers give. The first failure drops the others.
pub(super) async fn all_ended<T: 'static>(
    mut writers: JoinSet<Result<T>>,
) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(writers.len());
    while let Some(ended) = writers.join_next().await {
        let ended = ended.map_err(|e| {
            RunnerError::new(ErrorKind::Internal, "a writer ended unexpectedly")
                .with_source(e)
        })?;
        all.push(ended?);
    }
    Ok(all)
}

/// How many rows are written so far, by all writers of a table.
#[derive(Clone)]
pub(super) struct Written {
    rows: Arc<AtomicU64>,
    progress: Progress,
}

impl Written {
    fn of(progress: &Progress) -> Self {
        Self {
            rows: Arc::default(),
            progress: Arc::clone(progress),
        }
    }

    pub(super) fn add(&self, rows: usize) {
        let rows = rows as u64;
        (self.progress)(self.rows.fetch_add(rows, Ordering::Relaxed) + rows);
    }
}

/// Writes the rows of one stream.
async fn drain(
    mut stream: SendableRecordBatchStream,
    mut writer: TableWriter,
    schema: SchemaRef,
    progress: Written,
) -> Result<Uncommitted> {
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(execution_error)?;
        if batch.num_rows() == 0 {
            continue;
        }
        let batch = cast_batch(&batch, &schema).map_err(execution_error)?;
        writer.write(&batch).await.map_err(store_error)?;
        progress.add(batch.num_rows());
    }
    writer.finish_all().await.map_err(store_error)
}

/// Writes rows to files of the table of `job` that nobody sees yet.
pub(super) async fn write_rows(
    job: &Job,
    schema: &SchemaRef,
    rows: DataFrame,
    progress: &Progress,
) -> Result<Uncommitted> {
    let writer = job.table.writer(Arc::clone(schema)).map_err(store_error)?;
    let stream = rows.execute_stream().await.map_err(execution_error)?;
    drain(stream, writer, Arc::clone(schema), Written::of(progress)).await
}

/// `batch` with the types of `schema`; a value that does not fit is an error.
fn cast_batch(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns
        .map(|(column, field)| cast_column(column, field))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// `column` with the type of `field`; a value that does not fit is an error.
pub(super) fn cast_column(
    column: &ArrayRef,
    field: &Field,
) -> Result<ArrayRef, DataFusionError> {
    let cast = crate::table::cast_column(column, field.data_type());
    cast.map_err(|e| e.context(format!("column `{}`", field.name())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{StringArray, UInt64Array};
    use datafusion::arrow::datatypes::{DataType, Schema};

    #[test]
    fn a_value_that_does_not_fit_names_its_column() {
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let batch = RecordBatch::try_from_iter([("big", column)]).unwrap();
        let schema =
            Arc::new(Schema::new(vec![Field::new("big", DataType::Int64, true)]));
        let error = cast_batch(&batch, &schema).unwrap_err().to_string();
        assert!(error.contains("column `big`"), "{error}");
    }

    #[test]
    fn equal_types_are_kept() {
        let column: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let batch = RecordBatch::try_from_iter([("s", Arc::clone(&column))]).unwrap();
        let cast = cast_batch(&batch, &batch.schema()).unwrap();
        assert_eq!(cast.column(0), &column);
    }
}
