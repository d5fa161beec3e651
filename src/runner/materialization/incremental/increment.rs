//! dbt's strategies: the model's SQL gives new rows, and the strategy says what becomes of
//! the rows that are there.
//!
//! ```text
//! the model's SQL ─► new rows, written once (no reader sees them) ─┐
//!                      │ their keys                                ├─► one commit
//! the table's files ───┴─► those that hold such a key ─► written   │
//!                          anew without the rows that go ──────────┘
//! ```
//!
//! Files in which no row can match keep their place. Memory holds the keys of the new rows
//! and what the joins hold; both are charged to the pool.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::NullEquality;
use datafusion::execution::SessionState;
use datafusion::prelude::DataFrame;

use super::columns::Target;
use super::rewrite::Rewrite;
use crate::catalog::Origin;
use crate::runner::compile::IncrementalStrategy;
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::reading::{
    BUILT, DEFINITION, FINGERPRINT, INPUTS, Reading, STRATEGY, TRAFFIC_RULES,
};
use crate::runner::materialization::{
    Built, Job, execution_error, no_op, store_error, table,
};
use crate::table::{Change, DataFile, TableVersion, Uncommitted, committed_schema};

/// Brings the table of `job` up to date by one of dbt's strategies; builds it in full where
/// its SQL was compiled for that.
pub(super) async fn build(
    job: &Job,
    base: Option<TableVersion>,
    reading: &Reading,
) -> Result<Built> {
    let increment = job.node.compiled.of_full_refresh.is_some();
    match base {
        Some(base) if increment && !job.full_refresh => {
            newest_is_read(job, &base, reading)?;
            let built = Increment::try_new(job, &base)?.run(reading).await?;
            let said = built
                .message
                .into_iter()
                .chain(changed(job, &base, reading));
            Ok(Built {
                message: Some(said.collect::<Vec<_>>().join("; ")),
                ..built
            })
        }
        base if !increment && (base.is_none() || job.full_refresh) => {
            table::replace(job, base.as_ref(), reading).await
        }
        _ => Err(another_run(
            job,
            "its table has come or gone since it was compiled",
        )),
    }
}

fn another_run(job: &Job, what: &str) -> RunnerError {
    let message = format!("`{}`: {what}", job.node.name);
    RunnerError::new(ErrorKind::Store, message)
        .with_hint("run it again, one run at a time")
}

/// An increment that was computed from an older version of its own table may repeat rows.
fn newest_is_read(job: &Job, base: &TableVersion, reading: &Reading) -> Result<()> {
    let newest = |origin: &Origin| match origin {
        Origin::Version(url, version) => url != &base.url || *version == base.changed_at,
        Origin::Lake(_) => true,
    };
    if reading.leaves.iter().all(|l| newest(l.table.origin())) {
        return Ok(());
    }
    Err(another_run(job, "another run committed first"))
}

/// A line on a definition that is not the one the table was built with: its rows cannot be
/// computed anew from SQL that gives an increment.
fn changed(job: &Job, base: &TableVersion, reading: &Reading) -> Option<String> {
    let built = base.metadata.get(DEFINITION)?;
    let what = if *built != job.definition_hash() {
        "its SQL or a variable has"
    } else if !reading.same_traffic_rules(base) {
        "the rules of `traffic_source` have"
    } else {
        return None;
    };
    Some(format!(
        "{what} changed since version {}: `--full-refresh` rebuilds it",
        built_in_full(base)
    ))
}

fn built_in_full(base: &TableVersion) -> String {
    let said = base.metadata.get(BUILT).cloned();
    said.unwrap_or_else(|| base.changed_at.to_string())
}

/// One run of one model.
pub(super) struct Increment<'a> {
    pub(super) job: &'a Job,
    pub(super) base: &'a TableVersion,
    pub(super) state: SessionState,
    /// The columns of the rows.
    pub(super) rows: datafusion::arrow::datatypes::SchemaRef,
    pub(super) target: Target,
}

impl<'a> Increment<'a> {
    fn try_new(job: &'a Job, base: &'a TableVersion) -> Result<Self> {
        let (state, plan) = job.rows.clone().into_parts();
        let rows = Arc::new(plan.schema().as_arrow().clone());
        let rows = committed_schema(&rows).map_err(execution_error)?;
        let policy = job.node.config.incremental.on_schema_change;
        let target = Target::of(policy, &job.node.name, &base.schema, &rows)?;
        Ok(Self {
            job,
            base,
            state: super::late_materializing(&state),
            rows,
            target,
        })
    }

    async fn run(&self, reading: &Reading) -> Result<Built> {
        let rewrite = Rewrite::try_new(self)?;
        let new = rewrite.new_rows().map_err(execution_error)?;
        let staged = self.write(new).await?;
        let rows = count(staged.files());
        if rows == 0 {
            return Ok(no_op());
        }
        let strategy = self.job.node.config.incremental.strategy;
        let (change, files, said) = match strategy {
            IncrementalStrategy::Merge if !rewrite.key.is_empty() => {
                Box::pin(rewrite.merge(staged)).await?
            }
            IncrementalStrategy::InsertOverwrite if rewrite.key.is_empty() => {
                let said = outs("overwritten", count(&self.base.files), rows);
                (Change::Replace, staged, said)
            }
            IncrementalStrategy::DeleteInsert => {
                let nulls = NullEquality::NullEqualsNothing;
                Box::pin(rewrite.replace("replaced by key", staged, nulls)).await?
            }
            IncrementalStrategy::InsertOverwrite => {
                let nulls = NullEquality::NullEqualsNull;
                Box::pin(rewrite.replace("overwritten by partition", staged, nulls))
                    .await?
            }
            _ => Box::pin(rewrite.append(staged)).await?,
        };
        let bytes = self.commit(change, files, reading).await?;
        let said: Vec<_> = [said].into_iter().chain(self.target.said.clone()).collect();
        Ok(Built {
            rows: Some(rows),
            bytes: Some(bytes),
            message: Some(said.join("; ")),
        })
    }

    /// Writes rows that have the target's columns into files that nobody sees yet.
    pub(super) async fn write(&self, rows: DataFrame) -> Result<Uncommitted> {
        let progress = &self.job.progress;
        table::write_rows(self.job, &self.target.schema, rows, progress).await
    }

    /// Commits; the bytes that came.
    async fn commit(
        &self,
        change: Change,
        files: Uncommitted,
        reading: &Reading,
    ) -> Result<u64> {
        self.job.enter_gate().await?;
        let files = files.keep();
        let bytes = files.iter().map(|f| f.size).sum();
        let schema = Arc::clone(&self.target.schema);
        let metadata = self.metadata(reading);
        self.job
            .table
            .commit(Some(self.base), change, schema, files, metadata)
            .await
            .map_err(store_error)?;
        Ok(bytes)
    }

    /// What the commit remembers. It says nothing by which the table could be taken for
    /// what a full refresh gives, should the strategy become `keys` one day.
    fn metadata(&self, reading: &Reading) -> BTreeMap<String, String> {
        let mut metadata = table::metadata(self.job, reading);
        for key in [INPUTS, FINGERPRINT, DEFINITION, TRAFFIC_RULES] {
            metadata.remove(key);
        }
        for key in [DEFINITION, TRAFFIC_RULES] {
            if let Some(built) = self.base.metadata.get(key) {
                metadata.insert(key.to_owned(), built.clone());
            }
        }
        let strategy = self.job.node.config.incremental.strategy;
        metadata.insert(STRATEGY.to_owned(), strategy.name().to_owned());
        metadata.insert(BUILT.to_owned(), built_in_full(self.base));
        metadata
    }
}

/// The rows of some files.
pub(super) fn count(files: &[DataFile]) -> u64 {
    files.iter().map(DataFile::live_rows).sum()
}

/// What is said of rows that came and went.
pub(super) fn outs(what: &str, went: u64, came: u64) -> String {
    format!("{what}: {} in, {} out", counted(came), counted(went))
}

/// `1 row`, `2 rows`.
pub(super) fn counted(number: u64) -> String {
    let rows = if number == 1 { "row" } else { "rows" };
    format!("{number} {rows}")
}
