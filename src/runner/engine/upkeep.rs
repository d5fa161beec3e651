//! Committed tables beside reading and building: history, vacuum, older versions.

use chrono::TimeDelta;

use super::Engine;
use crate::catalog::CatalogEntry;
use crate::runner::compile::{Materialized, Node, NodeKind};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::store_error;
pub use crate::table::{Commit, Vacuumed};

impl Engine {
    /// The newest `limit` commits of the table of `node`, newest first; none if it has not
    /// been built.
    pub async fn history(&self, node: &Node, limit: usize) -> Result<Vec<Commit>> {
        committed(node)?;
        self.table(node)?.history(limit).await.map_err(store_error)
    }

    /// Removes the files of the table of `node` that no version younger than `retain`
    /// needs: replaced ones, and what a killed run left. `dry_run` only finds them.
    pub async fn vacuum(
        &self,
        node: &Node,
        retain: TimeDelta,
        dry_run: bool,
    ) -> Result<Vacuumed> {
        committed(node)?;
        let vacuumed = self.table(node)?.vacuum(retain, dry_run).await;
        vacuumed.map_err(store_error)
    }

    /// Makes queries read `version` of the table of `node` instead of its newest.
    pub fn pin(&self, node: &Node, version: u64) -> Result<()> {
        committed(node)?;
        let Some(relation) = &node.relation else {
            return Ok(());
        };
        let entry = CatalogEntry::Committed(self.table(node)?.at(version));
        self.catalog
            .insert(&relation.catalog, &relation.schema, &relation.name, entry);
        Ok(())
    }
}

/// Whether `node` has a committed table.
pub fn has_table(node: &Node) -> bool {
    let kind = node.config.materialized;
    match node.kind {
        NodeKind::Seed(_) => true,
        NodeKind::Model => {
            matches!(kind, Materialized::Table | Materialized::Incremental)
        }
        _ => false,
    }
}

pub(super) fn committed(node: &Node) -> Result<()> {
    if has_table(node) {
        return Ok(());
    }
    let message = format!("`{}` has no committed table", node.name);
    let hint = "tables, incremental models and seeds have one";
    Err(RunnerError::new(ErrorKind::Usage, message).with_hint(hint))
}
