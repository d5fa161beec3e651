//! dbt's selection grammar.

mod criteria;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use globset::{Glob, GlobMatcher};

use super::{Dag, Node, NodeKind, Selection};
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};
use criteria::{
    has_test_type, in_file, in_path, is_test, materialization, named, path_of,
    resource_type, source_test,
};

const METHODS: &[&str] = &[
    "config.materialized",
    "file",
    "fqn",
    "path",
    "resource_type",
    "source",
    "tag",
    "test_name",
    "test_type",
    "unit_test",
];

fn usage(message: impl Into<String>) -> RunnerError {
    RunnerError::new(ErrorKind::Usage, message)
}

/// `[@][n+]method:value[+n]`.
#[derive(Debug, PartialEq, Eq)]
struct Word<'a> {
    around: bool,
    parents: Option<usize>,
    children: Option<usize>,
    method: Option<&'a str>,
    value: &'a str,
}

fn parse(word: &str) -> Result<Word<'_>> {
    let mut rest = word;
    let around = rest.starts_with('@');
    rest = rest.trim_start_matches('@');
    let mut parents = None;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if rest[digits..].starts_with('+') {
        parents = Some(rest[..digits].parse().unwrap_or(usize::MAX));
        rest = &rest[digits + 1..];
    }
    let mut children = None;
    if let Some((before, depth)) = rest.rsplit_once('+')
        && depth.chars().all(|c| c.is_ascii_digit())
    {
        children = Some(depth.parse().unwrap_or(usize::MAX));
        rest = before;
    }
    if rest.is_empty() {
        return Err(usage(format!(
            "`{word}` selects nothing: a name is missing"
        )));
    }
    if around && children.is_some() {
        return Err(usage(format!(
            "`{word}`: `@` and a `+` behind cannot be combined"
        )));
    }
    let (method, value) = match rest.split_once(':') {
        Some((method, value)) => (Some(method), value),
        None => (None, rest),
    };
    Ok(Word {
        around,
        parents,
        children,
        method,
        value,
    })
}

/// A value with `*`, `?`, `[…]`.
struct Pattern(GlobMatcher);

impl Pattern {
    fn new(text: &str) -> Result<Self> {
        Glob::new(text)
            .map(|glob| Self(glob.compile_matcher()))
            .map_err(|e| usage(format!("`{text}` is no pattern: {e}")))
    }

    fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

struct Graph<'a> {
    nodes: &'a [Arc<Node>],
    parents: Vec<Vec<usize>>,
    children: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    fn new(nodes: &'a [Arc<Node>]) -> Self {
        let index: HashMap<&str, usize> =
            nodes.iter().enumerate().map(|(i, n)| (&*n.id, i)).collect();
        let mut parents = vec![Vec::new(); nodes.len()];
        let mut children = vec![Vec::new(); nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            for read in node.depends_on.iter().filter_map(|id| index.get(&**id)) {
                parents[at].push(*read);
                children[*read].push(at);
            }
        }
        Self {
            nodes,
            parents,
            children,
        }
    }

    fn reach(
        &self,
        from: &BTreeSet<usize>,
        depth: usize,
        next: &[Vec<usize>],
    ) -> BTreeSet<usize> {
        let mut found = from.clone();
        let mut edge: Vec<usize> = from.iter().copied().collect();
        for _ in 0..depth {
            edge = edge
                .iter()
                .flat_map(|node| &next[*node])
                .copied()
                .filter(|node| found.insert(*node))
                .collect();
            if edge.is_empty() {
                break;
            }
        }
        found
    }

    /// What one word names, with its graph operators.
    fn word(&self, text: &str) -> Result<BTreeSet<usize>> {
        let word = parse(text)?;
        let base = self.base(&word)?;
        if base.is_empty() {
            return Err(self.nothing(text, &word));
        }
        let mut found = base.clone();
        if word.around {
            let children = self.reach(&base, usize::MAX, &self.children);
            found.extend(self.reach(&children, usize::MAX, &self.parents));
        }
        if let Some(depth) = word.parents {
            found.extend(self.reach(&base, depth, &self.parents));
        }
        if let Some(depth) = word.children {
            found.extend(self.reach(&base, depth, &self.children));
        }
        Ok(found)
    }

    fn base(&self, word: &Word<'_>) -> Result<BTreeSet<usize>> {
        let value = word.value;
        let pattern = Pattern::new(value)?;
        let test: Box<dyn Fn(&Node) -> bool + '_> = match word.method {
            None if value.contains('/') || value.ends_with(".sql") => {
                Box::new(|node| in_path(node, value, &pattern))
            }
            None => Box::new(|node| named(node, value, &pattern)),
            Some("fqn") => Box::new(|node| named(node, value, &pattern)),
            Some("tag") => {
                Box::new(|node| node.config.tags.iter().any(|t| pattern.matches(t)))
            }
            Some("path") => Box::new(|node| in_path(node, value, &pattern)),
            Some("file") => Box::new(|node| in_file(node, &pattern)),
            Some("source") => source_test(value)?,
            Some("config.materialized") => Box::new(|node| {
                let is_model = matches!(node.kind, NodeKind::Model | NodeKind::Seed(_));
                is_model && pattern.matches(materialization(node.config.materialized))
            }),
            Some("resource_type") => Box::new(|node| resource_type(node) == value),
            Some("test_type") => Box::new(|node| has_test_type(node, value)),
            Some("test_name") => Box::new(|node| match &node.kind {
                NodeKind::DataTest { test, .. } => pattern.matches(&test.test),
                _ => false,
            }),
            Some("unit_test") => Box::new(|node| {
                matches!(node.kind, NodeKind::UnitTest { .. })
                    && pattern.matches(&node.name)
            }),
            Some(method) => {
                let error =
                    usage(format!("selection method `{method}:` is not supported"));
                let hint = did_you_mean(method, METHODS.iter().copied())
                    .unwrap_or_else(|| format!("supported: `{}`", METHODS.join("`, `")));
                return Err(error.with_hint(hint));
            }
        };
        let found = self.nodes.iter().enumerate().filter(|(_, node)| test(node));
        Ok(found.map(|(at, _)| at).collect())
    }

    fn nothing(&self, text: &str, word: &Word<'_>) -> RunnerError {
        let error = usage(format!("`{text}` selects nothing"));
        let mut names: Vec<String> = match word.method {
            Some("tag") => self
                .nodes
                .iter()
                .flat_map(|n| n.config.tags.clone())
                .collect(),
            Some("source") => self
                .nodes
                .iter()
                .filter(|n| matches!(n.kind, NodeKind::Source(_)))
                .flat_map(|n| [n.fqn[n.fqn.len().saturating_sub(2)..].join(".")])
                .collect(),
            Some("path") => self.nodes.iter().filter_map(|n| path_of(n)).collect(),
            _ => self
                .nodes
                .iter()
                .filter(|n| !matches!(n.kind, NodeKind::Source(_)))
                .flat_map(|n| n.fqn.iter().skip(1).cloned().chain([n.name.clone()]))
                .collect(),
        };
        names.sort();
        names.dedup();
        let source = |n: &&Arc<Node>| matches!(n.kind, NodeKind::Source(_));
        let mut sources = self.nodes.iter().filter(source);
        let same = sources.find(|n| word.method.is_none() && n.name == word.value);
        if let Some(source) = same {
            let name = source.fqn[source.fqn.len().saturating_sub(2)..].join(".");
            return error.with_hint(format!("did you mean `source:{name}`?"));
        }
        match did_you_mean(word.value, names.iter().map(String::as_str)) {
            Some(hint) => error.with_hint(hint),
            None if word.method == Some("tag") && !names.is_empty() => {
                error.with_hint(format!("tags there: `{}`", names.join("`, `")))
            }
            None => error.with_hint("`sessionize ls` shows what there is"),
        }
    }

    /// A union of words; each word is an intersection of parts.
    fn words(&self, words: &[String]) -> Result<BTreeSet<usize>> {
        let mut union = BTreeSet::new();
        for word in words.iter().flat_map(|w| w.split_whitespace()) {
            let mut parts = word.split(',').map(|part| self.word(part));
            let mut both = parts.next().transpose()?.unwrap_or_default();
            for part in parts {
                both = both.intersection(&part?).copied().collect();
            }
            union.extend(both);
        }
        Ok(union)
    }

    /// Adds the tests of the nodes.
    fn with_tests(&self, mut nodes: BTreeSet<usize>) -> BTreeSet<usize> {
        let tests: Vec<usize> = nodes
            .iter()
            .flat_map(|at| &self.children[*at])
            .copied()
            .filter(|at| is_test(&self.nodes[*at]))
            .collect();
        nodes.extend(tests);
        nodes
    }
}

/// The nodes of a selection, in the order of the graph.
pub(super) fn select(dag: &Dag, selection: &Selection) -> Result<Vec<Arc<Node>>> {
    let graph = Graph::new(&dag.nodes);
    let chosen = if selection.select.is_empty() {
        (0..dag.nodes.len()).collect()
    } else {
        graph.with_tests(graph.words(&selection.select)?)
    };
    let left_out = graph.with_tests(graph.words(&selection.exclude)?);
    let nodes: Vec<Arc<Node>> = chosen
        .difference(&left_out)
        .map(|at| Arc::clone(&dag.nodes[*at]))
        .collect();
    if nodes.is_empty() {
        let error = usage("the selection is empty");
        return Err(error.with_hint("`ls` shows what there is"));
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_read_from_both_ends() {
        let word = parse("2+tag:a+3").unwrap();
        assert_eq!((word.parents, word.children), (Some(2), Some(3)));
        assert_eq!((word.method, word.value), (Some("tag"), "a"));
        let word = parse("@m").unwrap();
        assert!(word.around && word.parents.is_none());
        let word = parse("+m+").unwrap();
        assert_eq!(
            (word.parents, word.children),
            (Some(usize::MAX), Some(usize::MAX))
        );
        assert_eq!(parse("2m").unwrap().value, "2m");
        assert!(parse("+").is_err() && parse("@m+").is_err());
    }
}
