//! The rows of the leaves that are new or gone since the last commit, and the keys they
//! belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ident, lit};
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use super::bits::Bits;
use super::key_set::KeySet;
use super::lineage::{Restricted, Rule};
use crate::catalog::{FileTable, Origin};
use crate::runner::materialization::reading::{Leaf, rescan};

/// +1 for a row that came, -1 for one that went.
pub(super) const CHANGE: &str = "__change";

/// The files in which a leaf differs from what was read last.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    pub(super) new: FileTable,
    /// Rows that were read and count no longer; a lake's are never known.
    pub(super) old: Vec<FileTable>,
    /// Whether rows went from files that stayed, and with no file: each step that took rows out
    /// and put others in has found that they differ.
    pub(super) no_file_was_copied: bool,
}

impl Changed {
    /// Whether they are new files of a lake, which a commit has to name whatever is in them.
    pub(super) fn is_of_lake(&self) -> bool {
        matches!(self.new.origin(), Origin::Lake(_))
    }

    /// Whether the rows need no comparison, for a model that uses these columns: those that
    /// came are not like those that went, or only as far as a row went and came again.
    pub(super) fn all_differ(
        &self,
        leaf: &Leaf,
        used: &BTreeMap<String, BTreeSet<String>>,
    ) -> bool {
        let used = used.get(&leaf.location);
        let schema = leaf.table.arrow_schema();
        let mut fields = schema.fields().iter();
        let mut all = || used.is_none_or(|u| fields.all(|f| u.contains(f.name())));
        self.old.is_empty() || self.no_file_was_copied && all()
    }
}

/// What is needed to find keys.
pub(super) struct Search<'a> {
    pub(super) state: &'a SessionState,
    pub(super) pool: &'a Arc<dyn MemoryPool>,
    /// By location; a location that is missing is as it was.
    pub(super) changed: &'a BTreeMap<String, Changed>,
    /// The columns that the model uses, by location.
    pub(super) used: &'a BTreeMap<String, BTreeSet<String>>,
}

/// Groups that hold a changed row, and the set that the rows of a stage are read by.
struct Stage {
    groups: Arc<KeySet>,
    touched: Arc<KeySet>,
}

impl Search<'_> {
    /// Puts every key that a changed row can reach into `keys`, and fills the groups of the
    /// stages on the way down to them.
    pub(super) async fn fill(
        &self,
        keys: &Arc<KeySet>,
        restricted: &[Restricted],
    ) -> Result<()> {
        let stages = self.changed_rows(keys, restricted).await?;
        for stage in &stages {
            for found in restricted {
                let Rule::Staged { key, group, groups } = &found.rule else {
                    continue;
                };
                if Arc::ptr_eq(groups, &stage.groups) {
                    let rows = self.whole(&found.leaf)?;
                    let rows = rows.filter(stage.touched.filled_predicate(group))?;
                    collect(named(rows, key)?, &[(keys, key.len())]).await?;
                }
            }
        }
        if keys.len() == 0 {
            return Ok(());
        }
        for found in restricted {
            if let Rule::Staged { key, group, groups } = &found.rule {
                let rows = self
                    .whole(&found.leaf)?
                    .filter(keys.filled_predicate(key))?;
                collect(named(rows, group)?, &[(groups, group.len())]).await?;
            }
        }
        Ok(())
    }

    /// The keys of the changed rows themselves, and the groups they touch.
    async fn changed_rows(
        &self,
        keys: &Arc<KeySet>,
        restricted: &[Restricted],
    ) -> Result<Vec<Stage>> {
        let mut stages: Vec<Stage> = Vec::new();
        for found in restricted {
            let Some(changed) = self.changed.get(&found.leaf.location) else {
                continue;
            };
            match &found.rule {
                Rule::Direct { key } => {
                    let rows = self.rows_of(&found.leaf, changed, key)?;
                    collect(rows, &[(keys, key.len())]).await?;
                }
                Rule::Staged { key, group, groups } => {
                    let known =
                        stages.iter().position(|s| Arc::ptr_eq(&s.groups, groups));
                    let at = known.unwrap_or(stages.len());
                    if known.is_none() {
                        stages.push(Stage {
                            groups: Arc::clone(groups),
                            touched: Arc::new(groups.empty(self.pool)),
                        });
                    }
                    let both: Vec<_> = key.iter().chain(group).cloned().collect();
                    let rows = self.rows_of(&found.leaf, changed, &both)?;
                    let touched = &stages[at].touched;
                    let into = [(keys, key.len()), (touched, group.len())];
                    collect(rows, &into).await?;
                }
            }
        }
        Ok(stages)
    }

    fn whole(&self, leaf: &Leaf) -> Result<DataFrame> {
        let plan = rescan(&leaf.scan, Arc::new(leaf.table.clone()))?;
        Ok(DataFrame::new(self.state.clone(), plan))
    }

    /// `wanted` of the rows that came or went, a column each. A row that stands in old and
    /// new files alike, as far as the model uses it, is neither.
    pub(super) fn rows_of(
        &self,
        leaf: &Leaf,
        changed: &Changed,
        wanted: &[Expr],
    ) -> Result<DataFrame> {
        if self.all_differ(leaf, changed) {
            let rows = |table: &FileTable| {
                let rows = rescan(&leaf.scan, Arc::new(table.clone()))?;
                named(DataFrame::new(self.state.clone(), rows), wanted)
            };
            let old = changed.old.iter().map(rows);
            return old.fold(rows(&changed.new), |all, old| all?.union(old?));
        }
        let rows = self.signed_rows_of(leaf, changed, wanted)?;
        rows.drop_columns(&[CHANGE])
    }

    /// The same, with [`CHANGE`] as the last column.
    pub(super) fn signed_rows_of(
        &self,
        leaf: &Leaf,
        changed: &Changed,
        wanted: &[Expr],
    ) -> Result<DataFrame> {
        let columns = self.used_columns(leaf);
        let frame = |table: &FileTable| -> Result<DataFrame> {
            let plan = rescan(&leaf.scan, Arc::new(table.clone()))?;
            Ok(DataFrame::new(self.state.clone(), plan))
        };
        let new = frame(&changed.new)?;
        let mut both = marked(new, &columns, wanted, 1)?;
        for old in &changed.old {
            both = both.union(marked(frame(old)?, &columns, wanted, -1)?)?;
        }
        let places = (0..columns.len() + wanted.len()).map(|i| ident(place(i)));
        let both = net_with(both, places.collect(), Vec::new())?;
        let wanted = (0..wanted.len()).map(|i| ident(place(columns.len() + i)));
        both.select(wanted.chain([ident(CHANGE)]).collect::<Vec<_>>())
    }

    /// See [`Changed::all_differ`].
    pub(super) fn all_differ(&self, leaf: &Leaf, changed: &Changed) -> bool {
        changed.all_differ(leaf, self.used)
    }

    fn used_columns(&self, leaf: &Leaf) -> Vec<Expr> {
        let schema = leaf.scan.projected_schema.as_ref();
        let used = self.used.get(&leaf.location);
        schema
            .columns()
            .into_iter()
            .filter(|c| used.is_none_or(|used| used.contains(&c.name)))
            .map(Expr::Column)
            .collect()
    }
}

/// The rows that do not cancel out: how often each came (+) or went (-) is in [`CHANGE`], and
/// behind it what is asked for of all rows that are alike.
pub(super) fn net_with(
    rows: DataFrame,
    columns: Vec<Expr>,
    further: Vec<Expr>,
) -> Result<DataFrame> {
    let schema = rows.schema();
    let (mut told, mut outputs) = (Vec::new(), Vec::new());
    for column in columns {
        // equal numbers may not be the same
        match Bits::of(&column.get_type(schema)?) {
            Some(bits) => {
                let name = column.schema_name().to_string();
                told.push(bits.of_number(column).alias(&name));
                outputs.push(bits.number(ident(&name)).alias(&name));
            }
            None => {
                told.push(column.clone());
                outputs.push(column);
            }
        }
    }
    let change = sum(ident(CHANGE)).alias(CHANGE);
    let sums = [vec![change], further].concat();
    outputs.extend(sums.iter().map(|e| ident(e.schema_name().to_string())));
    let rows = rows.aggregate(told, sums)?;
    let rows = rows.filter(ident(CHANGE).not_eq(lit(0_i64)))?;
    rows.select(outputs)
}

fn marked(
    rows: DataFrame,
    columns: &[Expr],
    wanted: &[Expr],
    change: i64,
) -> Result<DataFrame> {
    let all = columns.iter().chain(wanted).enumerate();
    let mut all: Vec<_> = all.map(|(i, e)| e.clone().alias(place(i))).collect();
    all.push(lit(change).alias(CHANGE));
    rows.select(all)
}

pub(super) fn named(rows: DataFrame, wanted: &[Expr]) -> Result<DataFrame> {
    let wanted = wanted.iter().enumerate();
    rows.select(
        wanted
            .map(|(i, e)| e.clone().alias(place(i)))
            .collect::<Vec<_>>(),
    )
}

fn place(index: usize) -> String {
    format!("c{index}")
}

/// Reads all rows; their columns are dealt out to the sets in turn.
pub(super) async fn collect(
    rows: DataFrame,
    into: &[(&Arc<KeySet>, usize)],
) -> Result<()> {
    let mut stream = rows.execute_stream().await?;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        let mut columns = batch.columns();
        for (set, width) in into {
            let (key, rest) = columns.split_at(*width);
            set.add(key, batch.num_rows())?;
            columns = rest;
        }
    }
    Ok(())
}

/// The columns that `plan` reads of each location once it is optimized.
pub(super) fn used_columns(
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    state.optimize(plan)?.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(leaf) = Leaf::of(scan)
        {
            let columns = used.entry(leaf.location).or_default();
            let fields = scan.projected_schema.fields().iter();
            columns.extend(fields.map(|f| f.name().clone()));
            let filters = scan.filters.iter().flat_map(Expr::column_refs);
            columns.extend(filters.map(|c| c.name.clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(used)
}

/// The types of `columns` of `plan`'s output.
pub(super) fn key_types(
    plan: &LogicalPlan,
    key: &[datafusion::common::Column],
) -> Result<Vec<datafusion::arrow::datatypes::DataType>> {
    let of = |c: &datafusion::common::Column| {
        Expr::Column(c.clone()).get_type(plan.schema().as_ref())
    };
    key.iter().map(of).collect()
}
