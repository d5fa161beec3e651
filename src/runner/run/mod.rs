//! Schedule -> [`RunResults`]: workers, cancellation, commits.

mod data_test;
mod given;
mod task;
mod unit_test;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::runner::compile::{Node, NodeId};
use crate::runner::engine::Engine;
use crate::runner::error::RunnerError;
use crate::runner::schedule::Schedule;

/// What a run is told from outside: no clock and no environment is read below the caller.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// `invocation_id`; also part of the names of temporary files.
    pub run_id: String,
    /// When the command started.
    pub started_at: DateTime<Utc>,
    /// How many nodes run at once.
    pub threads: usize,
    /// Stop at the first failure.
    pub fail_fast: bool,
    /// Rebuild every table, whatever has changed (`--full-refresh`).
    pub full_refresh: bool,
    /// Turns true when the user interrupts: running queries are dropped, nothing is committed.
    pub cancelled: watch::Receiver<bool>,
}

/// How a node ended, in dbt's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// A model or seed was built.
    Success,
    /// It could not be built, or a test could not be run.
    Error,
    /// Something it reads failed, or the run stopped before.
    Skipped,
    /// A test found nothing wrong.
    Pass,
    /// A test found something wrong.
    Fail,
    /// A test with `severity: warn` found something wrong.
    Warn,
}

/// What became of one node.
#[derive(Debug)]
pub struct NodeResult {
    /// The node.
    pub node: Arc<Node>,
    /// How it ended.
    pub status: Status,
    /// When it started; `None` if it was skipped.
    pub started_at: Option<DateTime<Utc>>,
    /// How long it took.
    pub duration: Duration,
    /// Rows written, or failing rows of a test.
    pub rows: Option<u64>,
    /// Bytes written.
    pub bytes: Option<u64>,
    /// One line for the user (`rebuilt in full: …`).
    pub message: Option<String>,
    /// Why it failed.
    pub error: Option<RunnerError>,
    /// The node whose failure skipped this one.
    pub skipped_by: Option<NodeId>,
}

/// What became of the whole schedule.
#[derive(Debug)]
pub struct RunResults {
    /// One entry a task, in the order in which they ended.
    pub results: Vec<NodeResult>,
    /// How long the run took.
    pub elapsed: Duration,
    /// Whether the user interrupted it.
    pub interrupted: bool,
}

/// Hears of a run's progress; called from several threads.
pub trait RunObserver: Send + Sync {
    /// `node` starts; `index` counts from 1 in the order of starting, of `total`.
    fn started(&self, node: &Node, index: usize, total: usize);
    /// `rows` have been written so far.
    fn progress(&self, node: &Node, rows: u64);
    /// A node ended or was skipped; `index` as in `started`.
    fn finished(&self, result: &NodeResult, index: usize, total: usize);
}

/// Runs the schedule. Never fails as a whole: failures are in the results.
pub async fn run(
    schedule: Schedule,
    engine: Engine,
    context: RunContext,
    observer: Arc<dyn RunObserver>,
) -> RunResults {
    workers::Workers::new(schedule, engine, context, observer)
        .work()
        .await
}
