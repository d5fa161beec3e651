//! Where plans execute. The only builder of a `SessionContext`.

mod memory;
mod optimize;
mod places;
mod schemas;
mod seeds;
mod session;
mod spill;
mod sql;
mod sql_error;
mod unreadable;
mod upkeep;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};

use self::spill::SpillFolder;
use crate::catalog::{CatalogEntry, LakeMemory, ProjectCatalog};
use crate::functions::traffic_source_with;
use crate::runner::compile::{
    Dag, Materialized, Node, NodeKind, Relation, SOURCE_CATALOG,
};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::{QueryRows, execution_error, read_seed};
use crate::runner::project::Project;
use crate::store::Stores;

pub use optimize::Optimized;
pub use upkeep::{Commit, Vacuumed, has_table};

/// How much of the machine the engine may use.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Bytes of memory for operators; more is spilled to disk. `None`: no limit.
    pub memory_limit: Option<usize>,
    /// Partitions per query; default: the number of cores.
    pub partitions: Option<usize>,
    /// Where rows go that memory does not hold: to a folder in this one, which is removed at
    /// the end, and after a kill by the next engine. `None`: to the system's folder for
    /// temporary files, from where nobody removes them after a kill.
    pub spill_dir: Option<PathBuf>,
}

/// Executes the SQL of one project.
#[derive(Clone)]
pub struct Engine {
    context: SessionContext,
    catalog: ProjectCatalog,
    stores: Stores,
    project: Arc<Project>,
    relations: Arc<RwLock<Vec<Relation>>>,
    queries: Option<usize>,
    spill: Option<Arc<SpillFolder>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("project", &self.project.name)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine for `project`. No table is opened yet.
    pub fn try_new(project: Arc<Project>, options: &EngineOptions) -> Result<Self> {
        let stores = Stores::new(project.env.clone());
        Self::with_stores(project, options, stores)
    }

    /// The same, reading and writing through `stores`: shared with another engine, or with
    /// stores of the embedder's own ([`Stores::with_store`]).
    pub fn with_stores(
        project: Arc<Project>,
        options: &EngineOptions,
        stores: Stores,
    ) -> Result<Self> {
        let spill = options.spill_dir.as_deref();
        // a query that has to spill says what is wrong with the folder; others need none
        let spill = spill.and_then(|within| SpillFolder::new_in(within).ok());
        let mut engine = Self {
            context: session::context(options, spill.as_ref())?,
            catalog: ProjectCatalog::new(stores.clone()),
            stores,
            project,
            relations: Arc::default(),
            queries: session::shares(options).map(|shares| shares.queries),
            spill: spill.map(Arc::new),
        };
        if let Some(rules) = &engine.project.traffic_source_rules {
            let function = traffic_source_with(rules.clone());
            engine.context.register_udf(function);
        }
        let target = engine.target_location()?;
        engine.open_store(&target)?;
        let folder = Self::lake_memory(&target)?;
        let memory = LakeMemory::kept_in(folder, engine.stores.clone());
        engine.catalog = engine.catalog.with_memory(memory);
        Ok(engine)
    }

    /// Removes what queries have put on disk for want of memory, once none runs any more: a
    /// query that was dropped may not have come to it.
    pub fn remove_spilled(&self) {
        for folder in self.context.runtime_env().disk_manager.temp_dir_paths() {
            drop(std::fs::remove_dir_all(folder));
        }
        if let Some(folder) = &self.spill {
            folder.remove();
        }
    }

    /// Makes every model, seed and source of `dag` readable under its relation: views by
    /// their SQL, tables at their newest committed version.
    pub fn register(&self, dag: &Dag) -> Result<()> {
        for node in &dag.nodes {
            self.insert(node)?;
        }
        self.catalog
            .register(&self.context, &self.project.name)
            .map_err(execution_error)
    }

    /// Makes the newest state of `node` readable, after it was built.
    pub(crate) fn refresh(&self, node: &Node) -> Result<()> {
        self.insert(node)
    }

    fn insert(&self, node: &Node) -> Result<()> {
        let (Some(relation), Some(entry)) = (&node.relation, self.entry(node)?) else {
            return Ok(());
        };
        self.catalog
            .insert(&relation.catalog, &relation.schema, &relation.name, entry);
        let mut known = self
            .relations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if !known.contains(relation) {
            known.push(relation.clone());
        }
        Ok(())
    }

    /// What stands behind the relation of `node`; nothing for tests.
    fn entry(&self, node: &Node) -> Result<Option<CatalogEntry>> {
        match &node.kind {
            NodeKind::Source(source) => self.source_entry(source).map(Some),
            NodeKind::Seed(_) => Ok(Some(CatalogEntry::Committed(self.table(node)?))),
            NodeKind::Model => match node.config.materialized {
                Materialized::View | Materialized::Ephemeral => {
                    Ok(Some(CatalogEntry::View(node.compiled.sql.clone())))
                }
                Materialized::External => {
                    Ok(Some(CatalogEntry::Lake(self.export_lake(node)?)))
                }
                Materialized::Table | Materialized::Incremental | Materialized::Seed => {
                    Ok(Some(CatalogEntry::Committed(self.table(node)?)))
                }
            },
            NodeKind::DataTest { .. }
            | NodeKind::SingularTest
            | NodeKind::UnitTest { .. } => Ok(None),
        }
    }

    /// Runs the compiled SQL of an inline node (see `compile_inline`) or of a model.
    /// Errors of the SQL carry the place in the node's own file. `limit`: at most so many rows.
    pub async fn query(
        &self,
        node: &Node,
        limit: Option<usize>,
    ) -> Result<SendableRecordBatchStream> {
        self.query_rows(node, limit).await?.stream()
    }

    /// As [`Self::query`], planned and not run.
    pub async fn query_rows(
        &self,
        node: &Node,
        limit: Option<usize>,
    ) -> Result<QueryRows> {
        limited(self.plan(node).await?, limit).await
    }

    /// Reads the *table* of a node (a view is run), for `show`.
    pub async fn read(
        &self,
        node: &Node,
        limit: Option<usize>,
    ) -> Result<SendableRecordBatchStream> {
        self.read_rows(node, limit).await?.stream()
    }

    /// As [`Self::read`], planned and not run.
    pub async fn read_rows(
        &self,
        node: &Node,
        limit: Option<usize>,
    ) -> Result<QueryRows> {
        let rows = match &node.relation {
            Some(relation) if node.config.materialized != Materialized::Ephemeral => {
                let sql = format!("select * from {}", quoted(relation));
                let planned = sql::plan(&self.context, &sql, false).await;
                let known = self.known_relations();
                planned.map_err(|e| sql_error::located(e, node, &known))?
            }
            _ => self.plan(node).await?,
        };
        limited(rows, limit).await
    }

    /// The rows of `node`, planned and not run: its compiled SQL, or a seed's file.
    pub async fn plan(&self, node: &Node) -> Result<DataFrame> {
        if let NodeKind::Seed(_) = &node.kind {
            let (schema, batches) = self.seed_rows(node).await?;
            let table = MemTable::try_new(schema, vec![batches]);
            return table
                .and_then(|t| self.context.read_table(Arc::new(t)))
                .map_err(execution_error);
        }
        self.plan_in(&self.context, node).await
    }

    /// As [`Self::plan`] for SQL, in another context of this engine.
    pub(crate) async fn plan_in(
        &self,
        context: &SessionContext,
        node: &Node,
    ) -> Result<DataFrame> {
        let inline = node.id.starts_with("sql_operation.");
        let planned = sql::plan(context, &node.compiled.sql, inline).await;
        planned.map_err(|e| sql_error::located(e, node, &self.known_relations()))
    }

    async fn seed_rows(
        &self,
        node: &Node,
    ) -> Result<(SchemaRef, Vec<datafusion::arrow::array::RecordBatch>)> {
        let NodeKind::Seed(seed) = &node.kind else {
            let message = format!("`{}` is no seed", node.name);
            return Err(RunnerError::new(ErrorKind::Internal, message));
        };
        let read = tokio::fs::read_to_string(&seed.absolute_path).await;
        let text = read.map_err(|e| {
            let message = format!("seed `{}`: {e}", seed.path.display());
            RunnerError::new(ErrorKind::Project, message).with_source(e)
        })?;
        let mut types = std::collections::BTreeMap::new();
        for (column, sql) in &node.config.column_types {
            let data_type = self.data_type(sql).await.map_err(|e| {
                let message = format!(
                    "seed `{}`, `column_types` of `{column}`: {}",
                    seed.path.display(),
                    e.message()
                );
                RunnerError::new(e.kind(), message).with_source(e)
            })?;
            types.insert(column.clone(), data_type);
        }
        let delimiter = node.config.delimiter.unwrap_or(',');
        let batch = read_seed(&seed.path, &text, delimiter, &types)?;
        Ok((batch.schema(), vec![batch]))
    }

    /// The Arrow type of a SQL type (`varchar`, `decimal(10, 2)`).
    pub(crate) async fn data_type(&self, sql_type: &str) -> Result<DataType> {
        let sql = format!("select cast(null as {sql_type}) as value");
        let planned = sql::plan(&self.context, &sql, false).await;
        let rows = planned.map_err(|e: DataFusionError| {
            let message = format!("`{sql_type}` is not a type that is known");
            RunnerError::new(ErrorKind::Project, message).with_source(e)
        })?;
        Ok(rows.schema().field(0).data_type().clone())
    }

    /// A context with the same functions, settings and memory, and nothing but the entries
    /// of `catalog` to read.
    pub(crate) fn context_over(
        &self,
        catalog: &ProjectCatalog,
    ) -> Result<SessionContext> {
        let context = session::sibling(&self.context);
        catalog
            .register(&context, &self.project.name)
            .map_err(execution_error)?;
        Ok(context)
    }

    /// An empty catalog that opens files through the engine's stores.
    pub(crate) fn empty_catalog(&self) -> ProjectCatalog {
        let memory = self.catalog.memory().clone();
        ProjectCatalog::new(self.stores.clone()).with_memory(memory)
    }

    fn known_relations(&self) -> Vec<Relation> {
        let known = self
            .relations
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// The project's names, for any other `SessionContext`: one call of
    /// [`ProjectCatalog::register`] makes them readable there. Views use the functions of this
    /// crate: that context needs them too ([`SessionizeExt`](crate::SessionizeExt)).
    pub fn catalog(&self) -> &ProjectCatalog {
        &self.catalog
    }

    /// How many queries may run at once, where a memory limit bounds it.
    pub(crate) fn queries(&self) -> Option<usize> {
        self.queries
    }

    /// The context, for embedders.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The stores, for materializations.
    pub(crate) fn stores(&self) -> &Stores {
        &self.stores
    }
}

/// `"catalog"."schema"."name"`.
pub(crate) fn quoted(relation: &Relation) -> String {
    let quote = |s: &str| format!("\"{}\"", s.replace('"', "\"\""));
    format!(
        "{}.{}.{}",
        quote(&relation.catalog),
        quote(&relation.schema),
        quote(&relation.name)
    )
}

/// How a person calls a relation: `source.segment.pages`, `segment.sessions`.
fn spoken(relation: &Relation) -> String {
    if relation.catalog == SOURCE_CATALOG {
        return format!("{SOURCE_CATALOG}.{}.{}", relation.schema, relation.name);
    }
    format!("{}.{}", relation.schema, relation.name)
}

/// The rows, at most `limit` of them. Without a limit the plan stays as it is: an `EXPLAIN`
/// below another node would show half of what it has to say.
async fn limited(rows: DataFrame, limit: Option<usize>) -> Result<QueryRows> {
    // what `explain` and `describe` say is no relation that a limit could stand over
    let explains = matches!(
        rows.logical_plan(),
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)
    );
    let rows = match limit {
        Some(_) if !explains => rows.limit(0, limit).map_err(execution_error)?,
        _ => rows,
    };
    QueryRows::of(rows).await
}
