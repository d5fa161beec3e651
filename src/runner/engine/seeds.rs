//! Seeds that a selection reads but does not name.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Engine;
use crate::runner::compile::{Materialized, Node, NodeKind};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::{SEED_CHECKSUM, seed_checksum};
use crate::runner::schedule::Schedule;

impl Engine {
    /// Seeds that tasks of `schedule` read, directly or through views, and that are no tasks
    /// themselves, if they have no committed version or one of another file's content.
    pub async fn outdated_seeds(&self, schedule: &Schedule) -> Result<Vec<Arc<Node>>> {
        let mut outdated = Vec::new();
        for seed in read_seeds(schedule) {
            let version = self.table(seed)?.open().await.map_err(|e| {
                RunnerError::new(ErrorKind::Store, e.to_string()).with_source(e)
            })?;
            let built = version.and_then(|v| v.metadata.get(SEED_CHECKSUM).cloned());
            if built.is_none() || built != seed_checksum(seed).await? {
                outdated.push(Arc::clone(seed));
            }
        }
        Ok(outdated)
    }
}

/// Seeds behind the tasks; what a committed table was made of does not matter any more.
fn read_seeds(schedule: &Schedule) -> Vec<&Arc<Node>> {
    let tasks: BTreeSet<&str> = schedule.tasks.iter().map(|t| &*t.node.id).collect();
    let mut seen = BTreeSet::new();
    let mut seeds = Vec::new();
    let mut open: Vec<&Arc<Node>> = schedule.tasks.iter().map(|t| &t.node).collect();
    while let Some(node) = open.pop() {
        for id in &node.depends_on {
            let Some(read) = schedule.dag.node(id) else {
                continue;
            };
            if tasks.contains(&**id) || !read.config.enabled || !seen.insert(&**id) {
                continue;
            }
            match (&read.kind, read.config.materialized) {
                (NodeKind::Seed(_), _) => seeds.push(read),
                (NodeKind::Model, Materialized::View | Materialized::Ephemeral) => {
                    open.push(read);
                }
                _ => {}
            }
        }
    }
    seeds.sort_by(|a, b| a.id.cmp(&b.id));
    seeds
}
