//! The scan over a lake's files.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use super::Reading;
use super::convert::{LakeAdapterFactory, read_column};
use super::files::Format;
use super::groups::{Group, as_text, grouped};
#[cfg(feature = "runner")]
use super::rows::{find_pages, read, selected};
use super::schema::LakeSchema;
use crate::store::Stores;

/// What a [`FileTable`] is a reading of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "runner"),
    expect(dead_code, reason = "the runner alone asks where rows come from")
)]
pub(crate) enum Origin {
    /// The files found at a location.
    Lake(Url),
    /// A committed table, and the version that last changed its rows.
    Version(Url, u64),
}

/// A fixed list of files as one table.
#[derive(Debug, Clone)]
pub(crate) struct FileTable {
    #[cfg_attr(
        not(feature = "runner"),
        expect(dead_code, reason = "the runner alone asks where rows come from")
    )]
    origin: Origin,
    store: Arc<dyn ObjectStore>,
    root: ObjectStoreUrl,
    reading: Reading,
    pub(super) groups: Vec<Group>,
    pub(super) file_schema: SchemaRef,
    pub(super) folders: Vec<FieldRef>,
    /// Columns that readers make.
    pub(super) virtual_columns: Vec<FieldRef>,
    pub(super) schema: SchemaRef,
    folded: Arc<BTreeSet<String>>,
}

/// How many rows files hold, if that is known.
fn statistics<'a>(
    schema: &Schema,
    files: impl Iterator<Item = &'a PartitionedFile>,
) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    if let Some(rows) = read(files).and_then(|rows| usize::try_from(rows).ok()) {
        statistics.num_rows = Precision::Exact(rows);
    }
    statistics
}

/// The files of a lake do not tell how many rows they have.
#[cfg(not(feature = "runner"))]
fn read<'a>(_: impl Iterator<Item = &'a PartitionedFile>) -> Option<u64> {
    None
}

#[cfg(not(feature = "runner"))]
fn selected(file: PartitionedFile) -> PartitionedFile {
    file
}

impl FileTable {
    pub(super) fn try_new(
        store: Arc<dyn ObjectStore>,
        reading: Reading,
        files: Vec<ObjectMeta>,
        schemas: &[SchemaRef],
        lake: LakeSchema,
    ) -> Result<Self> {
        let mut fields: Vec<_> = lake.files.fields().iter().cloned().collect();
        fields.extend(lake.folders.iter().cloned());
        let files: Vec<_> = files
            .into_iter()
            .zip(lake.values)
            .map(|(meta, values)| {
                PartitionedFile::new_from_meta(meta).with_partition_values(values)
            })
            .collect();
        let location = &reading.location;
        let format = reading.format;
        let groups = match format {
            Format::Parquet => vec![Group {
                schema: Arc::clone(&lake.files),
                files,
            }],
            Format::Csv | Format::Json => {
                let mut groups = grouped(format, files, schemas);
                for group in &mut groups {
                    group.schema = as_text(format, &group.schema, &lake.files);
                }
                groups
            }
        };
        Ok(Self {
            origin: Origin::Lake(location.clone()),
            store,
            root: Stores::root(location)?,
            reading,
            groups,
            file_schema: lake.files,
            folders: lake.folders,
            virtual_columns: Vec::new(),
            schema: Arc::new(Schema::new(fields)),
            folded: lake.folded,
        })
    }

    /// The same files as a version of a committed table.
    #[cfg(feature = "runner")]
    pub(super) fn of_version(mut self, version: u64) -> Self {
        if let Origin::Lake(url) = self.origin {
            self.origin = Origin::Version(url, version);
        }
        self
    }

    /// The format of its files.
    #[cfg(feature = "runner")]
    pub(super) fn format(&self) -> Format {
        self.reading.format
    }

    /// What it is a reading of.
    #[cfg(feature = "runner")]
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where its files are.
    #[cfg(feature = "runner")]
    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Its columns.
    #[cfg(feature = "runner")]
    pub(crate) fn arrow_schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its files.
    #[cfg(feature = "runner")]
    pub(crate) fn files(&self) -> impl Iterator<Item = &ObjectMeta> {
        let files = self.groups.iter().flat_map(|group| &group.files);
        files.map(|file| &file.object_meta)
    }

    /// The same table with those of its files alone that `keep` names.
    #[cfg(feature = "runner")]
    pub(crate) fn only(&self, keep: impl Fn(&ObjectMeta) -> bool) -> Self {
        let mut kept = self.clone();
        for group in &mut kept.groups {
            group.files.retain(|file| keep(&file.object_meta));
        }
        kept
    }

    /// Whether the folders' values alone decide the filter.
    fn by_folder(&self, filter: &Expr) -> bool {
        let columns = filter.column_refs();
        let subquery = filter.exists(|e| {
            Ok(matches!(
                e,
                Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)
            ))
        });
        !columns.is_empty()
            && !filter.is_volatile()
            && !subquery.unwrap_or(true)
            && columns
                .iter()
                .all(|c| self.folders.iter().any(|f| f.name() == &c.name))
    }

    /// The files whose folders pass the filters.
    fn kept(
        &self,
        state: &dyn Session,
        files: &[PartitionedFile],
        filters: &[Expr],
    ) -> Result<Vec<PartitionedFile>> {
        let filters: Vec<_> = filters.iter().filter(|f| self.by_folder(f)).collect();
        if filters.is_empty() || files.is_empty() {
            return Ok(files.to_vec());
        }
        let schema = Arc::new(Schema::new(self.folders.clone()));
        let columns = (0..self.folders.len()).map(|index| {
            let values = files.iter().map(|f| f.partition_values[index].clone());
            ScalarValue::iter_to_array(values)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let schema = DFSchema::try_from(schema)?;
        let mut kept = files.iter().map(Some).collect::<Vec<_>>();
        for filter in filters {
            let filter = state.create_physical_expr(filter.clone(), &schema)?;
            let passed = filter.evaluate(&batch)?.into_array(files.len())?;
            let passed: &BooleanArray = passed.as_boolean();
            for (file, passed) in kept.iter_mut().zip(passed.iter()) {
                if passed != Some(true) {
                    *file = None;
                }
            }
        }
        Ok(kept.into_iter().flatten().cloned().collect())
    }

    async fn scan_group(
        &self,
        state: &dyn Session,
        group: &Group,
        files: Vec<PartitionedFile>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let format = self.reading.of(&files[0].object_meta);
        let schema = TableSchema::builder(Arc::clone(&group.schema))
            .with_table_partition_cols(self.folders.clone())
            .with_virtual_columns(self.virtual_columns.clone())
            .build();
        let statistics = statistics(schema.table_schema(), files.iter());
        #[cfg(feature = "runner")]
        find_pages(state, &self.store, &files).await;
        let files = files.into_iter().map(selected).collect();
        let partitions = state.config().target_partitions();
        let source = format.file_source(schema);
        let adapts = self.reading.format == Format::Parquet;
        let pushed = projection.filter(|_| adapts).cloned();
        let adapter = LakeAdapterFactory {
            folded: Arc::clone(&self.folded),
            flatten: self.reading.flatten,
        };
        let config = FileScanConfigBuilder::new(self.root.clone(), source)
            .with_file_groups(FileGroup::new(files).split_files(partitions))
            .with_statistics(statistics)
            .with_projection_indices(pushed)?
            .with_limit(limit)
            .with_expr_adapter(adapts.then(|| Arc::new(adapter) as _))
            .build();
        let scan = format.create_physical_plan(state, config).await?;
        if adapts {
            return Ok(scan);
        }
        self.convert(group, scan, projection)
    }

    /// The lake's columns out of a reader's that has its own.
    fn convert(
        &self,
        group: &Group,
        scan: Arc<dyn ExecutionPlan>,
        projection: Option<&Vec<usize>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<_> = (0..self.schema.fields().len()).collect();
        let mut columns = Vec::new();
        for index in projection.unwrap_or(&all) {
            let field = self.schema.field(*index);
            let name = field.name();
            let within = self.file_schema.fields().len();
            let value = if *index < within {
                read_column(field, &group.schema, self.folded.contains(name), false)?
            } else {
                let place = group.schema.fields().len() + index - within;
                Arc::new(Column::new(name, place))
            };
            columns.push(ProjectionExpr::new(value, name.clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(columns, scan)?))
    }
}

impl FileTable {
    /// Boxed here and not by `async_trait`, under which the compiler proves for seconds
    /// that all of it can be sent.
    fn planned<'a>(
        &'a self,
        state: &'a dyn Session,
        projection: Option<&'a Vec<usize>>,
        filters: &'a [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>>> {
        Box::pin(async move {
            let store = Arc::clone(&self.store);
            let root: &Url = self.root.as_ref();
            state.runtime_env().register_object_store(root, store);
            let decided = filters.iter().all(|f| self.by_folder(f));
            let limit = limit.filter(|_| decided);
            let mut plans = Vec::new();
            for group in &self.groups {
                let files = self.kept(state, &group.files, filters)?;
                if !files.is_empty() {
                    let plan = self.scan_group(state, group, files, projection, limit);
                    plans.push(plan.await?);
                }
            }
            match plans.len() {
                0 => {
                    let schema = match projection {
                        Some(columns) => Arc::new(self.schema.project(columns)?),
                        None => Arc::clone(&self.schema),
                    };
                    Ok(Arc::new(EmptyExec::new(schema)) as Arc<dyn ExecutionPlan>)
                }
                1 => plans.pop().ok_or_else(|| {
                    DataFusionError::Internal("a plan went missing".to_owned())
                }),
                _ => UnionExec::try_new(plans),
            }
        })
    }
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let files = self.groups.iter().flat_map(|group| &group.files);
        Some(statistics(&self.schema, files))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let decide = |filter: &&Expr| match self.by_folder(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(decide).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.planned(state, projection, filters, limit).await
    }
}
