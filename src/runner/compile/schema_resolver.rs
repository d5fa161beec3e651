//! What templates ask of the engine while they are rendered.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Node, ResolvedSource};
use crate::runner::error::Result;

/// Answers templates that ask for columns (`dbt_utils.star`, `adapter.get_columns_in_relation`)
/// and whether there is a table (`is_incremental()`).
pub trait SchemaResolver: Send + Sync {
    /// Column names and SQL types of a source table, read from its files' metadata.
    fn source_columns<'a>(
        &'a self,
        source: &'a ResolvedSource,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>>>;

    /// Column names and SQL types of a compiled model or a seed. `upstream` holds every
    /// node it can reach, compiled.
    fn node_columns<'a>(
        &'a self,
        node: &'a Node,
        upstream: &'a [Arc<Node>],
    ) -> BoxFuture<'a, Result<Vec<(String, String)>>>;

    /// Whether the table of an incremental model is there. Asked once a compilation, and
    /// not at all for models that are updated by key.
    fn table_exists<'a>(&'a self, node: &'a Node) -> BoxFuture<'a, Result<bool>>;
}
