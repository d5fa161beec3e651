//! Models whose rows are each made of one row of what they read: new files give new rows, and
//! no other row changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result as DataFusionResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt;

use super::changes::Changed;
use super::places::Positions;
use super::resume::{is_row_by_row, only_leaf};
use super::rows::as_committed;
use super::went::commit_rows;
use crate::runner::error::Result;
use crate::runner::materialization::reading::{Reading, rescan};
use crate::runner::materialization::{Built, Job, execution_error, store_error, table};
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
    let writer = job.table.writer(Arc::clone(&base.schema));
    let mut writer = writer.map_err(store_error)?;
    let mut stream = rows.execute_stream().await.map_err(execution_error)?;
    let mut came = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(execution_error)?;
        writer.write(&batch).await.map_err(store_error)?;
        came += batch.num_rows() as u64;
        (job.progress)(came);
    }
    let fresh = writer.finish_all().await.map_err(store_error)?;
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
    let leaf = only_leaf(plan)?;
    let changed = leaf.and_then(|leaf| changed.get(&leaf.location));
    let Some(changed) = changed.filter(|changed| changed.old.is_empty()) else {
        return Ok(None);
    };
    if !is_row_by_row(plan)? {
        return Ok(None);
    }
    let of_new = plan.clone().transform_up(|node| match &node {
        LogicalPlan::TableScan(scan) => {
            let new = rescan(scan, Arc::new(changed.new.clone()))?;
            Ok(Transformed::yes(new))
        }
        _ => Ok(Transformed::no(node)),
    });
    let of_new = of_new.data()?;
    let output = Arc::clone(of_new.schema());
    let fields = base.schema.fields().iter().enumerate();
    let columns = fields.map(|(place, field)| {
        let column = Expr::Column(Column::from(output.qualified_field(place)));
        as_committed(column, field).alias(field.name())
    });
    let columns: Vec<_> = columns.collect();
    DataFrame::new(state.clone(), of_new)
        .select(columns)
        .map(Some)
}
