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

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Result, internal_err};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident, lit, not};
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use super::changes::{Changed, Search, collect, key_types, named};
use super::elsewhere::Elsewhere;
use super::key_set::KeySet;
use super::lineage::{Restricted, Rule, Separated, separate};
use super::made::made_of_one;
use super::places::{Positions, packed};
use super::row_index::RowIndex;
use crate::runner::materialization::Job;
use crate::runner::materialization::reading::{Leaf, replace_scans, rescan};
use crate::table::TableVersion;

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
    /// Whether each row of the leaf makes a row, so that a key that is unique here is so there.
    keeps_all: bool,
    /// Whether the rows that came there need no comparison with those that went.
    all_differ: bool,
    /// Whether the committed rows of `rows` are known and go without a further look.
    rows_go: bool,
    /// The unique keys of rows that come although their row of the leaf is as it was, if they
    /// are known.
    elsewhere: Option<Arc<KeySet>>,
}

impl Wanted {
    /// The committed rows among them.
    pub(super) fn committed(&self) -> Vec<Committed> {
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
                let mut parts = Vec::new();
                if !fine.rows_go {
                    parts.push(Committed {
                        filter: row.clone().and(not(is_whole.clone())),
                        columns: fine.unique.clone(),
                        keys: Arc::clone(&fine.rows),
                        // they go if the rows that they were made of went
                        change: 0,
                    });
                }
                let known = fine.elsewhere.is_some();
                let (columns, keys, filter) = match known {
                    true => (&fine.unique, &fine.rows, row.and(is_whole)),
                    false => (&fine.key, &fine.whole, is_whole),
                };
                if fine.whole.len() > 0 && keys.len() > 0 {
                    parts.push(Committed {
                        filter,
                        columns: columns.clone(),
                        keys: Arc::clone(keys),
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
        let Some((leaf, keeps_all)) = made_of_one(plan)? else {
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
            keeps_all,
            all_differ: search.all_differ(&leaf, changed),
            leaf,
            of_leaf,
            rows_go: false,
            elsewhere: None,
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
        let is_whole = self.whole.filled_predicate(&columns(&self.key));
        let mut plans = Vec::new();
        let came = (self.changed.new.clone(), 1);
        let went = self.changed.old.iter().filter(|_| !self.rows_go);
        let went = went.map(|old| (old.clone(), -1));
        for (table, change) in std::iter::once(came).chain(went) {
            let table: Arc<dyn TableProvider> = Arc::new(table);
            let of_table = replace_scans(plan, &self.leaf.location, |scan| {
                rescan(scan, Arc::clone(&table))
            });
            let rows = LogicalPlanBuilder::from(of_table?);
            let rows = rows.filter(not(is_whole.clone()))?.build()?;
            plans.push((rows, change));
        }
        let anew = match &self.elsewhere {
            None => Some(is_whole),
            Some(came) => {
                let sets = [&self.rows, came].into_iter();
                let sets = sets.filter(|set| set.len() > 0);
                let unique = columns(&self.unique);
                let of = sets.map(|set| set.filled_predicate(&unique));
                of.reduce(Expr::or).map(|of| is_whole.and(of))
            }
        };
        if let (true, Some(anew)) = (self.whole.len() > 0, anew) {
            let rows = LogicalPlanBuilder::from(plan.clone()).filter(anew)?;
            plans.push((rows.build()?, 1));
        }
        Ok(plans)
    }

    /// Finds rows that go, and those of keys that change whole that come, by few of their columns,
    /// so that all columns are read of no others; the places of those that go. A key that one
    /// row has here must be the key of one row of the leaf: else that is not known of any row.
    pub(super) async fn look(
        &mut self,
        job: &Job,
        base: &TableVersion,
        search: &Search<'_>,
        plan: &LogicalPlan,
    ) -> Result<Positions> {
        let mut went = Positions::charged_to(search.pool);
        if !self.keeps_all {
            return Ok(went);
        }
        if self.all_differ
            && let Some(rows) = self.rows_that_go(job, base, search).await?
        {
            went = rows;
            self.rows_go = true;
        }
        if self.whole.len() > 0
            && let Some(found) =
                Elsewhere::of(job, base, search.state, self, plan).await?
        {
            went.extend(found.went);
            self.elsewhere = Some(found.came);
        }
        Ok(went)
    }

    /// The places of the committed rows whose row of the leaf went, but for those of keys that
    /// change whole; `None` if their unique key does not tell them.
    async fn rows_that_go(
        &self,
        job: &Job,
        base: &TableVersion,
        search: &Search<'_>,
    ) -> Result<Option<Positions>> {
        let went = self.no_rows(search.pool);
        for old in &self.changed.old {
            let old = rescan(&self.leaf.scan, Arc::new(old.clone()))?;
            let old = DataFrame::new(search.state.clone(), old);
            let unique = named(old, &self.of_leaf)?;
            collect(unique, &[(&went, self.of_leaf.len())]).await?;
        }
        let index = RowIndex::of(job, search.state, &base.schema);
        let at = (search.state, job.table.stores());
        let (index, unique) = (index.as_ref(), names(&self.unique));
        let rows = RowIndex::rows_of(index, at, base, &self.unique, &self.rows).await?;
        let rows = rows.filter(self.rows.filled_predicate(&unique))?;
        let stays = match self.whole.len() {
            0 => lit(false),
            _ => self.whole.predicate(&names(&self.key)),
        };
        let rows = rows.select([unique, vec![stays, packed()]].concat())?;
        let mut stream = rows.execute_stream().await?;
        let (seen, mut read) = (self.no_rows(search.pool), 0);
        let mut places = Positions::charged_to(search.pool);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let rows = batch.num_rows();
            let [key @ .., stays, place] = batch.columns() else {
                return internal_err!("committed rows without places");
            };
            seen.add(key, rows)?;
            read += rows;
            let is_unique = seen.len() == read;
            if !is_unique || went.contains(key, rows)?.true_count() < rows {
                return Ok(None);
            }
            let places_of = place.as_primitive::<Int64Type>().values();
            for (place, stays) in places_of.iter().zip(stays.as_boolean()) {
                if stays != Some(true) {
                    places.add(*place)?;
                }
            }
        }
        Ok(Some(places))
    }

    /// The names of the unique key.
    pub(super) fn unique_names(&self) -> Vec<&String> {
        self.unique.iter().map(|column| &column.name).collect()
    }

    /// No unique keys.
    pub(super) fn no_rows(&self, pool: &Arc<dyn MemoryPool>) -> Arc<KeySet> {
        Arc::new(self.rows.empty(pool))
    }

    /// Whether a committed row is of a key that changes whole, and made of a row of the leaf
    /// that is as it was.
    pub(super) fn committed_elsewhere(&self) -> Expr {
        self.is_elsewhere(&names(&self.key), &names(&self.unique))
    }

    /// Such rows as they are now, out of `plan`.
    pub(super) fn rows_elsewhere(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let is_elsewhere = self.is_elsewhere(&columns(&self.key), &columns(&self.unique));
        let rows = LogicalPlanBuilder::from(plan.clone());
        rows.filter(is_elsewhere)?.build()
    }

    fn is_elsewhere(&self, key: &[Expr], unique: &[Expr]) -> Expr {
        let is_whole = self.whole.filled_predicate(key);
        match self.rows.len() {
            0 => is_whole,
            _ => is_whole.and(not(self.rows.predicate(unique))),
        }
    }
}

/// Columns of the model as its table has them.
fn names(columns: &[Column]) -> Vec<Expr> {
    columns.iter().map(|c| ident(c.name.clone())).collect()
}

fn columns(columns: &[Column]) -> Vec<Expr> {
    columns.iter().cloned().map(Expr::Column).collect()
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
