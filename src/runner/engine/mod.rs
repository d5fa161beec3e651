//! Where plans execute. The only builder of a `SessionContext`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;

use crate::catalog::ProjectCatalog;
use crate::runner::compile::{Dag, Node, ResolvedSource, SchemaResolver};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::project::Project;
use crate::store::Stores;

/// How much of the machine the engine may use.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Bytes of memory for operators; more is spilled to disk. `None`: no limit.
    pub memory_limit: Option<usize>,
    /// Partitions per query; default: the number of cores.
    pub partitions: Option<usize>,
}

/// Executes the SQL of one project.
#[derive(Clone)]
pub struct Engine {
    context: SessionContext,
    catalog: ProjectCatalog,
    stores: Stores,
    project: Arc<Project>,
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
        let _ = options;
        Ok(Self {
            context: SessionContext::new(),
            catalog: ProjectCatalog::default(),
            stores: Stores::default(),
            project,
        })
    }

    /// Makes every model, seed and source of `dag` readable under its relation: views by
    /// their SQL, tables at their newest committed version.
    pub fn register(&self, dag: &Dag) -> Result<()> {
        let _ = (dag, &self.catalog, &self.stores, &self.project, &self.context);
        Ok(())
    }

    /// Runs the compiled SQL of an inline node (see `compile_inline`) or of a model.
    /// Errors of the SQL carry the place in the node's own file.
    pub async fn query(&self, node: &Node) -> Result<SendableRecordBatchStream> {
        let _ = node;
        Err(RunnerError::new(ErrorKind::Internal, "not built yet"))
    }

    /// Reads the *table* of a node (a view is run), for `show`.
    pub async fn read(&self, node: &Node, limit: Option<usize>) -> Result<SendableRecordBatchStream> {
        let _ = (node, limit);
        Err(RunnerError::new(ErrorKind::Internal, "not built yet"))
    }

    /// The context, for embedders.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }
}

#[async_trait]
impl SchemaResolver for Engine {
    async fn source_columns(&self, source: &ResolvedSource) -> Result<Vec<(String, String)>> {
        let _ = source;
        Err(RunnerError::new(ErrorKind::Internal, "not built yet"))
    }

    async fn node_columns(
        &self,
        node: &Node,
        upstream: &[Arc<Node>],
    ) -> Result<Vec<(String, String)>> {
        let _ = (node, upstream);
        Err(RunnerError::new(ErrorKind::Internal, "not built yet"))
    }
}
