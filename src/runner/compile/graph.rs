//! Order of nodes, and cycles as a path.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NodeId;
use crate::runner::error::{ErrorKind, Location, Result, RunnerError};

/// Where one node names another.
pub(super) type Place<'a> = &'a dyn Fn(&NodeId, &NodeId) -> Option<Location>;

/// Sorts nodes so that each comes after those it reads; among free ones by id. Reads of
/// nodes that are not in `reads` are ignored. `name` shows an id to the user; `place` is
/// where the first node names the second.
pub(super) fn sorted(
    reads: &BTreeMap<NodeId, Vec<NodeId>>,
    name: &dyn Fn(&NodeId) -> String,
    place: Place<'_>,
) -> Result<Vec<NodeId>> {
    let mut order = Vec::with_capacity(reads.len());
    let mut state: BTreeMap<&NodeId, bool> = BTreeMap::new();
    for start in reads.keys() {
        // (node, how many of its reads are done)
        let mut path: Vec<(&NodeId, usize)> = vec![(start, 0)];
        if state.contains_key(start) {
            continue;
        }
        state.insert(start, false);
        while let Some((node, next)) = path.pop() {
            let read = reads.get(node).and_then(|list| list.get(next));
            let Some(read) = read else {
                state.insert(node, true);
                order.push(Arc::clone(node));
                continue;
            };
            path.push((node, next + 1));
            let Some((read, _)) = reads.get_key_value(read) else {
                continue;
            };
            match state.get(read) {
                Some(true) => {}
                Some(false) => return Err(cycle(&path, read, name, place)),
                None => {
                    state.insert(read, false);
                    path.push((read, 0));
                }
            }
        }
    }
    Ok(order)
}

fn cycle(
    path: &[(&NodeId, usize)],
    back_to: &NodeId,
    name: &dyn Fn(&NodeId) -> String,
    place: Place<'_>,
) -> RunnerError {
    let from = path.iter().position(|(id, _)| *id == back_to).unwrap_or(0);
    let mut names: Vec<String> = path[from..].iter().map(|(id, _)| name(id)).collect();
    names.push(name(back_to));
    let message = format!("the models form a cycle: `{}`", names.join(" -> "));
    let error = RunnerError::new(ErrorKind::Graph, message)
        .with_hint("an arrow points from a model to one it reads");
    let next = path.get(from + 1).map_or(back_to, |(id, _)| *id);
    match place(back_to, next) {
        Some(place) => error.with_location(place),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<NodeId, Vec<NodeId>> {
        let ids = |list: &[&str]| list.iter().map(|n| NodeId::from(*n)).collect();
        edges
            .iter()
            .map(|(n, reads)| (NodeId::from(*n), ids(reads)))
            .collect()
    }

    #[test]
    fn readers_come_later_and_a_cycle_is_a_path() {
        let name = |id: &NodeId| id.to_string();
        let reads = graph(&[("a", &["c", "x"]), ("b", &[]), ("c", &["b"])]);
        let order = sorted(&reads, &name, &|_, _| None).unwrap();
        assert_eq!(
            order.iter().map(|i| &**i).collect::<Vec<_>>(),
            ["b", "c", "a"]
        );
        let reads = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        let error = sorted(&reads, &name, &|_, _| None).unwrap_err();
        assert_eq!(error.message(), "the models form a cycle: `b -> c -> b`");
    }
}
