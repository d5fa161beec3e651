//! Dag + Selection -> [`Schedule`]: what to do, in which order.

use std::sync::Arc;

use crate::runner::compile::{Dag, Node, NodeId, Selection};
use crate::runner::error::{ErrorKind, Result, RunnerError};

/// What a command does to the selected nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Seeds, models, unit tests and data tests, each test right after what it tests; a failed
    /// test skips what reads the tested node.
    Build,
    /// Models only.
    Run,
    /// Data tests, singular tests and unit tests only.
    Test,
    /// Seeds only.
    Seed,
}

/// One node to be executed.
#[derive(Debug, Clone)]
pub struct Task {
    /// The node.
    pub node: Arc<Node>,
    /// The scheduled nodes that must have ended well before.
    pub after: Vec<NodeId>,
}

/// What will be executed.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The graph.
    pub dag: Arc<Dag>,
    /// The command.
    pub command: Command,
    /// Tasks in an order in which every task comes after those it waits for.
    pub tasks: Vec<Task>,
}

/// Chooses the nodes of `command` among those `selection` names.
pub fn schedule(dag: Arc<Dag>, command: Command, selection: &Selection) -> Result<Schedule> {
    let _ = (dag, command, selection);
    Err(RunnerError::new(ErrorKind::Internal, "not built yet"))
}
