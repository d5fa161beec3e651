//! Which rows are computed anew: all of some keys, or fewer.
//!
//! A session that is new changes one row, and not all rows of its visitor; a visitor who is
//! somebody else now changes all of them. Where each row is made of one row of what has changed,
//! joined to what has not, the rows that came and went there give those that come and go here:
//!
//! ```text
//! rows that came there, joined ──────┐
//! rows that went there, joined ──────┼─► what does not cancel out
//! rows of keys that change whole ────┘
//! ```

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident, not};

use super::changes::{Changed, Search, collect, key_types};
use super::key_set::KeySet;
use super::lineage::{Restricted, Rule, Separated, separate};
use crate::runner::materialization::Job;
use crate::runner::materialization::reading::{
    Leaf, is_read_once, replace_scans, rescan,
};

/// Rows to recompute.
pub(super) enum Wanted {
    /// All rows of the keys.
    Keys {
        /// The key's columns in the table.
        key: Vec<Column>,
        keys: Arc<KeySet>,
    },
    /// Rows of unique keys, and all rows of some keys.
    Fine(Box<Fine>),
}

/// Some committed rows.
pub(super) struct Committed {
    /// The columns that `keys` are in: an index of them may find the rows.
    pub(super) columns: Vec<Column>,
    pub(super) keys: Arc<KeySet>,
    /// Whether a row is one of them.
    pub(super) filter: Expr,
    /// How often each counts.
    pub(super) change: i64,
}

/// See [`Wanted::Fine`].
pub(super) struct Fine {
    unique: Vec<Column>,
    rows: Arc<KeySet>,
    key: Vec<Column>,
    whole: Arc<KeySet>,
    /// The leaf whose rows make one row each, and how it has changed.
    leaf: Leaf,
    changed: Changed,
    /// The unique key in terms of that leaf.
    of_leaf: Vec<Expr>,
}

impl Wanted {
    /// The committed rows among them.
    pub(super) fn committed(&self) -> Vec<Committed> {
        let names = |columns: &[Column]| -> Vec<Expr> {
            columns.iter().map(|c| ident(c.name.clone())).collect()
        };
        match self {
            Self::Keys { key, keys } => vec![Committed {
                filter: keys.filled_predicate(&names(key)),
                columns: key.clone(),
                keys: Arc::clone(keys),
                change: -1,
            }],
            Self::Fine(fine) => {
                let is_whole = fine.whole.filled_predicate(&names(&fine.key));
                let row = fine.rows.filled_predicate(&names(&fine.unique));
                let mut parts = vec![Committed {
                    filter: row.and(not(is_whole.clone())),
                    columns: fine.unique.clone(),
                    keys: Arc::clone(&fine.rows),
                    // they go if the rows that they were made of went
                    change: 0,
                }];
                if fine.whole.len() > 0 {
                    parts.push(Committed {
                        filter: is_whole,
                        columns: fine.key.clone(),
                        keys: Arc::clone(&fine.whole),
                        change: -1,
                    });
                }
                parts
            }
        }
    }
}

impl Fine {
    /// `None` if rows are not made of one row of a leaf that has changed.
    pub(super) fn of(
        job: &Job,
        key: &[Column],
        separated: &Separated,
        search: &Search<'_>,
    ) -> Result<Option<Self>> {
        let plan = job.rows.logical_plan();
        let Some(unique) = unique_key(job) else {
            return Ok(None);
        };
        let direct = |of: &Restricted| matches!(of.rule, Rule::Direct { .. });
        if unique == key || !separated.restricted.iter().all(direct) {
            return Ok(None);
        }
        let set = |columns: &[Column]| -> Result<Arc<KeySet>> {
            let set = KeySet::new(key_types(plan, columns)?, search.pool);
            Ok(Arc::new(set.indexed()))
        };
        let (rows, whole) = (set(&unique)?, set(key)?);
        let Ok(by_row) = separate(plan, &unique, &rows, search.pool) else {
            return Ok(None);
        };
        let Some(leaf) = made_of_one(plan)? else {
            return Ok(None);
        };
        let of_leaf = by_row
            .restricted
            .iter()
            .find_map(|found| match &found.rule {
                Rule::Direct { key } if found.leaf.location == leaf.location => {
                    Some(key.clone())
                }
                _ => None,
            });
        let changed = search.changed.get(&leaf.location);
        let (Some(of_leaf), Some(changed)) = (of_leaf, changed) else {
            return Ok(None);
        };
        Ok(Some(Self {
            unique,
            rows,
            key: key.to_vec(),
            whole,
            changed: changed.clone(),
            leaf,
            of_leaf,
        }))
    }

    /// Finds the rows and keys that have changed; all their keys go into `keys`.
    pub(super) async fn fill(
        &self,
        keys: &Arc<KeySet>,
        restricted: &[Restricted],
        search: &Search<'_>,
    ) -> Result<()> {
        for found in restricted {
            let location = &found.leaf.location;
            let (Some(changed), Rule::Direct { key }) =
                (search.changed.get(location), &found.rule)
            else {
                continue;
            };
            let (further, set) = match *location == self.leaf.location {
                true => (&self.of_leaf, &self.rows),
                false => (key, &self.whole),
            };
            let wanted: Vec<_> = key.iter().chain(further).cloned().collect();
            let rows = search.rows_of(&found.leaf, changed, &wanted)?;
            collect(rows, &[(keys, key.len()), (set, further.len())]).await?;
        }
        Ok(())
    }

    /// The plans that give the rows, out of `plan`, which gives all rows of the keys.
    pub(super) fn plans(&self, plan: &LogicalPlan) -> Result<Vec<(LogicalPlan, i64)>> {
        let key: Vec<_> = self.key.iter().cloned().map(Expr::Column).collect();
        let is_whole = self.whole.filled_predicate(&key);
        let mut plans = Vec::new();
        let came = (self.changed.new.clone(), 1);
        let went = self.changed.old.iter().map(|old| (old.clone(), -1));
        for (table, change) in std::iter::once(came).chain(went) {
            let table: Arc<dyn TableProvider> = Arc::new(table);
            let of_table = replace_scans(plan, &self.leaf.location, |scan| {
                rescan(scan, Arc::clone(&table))
            });
            let rows = LogicalPlanBuilder::from(of_table?);
            let rows = rows.filter(not(is_whole.clone()))?.build()?;
            plans.push((rows, change));
        }
        if self.whole.len() > 0 {
            let rows = LogicalPlanBuilder::from(plan.clone()).filter(is_whole)?;
            plans.push((rows.build()?, 1));
        }
        Ok(plans)
    }
}

/// The columns of the model that its `unique_key` names.
fn unique_key(job: &Job) -> Option<Vec<Column>> {
    let schema = job.rows.logical_plan().schema();
    let unique = job.node.config.unique_key.iter().map(|name| {
        let mut found = schema.iter().filter(|(_, field)| field.name() == name);
        found.next().map(Column::from)
    });
    let unique: Vec<_> = unique.collect::<Option<_>>()?;
    (!unique.is_empty()).then_some(unique)
}

/// The leaf of which each row of `plan` is made of one row, joined to others perhaps; `None` if
/// there is none, or if it is read elsewhere too.
fn made_of_one(plan: &LogicalPlan) -> Result<Option<Leaf>> {
    let mut node = plan;
    let leaf = loop {
        node = match node {
            LogicalPlan::Projection(projection) => projection.input.as_ref(),
            LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
            LogicalPlan::Filter(filter) => filter.input.as_ref(),
            LogicalPlan::Join(join)
                if matches!(join.join_type, JoinType::Left | JoinType::Inner) =>
            {
                join.left.as_ref()
            }
            LogicalPlan::TableScan(scan) => break Leaf::of(scan),
            _ => return Ok(None),
        };
    };
    match leaf {
        Some(leaf) if is_read_once(plan, &leaf.location)? => Ok(Some(leaf)),
        _ => Ok(None),
    }
}
