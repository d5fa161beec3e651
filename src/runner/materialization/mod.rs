//! How a model's rows are kept: one file a materialization.
//!
//! A materialization gets planned rows ([`Job`]) and keeps them. Nothing it writes can be
//! seen before all of it is written; dropping [`Materialization::build`] leaves what was
//! there before.

mod ephemeral;
mod external;
mod failure;
mod gate;
mod incremental;
mod one_file;
mod reading;
mod seed;
mod splice;
mod table;
mod view;

use std::fmt;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::DataFrame;
use futures::future::BoxFuture;
use md5::{Digest, Md5};
use url::Url;

use crate::runner::compile::{Materialized, Node};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::store::Stores;
use crate::table::{Table, TableVersion};

pub use failure::query_failed;
pub use gate::CommitGate;
pub use one_file::{NotWritten, QueryRows};

pub(crate) use external::{export_format, export_name};
pub(crate) use failure::{clean_message, execution_error, is_conflict, store_error};
pub(crate) use seed::{SEED_CHECKSUM, read_seed, seed_checksum};

use reading::{FINGERPRINT, Inputs, Reading};

/// Hears how many rows have been written so far.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// A node's rows, planned, and where they go.
#[derive(Clone)]
pub struct Job {
    /// The node.
    pub node: Arc<Node>,
    /// Its rows.
    pub rows: DataFrame,
    /// The committed table of the node; used by the materializations that commit.
    pub(crate) table: Table,
    /// Where an export goes; used by `external`.
    pub location: Url,
    /// Opens the stores of an export.
    pub(crate) stores: Stores,
    /// `invocation_id`; part of the names of temporary files and kept in the commit.
    pub run_id: String,
    /// Passed before readers see anything of the build.
    pub gate: CommitGate,
    /// All that decides the rows beside the data: the SQL of the node and of the views it
    /// reads, or a seed's text.
    pub definition: String,
    /// Rebuild, whatever has changed.
    pub full_refresh: bool,
    /// Hears of progress.
    pub progress: Progress,
}

impl Job {
    /// A short text that differs where the definition, or what this package makes of it,
    /// does.
    fn fingerprint(&self) -> String {
        hashed(&[env!("CARGO_PKG_VERSION"), &self.definition])
    }

    /// Passes the gate, if the files that were read are still as they were.
    async fn enter_gate(&self) -> Result<()> {
        match changed(self.rows.logical_plan()).await? {
            Some(error) => Err(error),
            None => self.gate.enter(),
        }
    }

    /// A short text that differs where the definition does.
    fn definition_hash(&self) -> String {
        hashed(&[&self.definition])
    }
}

/// The error of a file that `rows` come from and that is no longer as it was, if there is one:
/// what was read may be of two states of it.
pub(crate) async fn changed(rows: &LogicalPlan) -> Result<Option<RunnerError>> {
    let reading = Reading::of(rows).map_err(execution_error)?;
    let file = reading.changed_file().await.map_err(execution_error)?;
    Ok(file.map(|file| {
        let message = format!("`{file}` changed while it was read");
        let error = RunnerError::new(ErrorKind::Source, message);
        error.with_hint("nothing was written; run again once it stays as it is")
    }))
}

/// `error`, or what is behind it: a file that changed while `rows` were made of it.
pub(crate) async fn or_changed(rows: &LogicalPlan, error: RunnerError) -> RunnerError {
    changed(rows).await.ok().flatten().unwrap_or(error)
}

fn hashed(texts: &[&str]) -> String {
    let mut hash = Md5::new();
    for text in texts {
        hash.update(text);
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether a rebuild of `base` would give what is there.
fn unchanged(job: &Job, base: &TableVersion, reading: &Reading) -> bool {
    let of_base = Inputs::of_metadata(&base.metadata);
    !job.full_refresh
        && of_base.is_some()
        && of_base == reading.inputs()
        && base.metadata.get(FINGERPRINT) == Some(&job.fingerprint())
        && reading.same_traffic_rules(base)
}

/// What is said of a node that is as it would be.
fn no_op() -> Built {
    Built {
        message: Some("NO-OP: nothing new".to_owned()),
        ..Built::default()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("node", &self.node.id)
            .field("location", &self.location.as_str())
            .finish_non_exhaustive()
    }
}

/// What was built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Built {
    /// Rows written; `None` where nothing is.
    pub rows: Option<u64>,
    /// Bytes written; `None` where nothing is or the writer does not say.
    pub bytes: Option<u64>,
    /// One line for the user.
    pub message: Option<String>,
}

/// One way to keep rows.
///
/// Its futures are boxed by hand: within `async_trait` the compiler proves anew for every
/// method that a plan can be sent, which takes seconds each.
pub trait Materialization: fmt::Debug + Send + Sync {
    /// The configuration that asks for it.
    fn kind(&self) -> Materialized;

    /// The word for progress lines (`created table model …`).
    fn word(&self) -> &'static str;

    /// Keeps the rows of `job`.
    fn build<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Built>>;
}

/// Every materialization.
static ALL: [&dyn Materialization; 6] = [
    &view::View,
    &ephemeral::Ephemeral,
    &table::TableModel,
    &incremental::Incremental,
    &external::External,
    &seed::Seed,
];

/// The materialization of that kind; `view` builds nothing and stands in for none.
pub fn materialization(kind: Materialized) -> &'static dyn Materialization {
    ALL.into_iter()
        .find(|m| m.kind() == kind)
        .unwrap_or(&view::View)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_materialization() {
        for kind in [
            Materialized::View,
            Materialized::Ephemeral,
            Materialized::Table,
            Materialized::Incremental,
            Materialized::External,
            Materialized::Seed,
        ] {
            assert_eq!(materialization(kind).kind(), kind);
        }
    }
}
