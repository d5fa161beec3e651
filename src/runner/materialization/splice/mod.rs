//! Tables and results whose rows are those of Parquet files, with columns more: the files'
//! column chunks are copied as they are, and only the new columns are encoded.
//!
//! Of row groups that lose some rows the pages are put together anew, where that needs no value
//! decoded. Columns of another type than the files' are encoded; where row groups are too small
//! to be worth keeping, all is.

mod columns;
mod forms;
mod one_file;
mod pages;
mod partition;
mod table;

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::common::runtime::JoinSet;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, ParquetFileReaderFactory,
};
use datafusion::execution::TaskContext;
use datafusion::parquet::arrow::ArrowSchemaConverter;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::parquet::schema::types::ColumnDescPtr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use self::forms::{Form, leaf, leaves};
use self::partition::{GroupSink, Partition, Rows};
use super::execution_error;
use crate::operators::{KeptColumns, Others};
use crate::runner::error::{ErrorKind, Result, RunnerError};

/// Row groups with fewer rows, on average, are put together to larger ones.
const SMALLEST: i64 = 16 * 1024;
/// How many footers are read at a time.
const FOOTERS: usize = 16;

/// How columns that are to be written come from files.
pub(super) struct Splice {
    kept: KeptColumns,
    /// What stands beside the rows of the files.
    others: Option<Arc<Others>>,
    store: Arc<dyn ObjectStore>,
    readers: CachedParquetFileReaderFactory,
    schema: SchemaRef,
    /// The columns of what is written, as Parquet sees them.
    columns: Arc<[ColumnDescPtr]>,
    /// Which of these each field has.
    leaves: Vec<Range<usize>>,
    /// Whether a field comes from files and cannot be copied.
    decoded: Vec<bool>,
    /// The row groups of each partition, in order.
    partitions: Vec<Vec<Group>>,
}

/// A row group of a file.
#[derive(Debug, Clone)]
struct Group {
    file: PartitionedFile,
    metadata: Arc<ParquetMetaData>,
    index: usize,
    rows: usize,
}

impl Group {
    /// Whether it is known that a column of the file has a value in every row.
    fn has_no_nulls(&self, column: &str) -> bool {
        let group = self.metadata.row_group(self.index);
        let chunk = leaf(&self.metadata, column).map(|leaf| group.column(leaf));
        let nulls = chunk.and_then(|chunk| chunk.statistics()?.null_count_opt());
        nulls == Some(0)
    }
}

fn parquet_error(error: ParquetError) -> RunnerError {
    execution_error(DataFusionError::from(error))
}

impl Splice {
    /// `None` if the rows of `plan` have to be encoded.
    pub(super) async fn of(
        plan: &Arc<dyn ExecutionPlan>,
        schema: &SchemaRef,
        context: &Arc<TaskContext>,
    ) -> Result<Option<Self>> {
        let kept = KeptColumns::of(plan).map_err(execution_error)?;
        let Some(kept) = kept else {
            return Ok(None);
        };
        let store = context.runtime_env().object_store(&kept.store);
        let store = store.map_err(execution_error)?;
        let columns = ArrowSchemaConverter::new().convert(schema);
        let columns = columns.map_err(parquet_error)?;
        let footers = context
            .runtime_env()
            .cache_manager
            .get_file_metadata_cache();
        let mut splice = Self {
            kept,
            others: None,
            readers: CachedParquetFileReaderFactory::new(Arc::clone(&store), footers),
            store,
            schema: Arc::clone(schema),
            leaves: leaves(schema, columns.columns()),
            columns: columns.columns().into(),
            decoded: Vec::new(),
            partitions: Vec::new(),
        };
        for files in &splice.kept.files {
            let groups = splice.groups_of(files).await?;
            splice.partitions.push(groups);
        }
        splice.pass_over_nulls(plan)?;
        let Some(decoded) = splice.decoded(&plan.schema())? else {
            return Ok(None);
        };
        splice.decoded = decoded;
        if !splice.forms().any(|form| matches!(form, Form::Copied(_))) {
            return Ok(None);
        }
        let groups = splice.partitions.iter().flatten();
        let (count, rows) =
            groups.fold((0, 0), |(n, rows), g| (n + 1, rows + g.rows as i64));
        if rows < count * SMALLEST {
            return Ok(None);
        }
        // last, for it may read a lot
        if let Some(beside) = splice.kept.beside.take() {
            // what fails here fails in the join too, which tells of it
            let Some(others) = beside.read(context).await.ok().flatten() else {
                return Ok(None);
            };
            splice.others = Some(Arc::new(others));
        }
        Ok(Some(splice))
    }

    /// Does not look for nulls in `plan`, if there are none where it does.
    fn pass_over_nulls(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
        let not_null = &self.kept.not_null;
        let has_none =
            |group: &Group| not_null.iter().all(|column| group.has_no_nulls(column));
        if not_null.is_empty() || !self.partitions.iter().flatten().all(has_none) {
            return Ok(());
        }
        let kept = KeptColumns::without_nulls(plan).map_err(execution_error)?;
        if let Some(kept) = kept.filter(|kept| kept.columns == self.kept.columns) {
            self.kept = kept;
        }
        Ok(())
    }

    /// The row groups of files, in order.
    async fn groups_of(&self, files: &FileGroup) -> Result<Vec<Group>> {
        let footers = stream::iter(files.files().to_vec());
        let footers = footers.map(|file| self.groups(file)).buffered(FOOTERS);
        let groups: Vec<Vec<Group>> = footers.try_collect().await?;
        Ok(groups.into_iter().flatten().collect())
    }

    /// The row groups of a file that are in its range.
    async fn groups(&self, file: PartitionedFile) -> Result<Vec<Group>> {
        let indexes =
            ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = self.reader(&file)?.get_metadata(Some(&indexes)).await;
        let metadata = metadata.map_err(|e| {
            let what = format!("cannot read `{}`", file.object_meta.location);
            execution_error(DataFusionError::from(e).context(what))
        })?;
        let groups = metadata.row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| {
            // as DataFusion deals row groups out
            let first = group.column(0);
            let start = first.dictionary_page_offset();
            let start = start.unwrap_or_else(|| first.data_page_offset());
            file.range
                .as_ref()
                .is_none_or(|range| range.contains(start))
        });
        let groups = groups.map(|(index, group)| Group {
            file: file.clone(),
            metadata: Arc::clone(&metadata),
            index,
            rows: usize::try_from(group.num_rows()).unwrap_or_default(),
        });
        Ok(groups.collect())
    }

    /// Reads a file; its footer may be one that the scan has read.
    fn reader(&self, file: &PartitionedFile) -> Result<Box<dyn AsyncFileReader>> {
        let metrics = ExecutionPlanMetricsSet::new();
        let reader = self.readers.create_reader(0, file.clone(), None, &metrics);
        reader.map(|reader| reader as _).map_err(execution_error)
    }

    /// Writes each partition where `to` says, a partition a task.
    fn start<G: GroupSink<Finished: 'static> + 'static>(
        self,
        context: &Arc<TaskContext>,
        mut to: impl FnMut(&Self) -> Result<G>,
    ) -> Result<JoinSet<Result<G::Finished>>> {
        let this = Arc::new(self);
        let mut tasks = JoinSet::new();
        for (partition, groups) in this.partitions.iter().cloned().enumerate() {
            let rows = |plan: &Arc<dyn ExecutionPlan>| {
                let rows = plan.execute(partition, Arc::clone(context));
                rows.map_err(execution_error)
            };
            let made = rows(&this.kept.made)?;
            let made = match &this.others {
                Some(others) => Arc::clone(others).beside(made),
                None => made,
            };
            let keeps = this.kept.keeps.iter();
            let keeps = keeps.map(|plan| rows(plan).map(Rows::new));
            let partition = Partition {
                splice: Arc::clone(&this),
                made: Rows::new(made),
                keeps: keeps.collect::<Result<_>>()?,
                to: to(&this)?,
            };
            tasks.spawn(partition.write(groups));
        }
        Ok(tasks)
    }
}

/// The files were to have the same rows again, and have not.
fn other_rows() -> RunnerError {
    RunnerError::new(
        ErrorKind::Source,
        "the files of a source changed while they were read; run again",
    )
}
