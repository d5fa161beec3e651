//! Models whose rows are each made of one row of what they read: new files give new rows, and
//! no other row changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Result as DataFusionResult;
use datafusion::execution::SessionState;
use datafusion::prelude::{DataFrame, SessionContext};

use super::changes::Changed;
use super::places::Positions;
use super::resume::{is_row_by_row, only_leaf};
use super::rows::committed_column;
use super::went::commit_rows;
use crate::runner::error::Result;
use crate::runner::materialization::reading::{Reading, replace_scans, rescan};
use crate::runner::materialization::{Built, Job, execution_error, table};
use crate::table::TableVersion;

/// Adds the rows of new files; `None` if the model is of another kind, or if rows of what it
/// reads went.
pub(super) async fn append(
    job: &Job,
    base: &TableVersion,
    reading: &Reading,
    state: &SessionState,
    changed: &BTreeMap<String, Changed>,
) -> Result<Option<Built>> {
    let rows = new_rows(job, base, state, changed).map_err(execution_error)?;
    let Some(rows) = rows else {
        return Ok(None);
    };
    let fresh = table::write_rows(job, &base.schema, rows, &job.progress).await?;
    let came = fresh.rows();
    let context = SessionContext::new_with_state(state.clone());
    let metadata = table::metadata(job, reading);
    let none = Positions::default();
    let bytes = commit_rows(job, base, &context, fresh, none, metadata, None).await?;
    Ok(Some(Built {
        rows: Some(came),
        bytes: Some(bytes),
        message: Some(format!("appended: {came} rows in")),
    }))
}

/// The rows that the new files give, as they are committed.
fn new_rows(
    job: &Job,
    base: &TableVersion,
    state: &SessionState,
    changed: &BTreeMap<String, Changed>,
) -> DataFusionResult<Option<DataFrame>> {
    let plan = job.rows.logical_plan();
    let Some(leaf) = only_leaf(plan)? else {
        return Ok(None);
    };
    let changed = changed.get(&leaf.location);
    let Some(changed) = changed.filter(|changed| changed.old.is_empty()) else {
        return Ok(None);
    };
    if !is_row_by_row(plan)? {
        return Ok(None);
    }
    let of_new = replace_scans(plan, &leaf.location, |scan| {
        rescan(scan, Arc::new(changed.new.clone()))
    })?;
    let output = Arc::clone(of_new.schema());
    let fields = base.schema.fields().iter().enumerate();
    let columns = fields.map(|(place, field)| committed_column(&output, place, field));
    let columns: Vec<_> = columns.collect();
    DataFrame::new(state.clone(), of_new)
        .select(columns)
        .map(Some)
}
