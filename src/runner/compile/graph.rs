//! Order of nodes, and cycles as a path.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::build::Draft;
use super::{Node, NodeId, NodeKind};
use crate::runner::error::{ErrorKind, Location, Result, RunnerError};
use crate::runner::template::location_at;

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

/// Sorts models, then what else there is.
pub(super) fn sorted_drafts(drafts: Vec<Draft>) -> Result<Vec<Draft>> {
    let reads = |model: bool| {
        let of_kind = drafts
            .iter()
            .filter(move |d| matches!(d.node.kind, NodeKind::Model) == model);
        of_kind
            .map(|d| (Arc::clone(&d.node.id), d.node.depends_on.clone()))
            .collect()
    };
    let name = |id: &NodeId| id.rsplit('.').next().unwrap_or_default().to_owned();
    let place = |from: &NodeId, to: &NodeId| {
        let draft = drafts.iter().find(|d| &d.node.id == from)?;
        place_of_name(&draft.node, &name(to))
    };
    let mut order = sorted(&reads(true), &name, &place)?;
    order.extend(sorted(&reads(false), &name, &place)?);
    let mut by_id: HashMap<NodeId, Draft> = drafts
        .into_iter()
        .map(|d| (Arc::clone(&d.node.id), d))
        .collect();
    Ok(order.iter().filter_map(|id| by_id.remove(id)).collect())
}

/// Where the file of `node` names `other` in quotes.
fn place_of_name(node: &Node, other: &str) -> Option<Location> {
    let file = node.file.as_ref()?;
    let quoted = |q: char| file.text.find(&format!("{q}{other}{q}"));
    let start = quoted('\'').or_else(|| quoted('"'))? + 1;
    let end = start + other.len();
    Some(location_at(&file.path, &file.text, start, end))
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
