//! What a plan reads, and whether that has changed since a commit.
//!
//! Every commit keeps, in the same log entry as the rows, which files of which lakes and
//! which versions of which tables led to them. The next run compares: no timestamp of an
//! event, no clock and no trailing window decides what is new.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::common::tree_node::{
    Transformed, TransformedResult, TreeNode, TreeNodeRecursion,
};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, TableScan, Volatility,
};
use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::catalog::{FileTable, Origin};
use crate::functions::traffic_source_rules_of;
use crate::table::TableVersion;

/// The keys of a commit's metadata.
pub(super) const INPUTS: &str = "inputs";
pub(super) const FINGERPRINT: &str = "fingerprint";
/// A hash of what a full refresh would have run.
pub(super) const DEFINITION: &str = "definition";
/// The rules of `traffic_source`, where the plan calls it.
pub(super) const TRAFFIC_RULES: &str = "traffic_source_rules";
/// Only in increments, which say neither what they read nor that the table is what its
/// definition gives: the strategy, and the version that was built in full.
pub(super) const STRATEGY: &str = "strategy";
pub(super) const BUILT: &str = "built_in_full";

/// A file of a lake, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileState {
    size: u64,
    modified: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e_tag: Option<String>,
}

impl FileState {
    fn of(meta: &ObjectMeta) -> Self {
        Self {
            size: meta.size,
            modified: meta.last_modified.timestamp_micros(),
            e_tag: meta.e_tag.clone(),
        }
    }
}

/// What was read at one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Input {
    /// The files of a lake, and the types of its columns.
    Lake {
        files: BTreeMap<String, FileState>,
        columns: BTreeMap<String, String>,
    },
    /// A version of a committed table.
    Version(u64),
}

/// All that a plan reads, by location.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Inputs(pub(super) BTreeMap<String, Input>);

impl Inputs {
    /// As a commit keeps them; nothing if they do not fit JSON.
    pub(super) fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// What a commit kept.
    pub(super) fn of_metadata(metadata: &BTreeMap<String, String>) -> Option<Self> {
        serde_json::from_str(metadata.get(INPUTS)?).ok()
    }
}

/// One place where a plan reads files.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) location: String,
    pub(super) table: FileTable,
    pub(super) scan: TableScan,
}

impl Leaf {
    /// The leaf of a scan; `None` if it reads something else than files.
    pub(super) fn of(scan: &TableScan) -> Option<Self> {
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider.downcast_ref::<FileTable>()?.clone();
        let location = match table.origin() {
            Origin::Lake(url) | Origin::Version(url, _) => url.to_string(),
        };
        Some(Self {
            location,
            table,
            scan: scan.clone(),
        })
    }

    fn input(&self) -> Input {
        match self.table.origin() {
            Origin::Version(_, version) => Input::Version(*version),
            Origin::Lake(_) => {
                let schema = &self.scan.source.schema();
                let columns = schema
                    .fields()
                    .iter()
                    .map(|f| (f.name().clone(), f.data_type().to_string()));
                let files = self.table.files();
                Input::Lake {
                    files: files
                        .map(|f| (f.location.to_string(), FileState::of(f)))
                        .collect(),
                    columns: columns.collect(),
                }
            }
        }
    }
}

/// What a plan reads, wherever it reads it: subqueries too.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    pub(super) leaves: Vec<Leaf>,
    /// Why another run over the same inputs may give other rows.
    pub(super) unsteady: Option<String>,
    /// The fingerprint of the rules of `traffic_source`, if the plan calls it.
    pub(super) traffic_rules: Option<String>,
}

impl Reading {
    /// What `plan`, not yet optimized, reads.
    pub(super) fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut leaves = Vec::new();
        let mut unsteady = None;
        let mut traffic_rules = None;
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                match Leaf::of(scan) {
                    Some(leaf) => leaves.push(leaf),
                    None => {
                        let name = scan.table_name.table();
                        unsteady = Some(format!("it reads `{name}`, which is no file"));
                    }
                }
            }
            node.apply_expressions(|expr| {
                if let Some(name) = changing_function(expr)? {
                    unsteady = Some(format!("it calls `{name}()`"));
                }
                if traffic_rules.is_none() {
                    traffic_rules = traffic_rules_in(expr)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(Self {
            leaves,
            unsteady,
            traffic_rules,
        })
    }

    /// A file that was read and is no longer as it was.
    pub(super) async fn changed_file(&self) -> Result<Option<String>> {
        let locations = self.leaves.iter().map(|leaf| (&leaf.location, leaf));
        // a location that is read twice is looked at once
        for leaf in locations.collect::<BTreeMap<_, _>>().values() {
            if let Some(file) = leaf.table.changed_file().await? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Whether `base` was built with the same rules of `traffic_source`.
    pub(super) fn same_traffic_rules(&self, base: &TableVersion) -> bool {
        base.metadata.get(TRAFFIC_RULES) == self.traffic_rules.as_ref()
    }

    /// What to keep of it in a commit; `None` if nothing can be said.
    pub(super) fn inputs(&self) -> Option<Inputs> {
        if self.unsteady.is_some() {
            return None;
        }
        let leaves = self.leaves.iter();
        Some(Inputs(
            leaves.map(|l| (l.location.clone(), l.input())).collect(),
        ))
    }
}

/// The fingerprint of the rules with which `expr` calls `traffic_source`.
fn traffic_rules_in(expr: &Expr) -> Result<Option<String>> {
    let mut found = None;
    expr.apply(|e| {
        if let Expr::ScalarFunction(call) = e
            && let Some(rules) = traffic_source_rules_of(&call.func)
        {
            found = Some(rules);
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The first function in `expr` whose result is not decided by its arguments.
fn changing_function(expr: &Expr) -> Result<Option<String>> {
    let mut found = None;
    expr.apply(|e| {
        if let Expr::ScalarFunction(call) = e
            && call.func.signature().volatility != Volatility::Immutable
        {
            found = Some(call.func.name().to_owned());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// How the files at a location differ from those of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Difference {
    None,
    /// Files of a lake that were not there.
    NewFiles(Vec<String>),
    /// A committed table has moved on from this version.
    NewVersion(u64),
    /// What was read can no longer be told apart from the rest, and why.
    Unknown(String),
}

/// How `now` differs from `before`.
pub(super) fn difference(before: Option<&Input>, now: &Input) -> Difference {
    match (before, now) {
        (Some(before), now) if before == now => Difference::None,
        (Some(Input::Version(before)), Input::Version(_)) => {
            Difference::NewVersion(*before)
        }
        (
            Some(Input::Lake { files, columns }),
            Input::Lake {
                files: files_now,
                columns: columns_now,
            },
        ) => lake_difference((files, columns), (files_now, columns_now)),
        _ => Difference::Unknown("it did not read this before".to_owned()),
    }
}

type LakeState<'a> = (
    &'a BTreeMap<String, FileState>,
    &'a BTreeMap<String, String>,
);

fn lake_difference(before: LakeState<'_>, now: LakeState<'_>) -> Difference {
    for (name, data_type) in before.1 {
        if now.1.get(name).is_some_and(|now| now != data_type) {
            let reason = format!("the type of the column `{name}` is another");
            return Difference::Unknown(reason);
        }
    }
    for (path, state) in before.0 {
        match now.0.get(path) {
            Some(now) if now == state => {}
            Some(_) => return Difference::Unknown(format!("`{path}` has changed")),
            None => return Difference::Unknown(format!("`{path}` is gone")),
        }
    }
    let new = now.0.keys().filter(|path| !before.0.contains_key(*path));
    let new: Vec<_> = new.cloned().collect();
    if new.is_empty() {
        return Difference::None;
    }
    Difference::NewFiles(new)
}

/// Whether `plan` reads that location in one place alone, subqueries among them.
pub(super) fn is_read_once(plan: &LogicalPlan, location: &str) -> Result<bool> {
    let mut reads = 0;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            reads += usize::from(Leaf::of(scan).is_some_and(|l| l.location == location));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(reads == 1)
}

/// `plan` with something else where it scans `location`.
pub(super) fn replace_scans(
    plan: &LogicalPlan,
    location: &str,
    with: impl Fn(&TableScan) -> Result<LogicalPlan>,
) -> Result<LogicalPlan> {
    let replaced = plan.clone().transform_up(|node| match &node {
        LogicalPlan::TableScan(scan)
            if Leaf::of(scan).is_some_and(|leaf| leaf.location == location) =>
        {
            Ok(Transformed::yes(with(scan)?))
        }
        _ => Ok(Transformed::no(node)),
    });
    replaced.data()
}

/// `scan` reading `table` instead.
pub(super) fn rescan(
    scan: &TableScan,
    table: Arc<dyn TableProvider>,
) -> Result<LogicalPlan> {
    LogicalPlanBuilder::scan(scan.table_name.clone(), provider_as_source(table), None)?
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lake(files: &[(&str, u64)], data_type: &str) -> Input {
        let state = |size| FileState {
            size,
            modified: 0,
            e_tag: None,
        };
        Input::Lake {
            files: files
                .iter()
                .map(|(p, size)| ((*p).to_owned(), state(*size)))
                .collect(),
            columns: BTreeMap::from([("c".to_owned(), data_type.to_owned())]),
        }
    }

    #[test]
    fn only_new_files_can_be_told_apart() {
        let before = lake(&[("a", 1), ("b", 2)], "Utf8");
        let of = |now: &Input| difference(Some(&before), now);
        assert_eq!(of(&before), Difference::None);
        let more = lake(&[("a", 1), ("b", 2), ("c", 3)], "Utf8");
        assert_eq!(of(&more), Difference::NewFiles(vec!["c".to_owned()]));
        for other in [
            lake(&[("a", 1), ("b", 3)], "Utf8"),
            lake(&[("a", 1)], "Utf8"),
            lake(&[("a", 1), ("b", 2), ("c", 3)], "Int64"),
            Input::Version(3),
        ] {
            assert!(matches!(of(&other), Difference::Unknown(_)), "{other:?}");
        }
        assert!(matches!(difference(None, &before), Difference::Unknown(_)));
    }

    #[test]
    fn what_a_commit_keeps_reads_back() {
        let inputs = Inputs(BTreeMap::from([
            ("file:///lake".to_owned(), lake(&[("a", 1)], "Utf8")),
            ("file:///out/t".to_owned(), Input::Version(7)),
        ]));
        let text = inputs.to_text().unwrap();
        let metadata = BTreeMap::from([(INPUTS.to_owned(), text)]);
        assert_eq!(Inputs::of_metadata(&metadata), Some(inputs));
    }
}
