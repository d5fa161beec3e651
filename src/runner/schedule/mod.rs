//! Dag + Selection -> [`Schedule`]: what to do, in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::runner::compile::{Dag, Materialized, Node, NodeId, NodeKind, Selection};
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

/// Chooses the nodes of `command` among those `selection` names. Sources, ephemeral and
/// disabled nodes are no tasks; what reads an ephemeral model waits for what that reads.
pub fn schedule(
    dag: Arc<Dag>,
    command: Command,
    selection: &Selection,
) -> Result<Schedule> {
    let chosen: Vec<Arc<Node>> = dag
        .select(selection)?
        .into_iter()
        .filter(|n| n.config.enabled && belongs(n, command))
        .collect();
    if chosen.is_empty() && !selection.select.is_empty() {
        let message = format!("`{}` selects nothing to do", selection.select.join(" "));
        let kinds = match command {
            Command::Build => "`build` is for seeds, models and tests",
            Command::Run => "`run` is for models",
            Command::Test => "`test` is for tests",
            Command::Seed => "`seed` is for seeds",
        };
        return Err(RunnerError::new(ErrorKind::Usage, message).with_hint(kinds));
    }
    let tasks = order(&dag, &chosen);
    Ok(Schedule {
        dag,
        command,
        tasks,
    })
}

fn belongs(node: &Node, command: Command) -> bool {
    let ephemeral = node.config.materialized == Materialized::Ephemeral;
    match (&node.kind, command) {
        (NodeKind::Source(_), _) => false,
        (NodeKind::Model, Command::Build | Command::Run) => !ephemeral,
        (NodeKind::Seed(_), Command::Build | Command::Seed) => true,
        (NodeKind::Model | NodeKind::Seed(_), _) => false,
        (_, Command::Build | Command::Test) => true,
        (_, Command::Run | Command::Seed) => false,
    }
}

/// What a test must wait for, and whether nodes must wait for it.
struct Test<'a> {
    node: &'a Arc<Node>,
    /// What it tests, sources too.
    reads: BTreeSet<&'a str>,
}

fn order(dag: &Dag, chosen: &[Arc<Node>]) -> Vec<Task> {
    let above = ancestors(dag);
    let (resources, tests): (Vec<_>, Vec<_>) = chosen
        .iter()
        .partition(|n| matches!(n.kind, NodeKind::Model | NodeKind::Seed(_)));
    let scheduled: BTreeSet<&str> = resources.iter().map(|n| &*n.id).collect();
    let (unit_tests, data_tests): (Vec<_>, Vec<_>) = tests
        .into_iter()
        .partition(|n| matches!(n.kind, NodeKind::UnitTest { .. }));
    let data_tests: Vec<Test<'_>> = data_tests.into_iter().map(Test::new).collect();
    let mut placed: Placed<'_> = Placed {
        tasks: Vec::new(),
        waiting: data_tests.iter().collect(),
        done: BTreeSet::new(),
        scheduled: &scheduled,
    };
    placed.ready_tests();
    for node in resources {
        let parents = above.get(&*node.id).cloned().unwrap_or_default();
        let mut after: Vec<NodeId> = ids(&parents, &scheduled);
        after.extend(
            data_tests
                .iter()
                .filter(|t| !t.reads.is_empty() && t.reads.is_subset(&parents))
                .map(|t| Arc::clone(&t.node.id)),
        );
        for test in unit_tests.iter().filter(|t| tested(t) == Some(&*node.id)) {
            placed.push(test, ids(&parents, &scheduled));
            after.push(Arc::clone(&test.id));
        }
        placed.push(node, after);
        placed.done.insert(&node.id);
        placed.ready_tests();
    }
    for test in unit_tests {
        if tested(test).is_none_or(|m| !scheduled.contains(m)) {
            placed.push(test, Vec::new());
        }
    }
    placed.tasks
}

/// The tasks so far and the data tests still to come.
struct Placed<'a> {
    tasks: Vec<Task>,
    waiting: Vec<&'a Test<'a>>,
    done: BTreeSet<&'a str>,
    scheduled: &'a BTreeSet<&'a str>,
}

impl<'a> Placed<'a> {
    fn push(&mut self, node: &Arc<Node>, after: Vec<NodeId>) {
        self.tasks.push(Task {
            node: Arc::clone(node),
            after,
        });
    }

    /// Places the tests whose scheduled nodes are all placed.
    fn ready_tests(&mut self) {
        let ready = |t: &&'a Test<'a>| {
            t.reads
                .iter()
                .all(|r| !self.scheduled.contains(r) || self.done.contains(r))
        };
        let (now, later): (Vec<_>, Vec<_>) =
            self.waiting.iter().copied().partition(ready);
        self.waiting = later;
        for test in now {
            self.push(test.node, ids(&test.reads, self.scheduled));
        }
    }
}

impl<'a> Test<'a> {
    fn new(node: &'a Arc<Node>) -> Self {
        let reads = node.depends_on.iter().map(|d| &**d).collect();
        Self { node, reads }
    }
}

fn tested(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::UnitTest { model, .. } => Some(model),
        _ => None,
    }
}

fn ids(found: &BTreeSet<&str>, scheduled: &BTreeSet<&str>) -> Vec<NodeId> {
    found
        .intersection(scheduled)
        .map(|id| NodeId::from(*id))
        .collect()
}

/// Every node that a node reads, directly or not.
fn ancestors(dag: &Dag) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut above: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in &dag.nodes {
        let mut found = BTreeSet::new();
        for parent in &node.depends_on {
            found.insert(&**parent);
            found.extend(above.get(&**parent).into_iter().flatten().copied());
        }
        above.insert(&node.id, found);
    }
    above
}

#[cfg(test)]
mod tests;
