//! One task: a model or seed is built, a test is run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{RunObserver, Status, data_test, unit_test};
use crate::runner::compile::{Dag, Materialized, Node, NodeKind};
use crate::runner::engine::Engine;
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::{
    CommitGate, Job, is_conflict, materialization, or_changed, seed_checksum,
};

/// How often a build starts over because another run committed first.
const STARTS_OVER: u32 = 5;

/// The pause before the first such start; doubled each time, and up to half as long again.
const PAUSE: Duration = Duration::from_millis(200);

/// What every task of a run needs.
pub(super) struct Runner {
    pub(super) engine: Engine,
    pub(super) dag: Arc<Dag>,
    pub(super) run_id: String,
    pub(super) full_refresh: bool,
    pub(super) observer: Arc<dyn RunObserver>,
}

/// How a task ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) status: Status,
    pub(super) rows: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) message: Option<String>,
    pub(super) error: Option<RunnerError>,
}

impl Outcome {
    pub(super) fn new(status: Status) -> Self {
        Self {
            status,
            rows: None,
            bytes: None,
            message: None,
            error: None,
        }
    }

    pub(super) fn failed(error: RunnerError) -> Self {
        Self {
            error: Some(error),
            ..Self::new(Status::Error)
        }
    }

    pub(super) fn skipped() -> Self {
        Self::new(Status::Skipped)
    }
}

impl Runner {
    /// Executes `node`; nothing it builds is seen unless it passes `gate`.
    pub(super) async fn execute(&self, node: &Arc<Node>, gate: CommitGate) -> Outcome {
        let ended = match &node.kind {
            NodeKind::Model | NodeKind::Seed(_) => Box::pin(self.build(node, gate)).await,
            NodeKind::DataTest { .. } | NodeKind::SingularTest => {
                data_test::run_or_skip(&self.engine, &self.dag, node).await
            }
            NodeKind::UnitTest { test, model, .. } => {
                Box::pin(unit_test::run(&self.engine, &self.dag, node, test, model)).await
            }
            NodeKind::Source(_) => Ok(Outcome::skipped()),
        };
        let Err(error) = ended else {
            return ended.unwrap_or_else(Outcome::failed);
        };
        let error = self.engine.naming_file(error, &self.dag, node).await;
        Outcome::failed(placed(error, node))
    }

    /// Builds `node`. If another run commits first, nothing of this build is seen: it starts
    /// over, on top of what the other has committed.
    async fn build(&self, node: &Arc<Node>, gate: CommitGate) -> Result<Outcome> {
        for again in 0..STARTS_OVER {
            let built = Box::pin(self.build_once(node, gate.clone())).await;
            match built {
                Err(error) if is_conflict(&error) => {}
                ended => return ended,
            }
            gate.reopen();
            tokio::time::sleep(pause(again)).await;
            self.reread(node)?;
        }
        let ended = Box::pin(self.build_once(node, gate)).await;
        ended.map_err(|error| match is_conflict(&error) {
            true => overtaken(error, node),
            false => error,
        })
    }

    /// Lets all that `node` reads be opened anew: another run may have built that too.
    fn reread(&self, node: &Node) -> Result<()> {
        let mut open: Vec<_> = node.depends_on.iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            let Some(above) = self.dag.node(id).filter(|_| seen.insert(id)) else {
                continue;
            };
            self.engine.refresh(above)?;
            open.extend(&above.depends_on);
        }
        Ok(())
    }

    async fn build_once(&self, node: &Arc<Node>, gate: CommitGate) -> Result<Outcome> {
        let table = self.engine.table(node)?;
        let location = match node.config.materialized {
            Materialized::External => self.engine.export_url(node)?,
            _ => self.engine.table_url(node)?,
        };
        let observer = Arc::clone(&self.observer);
        let shown = Arc::clone(node);
        let job = Job {
            node: Arc::clone(node),
            rows: self.engine.plan(node).await?,
            table,
            location,
            stores: self.engine.stores().clone(),
            run_id: self.run_id.clone(),
            gate,
            definition: definition(&self.dag, node).await?,
            full_refresh: node.config.full_refresh.unwrap_or(self.full_refresh),
            progress: Arc::new(move |rows| observer.progress(&shown, rows)),
        };
        let kind = match &node.kind {
            NodeKind::Seed(_) => Materialized::Seed,
            _ => node.config.materialized,
        };
        let built = match materialization(kind).build(&job).await {
            Err(error) if !is_conflict(&error) => {
                Err(or_changed(job.rows.logical_plan(), error).await)
            }
            built => built,
        }?;
        self.engine.refresh(node)?;
        let rejected = built.rows.filter(|n| *n > 0 && keeps_rejected(node));
        let rejected = rejected.map(|n| match n {
            1 => "1 row was rejected".to_owned(),
            n => format!("{n} rows were rejected"),
        });
        let said: Vec<String> = rejected.into_iter().chain(built.message).collect();
        Ok(Outcome {
            rows: built.rows,
            bytes: built.bytes,
            message: (!said.is_empty()).then(|| said.join("; ")),
            ..Outcome::new(Status::Success)
        })
    }
}

/// The pause before a build starts over; random, so that two runs do not meet again.
fn pause(again: u32) -> Duration {
    let pause = PAUSE * 2_u32.pow(again);
    let random = u32::try_from(Uuid::new_v4().as_u128() % 512).unwrap_or_default();
    pause + pause * random / 1024
}

/// The error of a build that other runs have overtaken each time.
fn overtaken(error: RunnerError, node: &Node) -> RunnerError {
    let message = format!(
        "`{}`: other runs committed first, {} times in a row; it is as they left it",
        node.name,
        STARTS_OVER + 1
    );
    let hint = "run it again when the other runs have ended";
    RunnerError::new(ErrorKind::Store, message)
        .with_source(error)
        .with_hint(hint)
}

/// `error` at the beginning of `node`, if it says of no other place.
fn placed(error: RunnerError, node: &Node) -> RunnerError {
    match (error.location(), error.kind(), node.start()) {
        (_, ErrorKind::Interrupted | ErrorKind::Internal, _) => error,
        (None, _, Some(start)) => error.with_location(start),
        _ => error,
    }
}

/// All that decides the rows of `node` beside the data: its SQL (that of a full refresh) and
/// that of the views it reads, or a seed's text and how it is read.
async fn definition(dag: &Dag, node: &Node) -> Result<String> {
    let compiled = &node.compiled;
    let sql = compiled.of_full_refresh.as_ref().unwrap_or(&compiled.sql);
    let mut parts = vec![sql.clone()];
    if let Some(checksum) = seed_checksum(node).await? {
        let config = &node.config;
        let read = format!("{:?} {:?}", config.column_types, config.delimiter);
        parts.extend([checksum, read]);
    }
    let mut open: Vec<_> = node.depends_on.iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        let Some(above) = dag.node(id).filter(|n| is_query(n) && seen.insert(&*n.id))
        else {
            continue;
        };
        open.extend(&above.depends_on);
    }
    let views = dag.nodes.iter().filter(|n| seen.contains(&*n.id));
    parts.extend(views.map(|view| view.compiled.sql.clone()));
    Ok(parts.join("\0"))
}

/// Whether readers of `node` run its SQL.
fn is_query(node: &Node) -> bool {
    let query = [Materialized::View, Materialized::Ephemeral];
    matches!(node.kind, NodeKind::Model) && query.contains(&node.config.materialized)
}

/// Whether the rows of a model are those another model could not take.
fn keeps_rejected(node: &Node) -> bool {
    let meta = node
        .config
        .raw
        .get("meta")
        .and_then(|m| m.get("rejected_rows"));
    match meta.and_then(Value::as_bool) {
        Some(says) => says,
        None => node.name.ends_with("__rejected"),
    }
}
