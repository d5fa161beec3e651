//! The ready queue: which task starts when, and what a failure stops.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::common::instant::Instant;
use datafusion::common::runtime::JoinSet;
use tokio::task::AbortHandle;

use super::task::{Outcome, Runner};
use super::{NodeResult, RunContext, RunObserver, RunResults, Status};
use crate::runner::compile::{Node, NodeId};
use crate::runner::engine::Engine;
use crate::runner::error::{ErrorKind, RunnerError};
use crate::runner::materialization::CommitGate;
use crate::runner::schedule::{Schedule, Task};

/// How long commits that have begun may take to end, and dropped queries to let go of their
/// files.
const GRACE: Duration = Duration::from_millis(1000);

/// A task that runs.
struct Running {
    node: Arc<Node>,
    started_at: DateTime<Utc>,
    since: Instant,
    gate: CommitGate,
    task: AbortHandle,
}

/// The state of a run.
pub(super) struct Workers {
    runner: Arc<Runner>,
    context: RunContext,
    clock: Instant,
    total: usize,
    started: usize,
    /// Tasks that have not started, in the schedule's order.
    waiting: VecDeque<Task>,
    /// Tasks that have ended well.
    done: Vec<NodeId>,
    running: BTreeMap<usize, Running>,
    results: Vec<NodeResult>,
    interrupted: bool,
    /// The failure that stopped the run (`fail_fast`).
    stopped_by: Option<NodeId>,
}

type Tasks = JoinSet<(usize, Outcome)>;

impl Workers {
    pub(super) fn new(
        schedule: Schedule,
        engine: Engine,
        context: RunContext,
        observer: Arc<dyn RunObserver>,
    ) -> Self {
        Self {
            total: schedule.tasks.len(),
            waiting: schedule.tasks.into(),
            runner: Arc::new(Runner {
                engine,
                dag: schedule.dag,
                run_id: context.run_id.clone(),
                full_refresh: context.full_refresh,
                observer,
            }),
            context,
            clock: Instant::now(),
            started: 0,
            done: Vec::new(),
            running: BTreeMap::new(),
            results: Vec::new(),
            interrupted: false,
            stopped_by: None,
        }
    }

    /// Runs until nothing is left to do.
    pub(super) async fn work(mut self) -> RunResults {
        let mut tasks = Tasks::new();
        let mut cancelled = self.context.cancelled.clone();
        loop {
            if *cancelled.borrow() {
                self.interrupted = true;
            }
            if self.interrupted || self.stopped_by.is_some() {
                break;
            }
            self.start_ready(&mut tasks);
            if tasks.is_empty() {
                break;
            }
            tokio::select! {
                Some(ended) = tasks.join_next() => self.ended(ended.ok()),
                () = turned(&mut cancelled) => self.interrupted = true,
            }
        }
        self.stop(tasks).await;
        RunResults {
            results: self.results,
            elapsed: self.clock.elapsed(),
            interrupted: self.interrupted,
        }
    }

    /// How many tasks run at once: a memory limit may allow fewer than asked for.
    fn threads(&self) -> usize {
        let allowed = self.runner.engine.queries().unwrap_or(usize::MAX);
        self.context.threads.min(allowed).max(1)
    }

    /// Starts waiting tasks whose conditions hold, as many as threads are free.
    fn start_ready(&mut self, tasks: &mut Tasks) {
        while self.running.len() < self.threads() {
            let ready = |t: &Task| t.after.iter().all(|id| self.done.contains(id));
            let Some(task) = self
                .waiting
                .iter()
                .position(ready)
                .and_then(|position| self.waiting.remove(position))
            else {
                return;
            };
            self.started += 1;
            let index = self.started;
            self.runner.observer.started(&task.node, index, self.total);
            let node = Arc::clone(&task.node);
            let runner = Arc::clone(&self.runner);
            let gate = CommitGate::default();
            let passed = gate.clone();
            let task = tasks
                .spawn(async move { (index, runner.execute(&task.node, passed).await) });
            let running = Running {
                node,
                started_at: self.now(),
                since: Instant::now(),
                gate,
                task,
            };
            self.running.insert(index, running);
        }
    }

    /// Takes note of a task that ended; `None` if its worker died.
    fn ended(&mut self, ended: Option<(usize, Outcome)>) {
        let (index, outcome) = match ended {
            Some(ended) => ended,
            // a worker that died does not say which: the others cannot be trusted to come back
            None => {
                let Some(index) = self.running.keys().next().copied() else {
                    return;
                };
                let message = "a worker ended unexpectedly";
                let error = RunnerError::new(ErrorKind::Internal, message);
                (index, Outcome::failed(error))
            }
        };
        let Some(running) = self.running.remove(&index) else {
            return;
        };
        let status = outcome.status;
        let ended_by_itself = outcome.error.is_none() && outcome.message.is_some();
        let id = Arc::clone(&running.node.id);
        self.finish(result(running, outcome), index);
        match status {
            // a test that had nothing to compare with stands in nobody's way
            Status::Skipped if ended_by_itself => self.done.push(id),
            Status::Error | Status::Fail | Status::Skipped => {
                if self.context.fail_fast {
                    self.stopped_by = Some(Arc::clone(&id));
                }
                self.skip_after(&id);
            }
            Status::Success | Status::Pass | Status::Warn => self.done.push(id),
        }
    }

    /// Skips every waiting task that can no longer start because of `failed`.
    fn skip_after(&mut self, failed: &NodeId) {
        let mut lost = vec![Arc::clone(failed)];
        let mut kept = VecDeque::new();
        for task in std::mem::take(&mut self.waiting) {
            if task.after.iter().any(|id| lost.contains(id)) {
                lost.push(Arc::clone(&task.node.id));
                self.skip(task.node, Some(Arc::clone(failed)));
            } else {
                kept.push_back(task);
            }
        }
        self.waiting = kept;
    }

    fn skip(&mut self, node: Arc<Node>, by: Option<NodeId>) {
        self.started += 1;
        let index = self.started;
        let skipped = NodeResult {
            node,
            status: Status::Skipped,
            started_at: None,
            duration: Duration::ZERO,
            rows: None,
            bytes: None,
            message: None,
            error: None,
            skipped_by: by,
        };
        self.finish(skipped, index);
    }

    fn finish(&mut self, result: NodeResult, index: usize) {
        self.runner.observer.finished(&result, index, self.total);
        self.results.push(result);
    }

    /// Drops what runs and has not begun to commit, and skips what waits.
    async fn stop(&mut self, mut tasks: Tasks) {
        for running in self.running.values().filter(|r| r.gate.close()) {
            running.task.abort();
        }
        let gone = async {
            while let Some(ended) = tasks.join_next().await {
                // what ended in the last moment counts
                if ended.is_ok() {
                    self.ended(ended.ok());
                }
            }
        };
        tokio::select! {
            () = gone => {}
            () = overdue() => {}
        }
        for (index, running) in std::mem::take(&mut self.running) {
            let outcome = if self.interrupted {
                let error = RunnerError::new(ErrorKind::Interrupted, "interrupted");
                Outcome::failed(error)
            } else {
                Outcome::skipped()
            };
            let mut stopped = result(running, outcome);
            stopped.skipped_by.clone_from(&self.stopped_by);
            self.finish(stopped, index);
        }
        for task in std::mem::take(&mut self.waiting) {
            self.skip(task.node, self.stopped_by.clone());
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.context.started_at + self.clock.elapsed()
    }
}

/// Returns once the user has interrupted; never, if nobody can any more.
async fn turned(cancelled: &mut tokio::sync::watch::Receiver<bool>) {
    if cancelled.wait_for(|c| *c).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Ends after [`GRACE`]. The clock is a thread: queries that keep every worker of the runtime
/// busy stop the runtime's own.
async fn overdue() {
    let (over, wait) = tokio::sync::oneshot::channel::<()>();
    let clock = std::thread::Builder::new().name("grace".to_owned());
    let started = clock.spawn(move || {
        std::thread::sleep(GRACE);
        drop(over);
    });
    if started.is_ok() {
        let _ = wait.await;
    }
}

fn result(running: Running, outcome: Outcome) -> NodeResult {
    NodeResult {
        node: running.node,
        status: outcome.status,
        started_at: Some(running.started_at),
        duration: running.since.elapsed(),
        rows: outcome.rows,
        bytes: outcome.bytes,
        message: outcome.message,
        error: outcome.error,
        skipped_by: None,
    }
}
