//! The graph as text and as a Mermaid diagram.

use std::sync::Arc;

use crate::runner::compile::{Dag, Node, NodeKind};

/// One line a node, after those it reads, indented by its depth, with what it reads.
pub fn graph_text(dag: &Dag, nodes: &[Arc<Node>]) -> String {
    let shown = resources(dag, nodes);
    let mut depths: Vec<usize> = Vec::new();
    let mut text = String::new();
    for node in &shown {
        let parents = parents(node, &shown);
        let depth = parents
            .iter()
            .filter_map(|p| shown.iter().position(|n| n.id == p.id))
            .filter_map(|p| depths.get(p))
            .max()
            .map_or(0, |d| d + 1);
        depths.push(depth);
        let names: Vec<String> = parents.iter().map(|p| label(p)).collect();
        text.push_str(&"  ".repeat(depth));
        text.push_str(&label(node));
        if !names.is_empty() {
            text.push_str(&format!(" <- {}", names.join(", ")));
        }
        text.push('\n');
    }
    text
}

/// A Mermaid flowchart.
pub fn graph_mermaid(dag: &Dag, nodes: &[Arc<Node>]) -> String {
    let shown = resources(dag, nodes);
    let mut text = "flowchart LR\n".to_owned();
    let index = |id: &str| shown.iter().position(|n| &*n.id == id).unwrap_or_default();
    for (place, node) in shown.iter().enumerate() {
        let label = label(node).replace('"', "#quot;");
        let (open, close) = match node.kind {
            NodeKind::Source(_) | NodeKind::Seed(_) => ("[(", ")]"),
            _ => ("[", "]"),
        };
        text.push_str(&format!("    n{place}{open}\"{label}\"{close}\n"));
    }
    for (place, node) in shown.iter().enumerate() {
        for parent in parents(node, &shown) {
            text.push_str(&format!("    n{} --> n{place}\n", index(&parent.id)));
        }
    }
    text
}

/// What can be read, in the graph's order: tests are left out.
fn resources<'a>(dag: &'a Dag, nodes: &[Arc<Node>]) -> Vec<&'a Arc<Node>> {
    let drawn = |n: &&Arc<Node>| {
        let readable = matches!(
            n.kind,
            NodeKind::Model | NodeKind::Seed(_) | NodeKind::Source(_)
        );
        readable && nodes.iter().any(|m| m.id == n.id)
    };
    dag.nodes.iter().filter(drawn).collect()
}

fn parents<'a>(node: &Node, shown: &[&'a Arc<Node>]) -> Vec<&'a Arc<Node>> {
    let reads = |n: &&&Arc<Node>| node.depends_on.contains(&n.id);
    shown.iter().filter(reads).copied().collect()
}

fn label(node: &Node) -> String {
    match &node.kind {
        NodeKind::Source(s) => format!("source:{}.{}", s.table.source_name, s.table.name),
        NodeKind::Seed(_) => format!("{} (seed)", node.name),
        _ => node.name.clone(),
    }
}
