//! What a word of the selection asks of a node.

use super::{Pattern, usage};
use crate::runner::compile::{Materialized, Node, NodeKind};
use crate::runner::error::Result;

/// Whether the node is a test of any kind.
pub(super) fn is_test(node: &Node) -> bool {
    matches!(
        node.kind,
        NodeKind::DataTest { .. } | NodeKind::SingularTest | NodeKind::UnitTest { .. }
    )
}

pub(super) fn named(node: &Node, value: &str, pattern: &Pattern) -> bool {
    if matches!(node.kind, NodeKind::Source(_)) {
        return false;
    }
    if pattern.matches(&node.name) || pattern.matches(&node.fqn.join(".")) {
        return true;
    }
    let parts: Vec<&str> = value.split('.').collect();
    let prefix = |fqn: &[String]| {
        fqn.len() >= parts.len()
            && parts.iter().zip(fqn).all(|(part, name)| {
                part == name || Pattern::new(part).is_ok_and(|p| p.matches(name))
            })
    };
    prefix(&node.fqn) || prefix(node.fqn.get(1..).unwrap_or_default())
}

pub(super) fn in_path(node: &Node, value: &str, pattern: &Pattern) -> bool {
    let Some(path) = path_of(node) else {
        return false;
    };
    let folder = value.trim_start_matches("./").trim_end_matches('/');
    path == folder
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
        || pattern.matches(&path)
}

pub(super) fn in_file(node: &Node, pattern: &Pattern) -> bool {
    let Some(path) = path_of(node) else {
        return false;
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    pattern.matches(name) || pattern.matches(stem)
}

pub(super) fn path_of(node: &Node) -> Option<String> {
    let path = match (&node.kind, &node.file) {
        (NodeKind::Seed(seed), _) => &seed.path,
        (_, Some(file)) => &file.path,
        _ => return None,
    };
    Some(path.to_string_lossy().replace('\\', "/"))
}

/// Whether a node is what a word of the selection names.
type NodeTest<'a> = Box<dyn Fn(&Node) -> bool + 'a>;

pub(super) fn source_test(value: &str) -> Result<NodeTest<'_>> {
    let parts: Vec<Pattern> =
        value.split('.').map(Pattern::new).collect::<Result<_>>()?;
    if parts.len() > 3 {
        return Err(usage(format!(
            "`source:{value}` has more than project, source, table"
        )));
    }
    Ok(Box::new(move |node| {
        let NodeKind::Source(source) = &node.kind else {
            return false;
        };
        let (own, table) = (&source.table.source_name, &source.table.name);
        let project = node.fqn.first().map_or("", String::as_str);
        let names: &[&str] = match parts.len() {
            3 => &[project, own, table],
            _ => &[own, table],
        };
        parts
            .iter()
            .zip(names)
            .all(|(part, name)| part.matches(name))
    }))
}

pub(super) fn materialization(materialized: Materialized) -> &'static str {
    match materialized {
        Materialized::View => "view",
        Materialized::Ephemeral => "ephemeral",
        Materialized::Table => "table",
        Materialized::Incremental => "incremental",
        Materialized::External => "external",
        Materialized::Seed => "seed",
    }
}

pub(super) fn resource_type(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Model => "model",
        NodeKind::Seed(_) => "seed",
        NodeKind::Source(_) => "source",
        NodeKind::DataTest { .. } | NodeKind::SingularTest => "test",
        NodeKind::UnitTest { .. } => "unit_test",
    }
}

pub(super) fn has_test_type(node: &Node, value: &str) -> bool {
    match node.kind {
        NodeKind::DataTest { .. } => matches!(value, "generic" | "data"),
        NodeKind::SingularTest => matches!(value, "singular" | "data"),
        NodeKind::UnitTest { .. } => value == "unit",
        _ => false,
    }
}
