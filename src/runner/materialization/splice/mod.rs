//! Tables whose rows are those of Parquet files, with columns more: the files' column chunks
//! are copied as they are, and only the new columns are encoded.
//!
//! Row groups that lose rows are encoded anew. Where files have other types than the table, or
//! row groups too small to be worth keeping, the table is written as any other.

mod columns;
mod partition;

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
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::parquet::schema::types::ColumnDescPtr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{StreamExt, stream};
use object_store::ObjectStore;

use self::partition::{Partition, Rows};
use super::table::{Written, all_files};
use super::{Job, execution_error, store_error};
use crate::operators::{ColumnSource, KeptColumns};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::table::Uncommitted;

/// Row groups with fewer rows, on average, are put together to larger ones.
const SMALLEST: i64 = 16 * 1024;
/// How many footers are read at a time.
const FOOTERS: usize = 16;

/// How the columns of a table come from files.
pub(super) struct Splice {
    kept: Arc<KeptColumns>,
    store: Arc<dyn ObjectStore>,
    readers: CachedParquetFileReaderFactory,
    schema: SchemaRef,
    /// The table's columns, as Parquet sees them.
    columns: Arc<[ColumnDescPtr]>,
    /// Whether all files have one of the columns that are copied.
    page_index: bool,
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

fn parquet_error(error: ParquetError) -> RunnerError {
    execution_error(DataFusionError::from(error))
}

impl Splice {
    /// `None` if the rows of `plan` have to be encoded.
    pub(super) async fn of(
        job: &Job,
        plan: &Arc<dyn ExecutionPlan>,
        schema: &SchemaRef,
        context: &Arc<TaskContext>,
    ) -> Result<Option<Self>> {
        let kept = KeptColumns::of(plan).map_err(execution_error)?;
        let flat = schema.fields().iter().all(|f| !f.data_type().is_nested());
        let Some(kept) = kept.filter(|_| flat) else {
            return Ok(None);
        };
        let store = context.runtime_env().object_store(&kept.store);
        let store = store.map_err(execution_error)?;
        let columns = job
            .table
            .row_groups(Arc::clone(schema), true)
            .map_err(store_error)?;
        let columns = columns.columns().map_err(store_error)?;
        let footers = context
            .runtime_env()
            .cache_manager
            .get_file_metadata_cache();
        let mut splice = Self {
            kept: Arc::new(kept),
            readers: CachedParquetFileReaderFactory::new(Arc::clone(&store), footers),
            store,
            schema: Arc::clone(schema),
            columns: columns.into(),
            page_index: true,
            partitions: Vec::new(),
        };
        for files in &splice.kept.files {
            match splice.groups_of(files).await? {
                Some(groups) => splice.partitions.push(groups),
                None => return Ok(None),
            }
        }
        let mut groups = splice.partitions.iter().flatten();
        splice.page_index = groups.all(|group| splice.has_page_index(group));
        let groups = splice.partitions.iter().flatten();
        let (count, rows) =
            groups.fold((0, 0), |(n, rows), g| (n + 1, rows + g.rows as i64));
        Ok((rows >= count * SMALLEST).then_some(splice))
    }

    /// The row groups of files, in order; `None` as soon as one cannot be copied.
    async fn groups_of(&self, files: &FileGroup) -> Result<Option<Vec<Group>>> {
        let footers = stream::iter(files.files().to_vec());
        let mut footers = footers.map(|file| self.groups(file)).buffered(FOOTERS);
        let mut groups = Vec::new();
        while let Some(of_file) = footers.next().await.transpose()? {
            match of_file {
                Some(of_file) => groups.extend(of_file),
                None => return Ok(None),
            }
        }
        Ok(Some(groups))
    }

    /// The row groups of a file that are in its range; `None` if they cannot be copied.
    async fn groups(&self, file: PartitionedFile) -> Result<Option<Vec<Group>>> {
        let indexes =
            ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = self.reader(&file)?.get_metadata(Some(&indexes)).await;
        let metadata = metadata.map_err(|e| {
            let what = format!("cannot read `{}`", file.object_meta.location);
            execution_error(DataFusionError::from(e).context(what))
        })?;
        if !self.can_copy(&metadata, &file)? {
            return Ok(None);
        }
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
        Ok(Some(groups.collect()))
    }

    /// Whether the chunks of the columns that are kept are as the table's would be.
    fn can_copy(
        &self,
        metadata: &ParquetMetaData,
        file: &PartitionedFile,
    ) -> Result<bool> {
        let of_file = metadata.file_metadata();
        let keys = of_file.key_value_metadata();
        let types = parquet_to_arrow_schema(of_file.schema_descr(), keys);
        let types = types.map_err(parquet_error)?;
        let sources = self.kept.columns.iter().enumerate();
        for (index, source) in sources {
            let ColumnSource::File(name) = source else {
                continue;
            };
            let field = self.schema.field(index);
            let same_type = types
                .field_with_name(name)
                .is_ok_and(|of| of.data_type() == field.data_type());
            let Some(column) = leaf(metadata, name).filter(|_| same_type) else {
                return Ok(false);
            };
            let (from, to) =
                (of_file.schema_descr().column(column), &self.columns[index]);
            let alike = from.physical_type() == to.physical_type()
                && from.type_length() == to.type_length()
                && from.max_def_level() == to.max_def_level()
                && from.max_rep_level() == to.max_rep_level();
            let inside = metadata.row_groups().iter().all(|group| {
                let chunk = group.column(column);
                let start = chunk.dictionary_page_offset();
                let start = start.unwrap_or_else(|| chunk.data_page_offset());
                let end = start.checked_add(chunk.compressed_size());
                let size = i64::try_from(file.object_meta.size).unwrap_or(i64::MAX);
                start > 0 && end.is_some_and(|end| end <= size)
            });
            if !alike || !inside {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the places of the pages of all columns that are copied are known.
    fn has_page_index(&self, group: &Group) -> bool {
        let sources = self.kept.columns.iter();
        let mut leaves = sources.filter_map(|source| match source {
            ColumnSource::File(name) => leaf(&group.metadata, name),
            ColumnSource::Made(_) => None,
        });
        let pages = group.metadata.offset_index();
        let pages = pages.and_then(|pages| pages.get(group.index));
        pages.is_some_and(|pages| leaves.all(|leaf| pages.get(leaf).is_some()))
    }

    /// Reads a file; its footer may be one that the scan has read.
    fn reader(&self, file: &PartitionedFile) -> Result<Box<dyn AsyncFileReader>> {
        let metrics = ExecutionPlanMetricsSet::new();
        let reader = self.readers.create_reader(0, file.clone(), None, &metrics);
        reader.map(|reader| reader as _).map_err(execution_error)
    }

    /// Writes the files, a partition a task.
    pub(super) async fn write(
        self,
        job: &Job,
        context: &Arc<TaskContext>,
        progress: Written,
    ) -> Result<Uncommitted> {
        let this = Arc::new(self);
        let mut tasks = JoinSet::new();
        for (partition, groups) in this.partitions.iter().cloned().enumerate() {
            let rows = |plan: &Arc<dyn ExecutionPlan>| {
                let rows = plan.execute(partition, Arc::clone(context));
                rows.map(Rows::new).map_err(execution_error)
            };
            let writer = job
                .table
                .row_groups(Arc::clone(&this.schema), this.page_index);
            let partition = Partition {
                splice: Arc::clone(&this),
                made: rows(&this.kept.made)?,
                keeps: this.kept.keeps.as_ref().map(rows).transpose()?,
                writer: writer.map_err(store_error)?,
                progress: progress.clone(),
            };
            tasks.spawn(partition.write(groups));
        }
        all_files(tasks).await
    }
}

/// The place of a column among a file's leaves; `None` if it has parts.
fn leaf(metadata: &ParquetMetaData, name: &str) -> Option<usize> {
    let columns = metadata.file_metadata().schema_descr().columns();
    columns.iter().position(|column| {
        let parts = column.path().parts();
        parts.len() == 1 && parts[0] == name
    })
}

/// The files were to have the same rows again, and have not.
fn other_rows() -> RunnerError {
    RunnerError::new(
        ErrorKind::Source,
        "the files of a source changed while they were read; run again",
    )
}
