//! `incremental`: a committed table that is brought up to date, and always equals what a
//! full refresh over the same input would give.
//!
//! ```text
//! inputs of the last commit ─┐
//!                            ├─► nothing new: nothing is written
//! inputs now ────────────────┤
//!                            ├─► new rows ─► keys they belong to ─► rows of those keys,
//!                            │               recomputed ─► what differs is committed
//!                            └─► anything else: the table is rebuilt, and the run says why
//! ```
//!
//! The unit of recomputation is a key: `recompute_by` (default: `unique_key`) names columns
//! of the model by which it can be taken apart (see `lineage`). Most models need less, and the
//! first of these ways that fits is taken: `append`, `resume`, `fold`, `bounded`, `fine`.
//!
//! So it is by the strategy `keys`, the default. dbt's strategies are in `increment`.

mod append;
mod apply;
mod bits;
mod bounded;
mod changes;
mod columns;
mod configured;
mod elsewhere;
mod fine;
mod fold;
mod increment;
mod key_index;
mod key_set;
mod key_times;
mod lineage;
mod made;
mod places;
mod predicate;
mod resume;
mod rewrite;
mod row_index;
mod rows;
mod since;
mod timed;
mod went;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use super::reading::{Reading, STRATEGY};
use super::{
    Built, Job, Materialization, execution_error, no_op, store_error, table, unchanged,
};
use crate::runner::compile::{IncrementalStrategy, Materialized, OnSchemaChange};
use crate::runner::error::Result;
use crate::table::{TableVersion, committed_schema};
use apply::Update;
use bounded::Bounded;
use changes::{Changed, Search, key_types, used_columns};
use columns::SchemaChange;
use configured::{key_columns, keys_are_columns};
use fine::{Fine, Wanted};
use fold::Folded;
use futures::future::BoxFuture;
use key_set::KeySet;
use lineage::{Reason, Separated, separate};
use places::Positions;
use resume::Resumption;
use row_index::{ROW_INDEX, RowIndex};
use since::changed_leaves;

/// A committed table, updated as its strategy says.
#[derive(Debug)]
pub(super) struct Incremental;

impl Materialization for Incremental {
    fn kind(&self) -> Materialized {
        Materialized::Incremental
    }

    fn word(&self) -> &'static str {
        "incremental"
    }

    fn build<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Built>> {
        Box::pin(build(job))
    }
}

/// Brings the table of `job` up to date.
async fn build(job: &Job) -> Result<Built> {
    let base = job.table.open().await.map_err(store_error)?;
    let reading = Reading::of(job.rows.logical_plan()).map_err(execution_error)?;
    let config = &job.node.config.incremental;
    if config.strategy != IncrementalStrategy::Keys {
        return Box::pin(increment::build(job, base, &reading)).await;
    }
    let kept = base.as_ref().filter(|_| !job.full_refresh);
    if let (Some(base), OnSchemaChange::Fail) = (kept, config.on_schema_change) {
        let rows = Arc::new(job.rows.schema().as_arrow().clone());
        let rows = committed_schema(&rows).map_err(execution_error)?;
        SchemaChange::between(&base.schema, &rows).refuse(&job.node.name)?;
    }
    keys_are_columns(job)?;
    let Some(base) = base else {
        return rebuild(job, None, &reading).await;
    };
    if job.full_refresh {
        return rebuild(job, Some(&base), &reading).await;
    }
    if unchanged(job, &base, &reading) {
        return Ok(no_op());
    }
    let reason = match Box::pin(prepare(job, &base, &reading)).await? {
        Ok(Prepared::Done(built)) => return Ok(built),
        Ok(Prepared::ByKey(update)) => {
            return Box::pin(update.run(job, &base, &reading)).await;
        }
        Err(reason) => reason,
    };
    let built = rebuild(job, Some(&base), &reading).await?;
    Ok(Built {
        message: Some(format!("rebuilt in full: {reason}")),
        ..built
    })
}

/// Writes all rows, and beside them what later runs need to go on from there.
async fn rebuild(
    job: &Job,
    base: Option<&TableVersion>,
    reading: &Reading,
) -> Result<Built> {
    let rows = table::all_rows(job).await?;
    let mut further = BTreeMap::new();
    if let Some(beside) = Box::pin(resume::beside(job, &rows)).await? {
        further.extend(beside);
    } else {
        let state = job.rows.clone().into_parts().0;
        if let Some(index) = RowIndex::of(job, &state, &rows.schema) {
            let index = index.after(None, &rows.schema, rows.files.files()).await;
            let index = index.map_err(execution_error)?;
            further.extend(index.map(|index| (ROW_INDEX.to_owned(), index)));
        }
    }
    table::commit_all(job, base, reading, rows, further).await
}

/// An update that can be made.
enum Prepared {
    /// It is made.
    Done(Built),
    /// By key.
    ByKey(Box<ByKey>),
}

/// An update that can be made by key.
struct ByKey {
    keys: Arc<KeySet>,
    key: Vec<Column>,
    separated: Separated,
    changed: BTreeMap<String, Changed>,
    /// The columns that the model uses, by location.
    used: BTreeMap<String, BTreeSet<String>>,
    state: SessionState,
}

/// Finds out whether and how the table can be updated by key.
async fn prepare(
    job: &Job,
    base: &TableVersion,
    reading: &Reading,
) -> Result<std::result::Result<Prepared, Reason>> {
    let (state, plan) = job.rows.clone().into_parts();
    let state = late_materializing(&state);
    if let Err(reason) = same_definition(job, base, reading, &plan) {
        return Ok(Err(reason));
    }
    let changed = match changed_leaves(job, base, reading).await? {
        Ok(changed) => changed,
        Err(reason) => return Ok(Err(reason)),
    };
    if let Some(built) =
        Box::pin(append::append(job, base, reading, &state, &changed)).await?
    {
        return Ok(Ok(Prepared::Done(built)));
    }
    let key = match key_columns(job, &plan) {
        Ok(key) => key,
        Err(reason) => return Ok(Err(reason)),
    };
    let used = used_columns(&state, &plan).map_err(execution_error)?;
    let pool = &state.runtime_env().memory_pool;
    let search = Search {
        state: &state,
        pool,
        changed: &changed,
        used: &used,
    };
    let resumed = Resumption::of(job, base, reading, &key, &search);
    if let Some(resumed) = resumed.map_err(execution_error)?
        && let Some(built) = Box::pin(resumed.run()).await?
    {
        return Ok(Ok(Prepared::Done(built)));
    }
    let types = key_types(&plan, &key).map_err(execution_error)?;
    let keys = Arc::new(KeySet::new(types, pool).indexed());
    let separated = match separate(&plan, &key, &keys, pool) {
        Ok(separated) => separated,
        Err(reason) => return Ok(Err(reason)),
    };
    for location in changed.keys() {
        let read = reading.leaves.iter().filter(|l| &l.location == location);
        let restricted = &separated.restricted;
        let by_key = restricted.iter().filter(|r| &r.leaf.location == location);
        if read.count() != by_key.count() {
            let reason = format!("`{}` has changed and has no such key", short(location));
            return Ok(Err(reason));
        }
    }
    Ok(Ok(Prepared::ByKey(Box::new(ByKey {
        keys,
        key,
        separated,
        changed,
        used,
        state,
    }))))
}

impl ByKey {
    async fn run(
        self,
        job: &Job,
        base: &TableVersion,
        reading: &Reading,
    ) -> Result<Built> {
        let search = Search {
            state: &self.state,
            pool: &self.state.runtime_env().memory_pool,
            changed: &self.changed,
            used: &self.used,
        };
        let (wanted, plans, went) = self.wanted(job, base, &search).await?;
        let new_files = self.changed.values().any(Changed::is_of_lake);
        if self.keys.len() == 0 && !new_files {
            return Ok(no_op());
        }
        let update = Update {
            job,
            base,
            context: SessionContext::new_with_state(self.state.clone()),
            index: RowIndex::of(job, &self.state, &base.schema),
            wanted: &wanted,
            plans,
        };
        let metadata = table::metadata(job, reading);
        let applied = update.apply(went, metadata).await?;
        Ok(Built {
            rows: Some(applied.came),
            bytes: Some(applied.bytes),
            message: Some(format!(
                "updated by key: {} keys, {} rows in, {} rows out",
                self.keys.len(),
                applied.came,
                applied.went
            )),
        })
    }

    /// The rows that have to be computed anew, the plans that give them, and places of rows
    /// that go already.
    async fn wanted(
        &self,
        job: &Job,
        base: &TableVersion,
        search: &Search<'_>,
    ) -> Result<(Wanted, Vec<(LogicalPlan, i64)>, Positions)> {
        let restricted = &self.separated.restricted;
        let plan = self.separated.plan.clone();
        let by_key = || Wanted::Keys {
            key: self.key.clone(),
            keys: Arc::clone(&self.keys),
        };
        let folded = Folded::of(job, base, &self.key, search);
        if let Some(folded) = folded.map_err(execution_error)?
            && let Some(plan) = folded
                .plan(search, &self.keys)
                .await
                .map_err(execution_error)?
        {
            return Ok((by_key(), vec![(plan, 1)], Positions::default()));
        }
        let bounded = Bounded::of(job, base, &self.key, search);
        if let Some(bounded) = bounded.map_err(execution_error)? {
            let plan = bounded.plan(&plan, search, &self.keys).await;
            let plans = vec![(plan.map_err(execution_error)?, 1)];
            return Ok((by_key(), plans, Positions::default()));
        }
        let fine = Fine::of(job, &self.key, &self.separated, search);
        if let Some(mut fine) = fine.map_err(execution_error)? {
            let filled = fine.fill(&self.keys, restricted, search).await;
            filled.map_err(execution_error)?;
            let went = fine.look(job, base, search, &plan).await;
            let went = went.map_err(execution_error)?;
            let plans = fine.plans(&plan).map_err(execution_error)?;
            return Ok((Wanted::Fine(Box::new(fine)), plans, went));
        }
        let filled = search.fill(&self.keys, restricted).await;
        filled.map_err(execution_error)?;
        Ok((by_key(), vec![(plan, 1)], Positions::default()))
    }
}

/// The state with late materialization on: a few keys are picked out of many rows.
fn late_materializing(state: &SessionState) -> SessionState {
    let mut state = state.clone();
    let parquet = &mut state.config_mut().options_mut().execution.parquet;
    parquet.pushdown_filters = true;
    state
}

/// Whether the table was built by this very definition.
fn same_definition(
    job: &Job,
    base: &TableVersion,
    reading: &Reading,
    plan: &LogicalPlan,
) -> std::result::Result<(), Reason> {
    if let Some(reason) = &reading.unsteady {
        return Err(reason.clone());
    }
    if let Some(strategy) = base.metadata.get(STRATEGY) {
        return Err(format!("its last run used the strategy `{strategy}`"));
    }
    if base.metadata.get(super::reading::FINGERPRINT) != Some(&job.fingerprint()) {
        return Err("its SQL or a variable has changed".to_owned());
    }
    if !reading.same_traffic_rules(base) {
        return Err("the rules of `traffic_source` have changed".to_owned());
    }
    let schema = Arc::new(plan.schema().as_arrow().clone());
    match committed_schema(&schema) {
        Ok(schema) if schema == base.schema => Ok(()),
        _ => Err("its columns have changed".to_owned()),
    }
}

/// The last part of a location, as messages name it.
fn short(location: &str) -> &str {
    let location = location.trim_end_matches('/');
    location.rsplit('/').next().unwrap_or(location)
}
