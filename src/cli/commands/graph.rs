//! A graph as text.
//!
//! ```text
//! source:raw.pages
//! └── page_views
//!     ├── sessions
//!     └── visitors
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion_sessionize::runner::compile::{Node, NodeKind};

/// A tree from the nodes that read nothing on; a node that several nodes lead to is
/// expanded once and marked `(*)` elsewhere.
pub(crate) fn text(nodes: &[Arc<Node>]) -> String {
    let labels = labels(nodes);
    tree(&labels, &edges(nodes))
}

/// A Mermaid flow chart.
pub(crate) fn mermaid(nodes: &[Arc<Node>]) -> String {
    flow_chart(&labels(nodes), &edges(nodes))
}

fn labels(nodes: &[Arc<Node>]) -> Vec<String> {
    nodes.iter().map(|n| label(n)).collect()
}

fn label(node: &Node) -> String {
    match (&node.kind, &node.relation) {
        (NodeKind::Source(_), Some(r)) => format!("source:{}.{}", r.schema, node.name),
        (NodeKind::Seed(_), _) => format!("seed:{}", node.name),
        _ => node.name.clone(),
    }
}

/// `(from, to)` as positions in `nodes`: `to` reads `from`.
fn edges(nodes: &[Arc<Node>]) -> Vec<(usize, usize)> {
    let places: HashMap<&str, usize> =
        nodes.iter().enumerate().map(|(i, n)| (&*n.id, i)).collect();
    let mut edges = Vec::new();
    for (to, node) in nodes.iter().enumerate() {
        for id in &node.depends_on {
            edges.extend(places.get(&**id).map(|from| (*from, to)));
        }
    }
    edges
}

fn tree(labels: &[String], edges: &[(usize, usize)]) -> String {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); labels.len()];
    let mut read: HashSet<usize> = HashSet::new();
    for (from, to) in edges {
        children[*from].push(*to);
        read.insert(*to);
    }
    let mut lines = Vec::new();
    let mut seen = HashSet::new();
    // (node, what stands before its label, what stands before its children's)
    let mut open: Vec<(usize, String, String)> = (0..labels.len())
        .rev()
        .filter(|n| !read.contains(n))
        .map(|n| (n, String::new(), String::new()))
        .collect();
    while let Some((node, branch, indent)) = open.pop() {
        let again = !seen.insert(node) && !children[node].is_empty();
        let mark = if again { " (*)" } else { "" };
        lines.push(format!("{branch}{}{mark}", labels[node]));
        if again {
            continue;
        }
        for (i, child) in children[node].iter().enumerate().rev() {
            let last = i + 1 == children[node].len();
            let (corner, bar) = if last {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            open.push((
                *child,
                format!("{indent}{corner}"),
                format!("{indent}{bar}"),
            ));
        }
    }
    lines.join("\n")
}

fn flow_chart(labels: &[String], edges: &[(usize, usize)]) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    for (i, label) in labels.iter().enumerate() {
        lines.push(format!("  n{i}[\"{}\"]", label.replace('"', "#quot;")));
    }
    lines.extend(
        edges
            .iter()
            .map(|(from, to)| format!("  n{from} --> n{to}")),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<String> {
        ["pages", "views", "sessions", "visitors", "alone"]
            .map(str::to_owned)
            .into()
    }

    const EDGES: [(usize, usize); 4] = [(0, 1), (1, 2), (1, 3), (3, 2)];

    #[test]
    fn a_diamond_is_drawn_once() {
        let mut edges = EDGES.to_vec();
        edges.push((2, 4));
        insta::assert_snapshot!(tree(&labels(), &edges), @r#"
    pages
    └── views
        ├── sessions
        │   └── alone
        └── visitors
            └── sessions (*)
    "#);
    }

    #[test]
    fn mermaid_names_every_node_and_edge() {
        insta::assert_snapshot!(flow_chart(&labels(), &EDGES), @r#"
    flowchart LR
      n0["pages"]
      n1["views"]
      n2["sessions"]
      n3["visitors"]
      n4["alone"]
      n0 --> n1
      n1 --> n2
      n1 --> n3
      n3 --> n2
    "#);
    }
}
