//! Small files of a committed table together into larger ones.
//!
//! ```text
//! files below half the target ──► rows sorted by key ──► files of the target's size ──► one
//! larger files ──► left alone                                                          commit
//! ```
//!
//! An incremental run leaves a file with the rows that came, and one copy of those that held
//! rows that went. The commit changes no row: what was computed from the table stays as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{SortExpr, ident};
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use super::Engine;
use super::upkeep::committed;
use crate::catalog;
use crate::runner::compile::Node;
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};
use crate::runner::materialization::{execution_error, is_conflict, store_error};
use crate::table::{Change, DataFile, Table, TableVersion, Uncommitted};

/// What became of a table's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Optimized {
    /// How many files it had and has.
    pub files: (usize, usize),
    /// The bytes in them, before and after.
    pub bytes: (u64, u64),
    /// The version that was committed; `None` if there was nothing to do.
    pub version: Option<u64>,
}

impl Engine {
    /// Joins the files of the table of `node` that are smaller than half of `target_size`
    /// bytes into files of about that size, in one commit that changes no row. `None` if the
    /// table has not been built.
    ///
    /// Rows are sorted by the node's `cluster_by`, else `recompute_by`, else `unique_key`, so
    /// that those of a key lie near each other. The sort keeps to the engine's memory limit.
    /// Nothing is committed if the table would not have fewer files. If another run commits
    /// first, the table stays as that run left it, and the error says so.
    pub async fn optimize(
        &self,
        node: &Node,
        target_size: u64,
    ) -> Result<Option<Optimized>> {
        committed(node)?;
        let table = self.table(node)?;
        let Some(base) = table.open().await.map_err(store_error)? else {
            return Ok(None);
        };
        let before = (base.files.len(), size(&base.files));
        let nothing = Optimized {
            files: (before.0, before.0),
            bytes: (before.1, before.1),
            version: None,
        };
        let order = order(node, &base.schema)?;
        let small = base.files.iter().filter(|f| f.size < target_size / 2);
        let small: Vec<_> = small.cloned().collect();
        if small.len() < 2 {
            return Ok(Some(nothing));
        }
        let rows = self.rows_of(&table, &base, &small, order);
        let rows = rows.map_err(execution_error)?;
        let joined = write(&table, &base, rows, target_size).await?;
        whole(&small, &joined).map_err(execution_error)?;
        if joined.len() >= small.len() {
            return Ok(Some(nothing));
        }
        let change = Change::Compact {
            files: small,
            target_size,
        };
        let (schema, none) = (Arc::clone(&base.schema), BTreeMap::new());
        let files = joined.keep();
        let committed = table.commit(Some(&base), change, schema, files, none).await;
        let after = committed.map_err(|e| {
            let error = store_error(e);
            match is_conflict(&error) {
                true => {
                    error.with_hint("nothing was changed; run it again when no run is on")
                }
                false => error,
            }
        })?;
        self.refresh(node)?;
        Ok(Some(Optimized {
            files: (before.0, after.files.len()),
            bytes: (before.1, size(&after.files)),
            version: Some(after.version),
        }))
    }

    /// The rows of some files of a version, in that order.
    fn rows_of(
        &self,
        table: &Table,
        base: &TableVersion,
        files: &[DataFile],
        order: Vec<SortExpr>,
    ) -> DataFusionResult<DataFrame> {
        let all = catalog::committed(table.stores(), base)?;
        let some = all.only(|meta| files.iter().any(|f| f.path == meta.location));
        let rows = self.context.read_table(Arc::new(some))?;
        match order.is_empty() {
            true => Ok(rows),
            false => rows.sort(order),
        }
    }
}

async fn write(
    table: &Table,
    base: &TableVersion,
    rows: DataFrame,
    target_size: u64,
) -> Result<Uncommitted> {
    let writer = table
        .writer(Arc::clone(&base.schema))
        .map_err(store_error)?;
    let size = usize::try_from(target_size).unwrap_or(usize::MAX);
    let mut writer = writer.with_roll_at(size);
    let mut stream = rows.execute_stream().await.map_err(execution_error)?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(execution_error)?;
        writer.write(&batch).await.map_err(store_error)?;
    }
    writer.finish_all().await.map_err(store_error)
}

/// An error unless both hold as many rows.
fn whole(before: &[DataFile], after: &Uncommitted) -> DataFusionResult<()> {
    let rows: u64 = before.iter().map(DataFile::live_rows).sum();
    match rows == after.rows() {
        true => Ok(()),
        false => internal_err!("{rows} rows were read and {} written", after.rows()),
    }
}

fn size(files: &[DataFile]) -> u64 {
    files.iter().map(|f| f.size).sum()
}

/// What rows are sorted by.
fn order(node: &Node, schema: &SchemaRef) -> Result<Vec<SortExpr>> {
    let config = &node.config;
    if config.cluster_by.is_empty() {
        // a key that is no column of the table keeps no row from being joined
        let keys = [&config.recompute_by, &config.unique_key];
        let key = keys.into_iter().find(|key| !key.is_empty());
        let columns = key.into_iter().flatten().filter_map(|c| column(schema, c));
        return Ok(columns.map(sorted).collect());
    }
    let columns = config.cluster_by.iter().map(|name| {
        column(schema, name).map(sorted).ok_or_else(|| {
            let message = format!(
                "`cluster_by` of `{}` names `{name}`, which is no column of its table",
                node.name
            );
            let names = schema.fields().iter().map(|f| f.name().as_str());
            let hint = did_you_mean(name, names.clone()).unwrap_or_else(|| {
                format!("its columns: `{}`", names.collect::<Vec<_>>().join("`, `"))
            });
            RunnerError::new(ErrorKind::Project, message).with_hint(hint)
        })
    });
    columns.collect()
}

fn sorted(column: &str) -> SortExpr {
    ident(column).sort(true, true)
}

/// The column of that name, else the one that differs in case alone.
fn column<'a>(schema: &'a SchemaRef, name: &str) -> Option<&'a str> {
    let names = || schema.fields().iter().map(|f| f.name().as_str());
    let exact = names().find(|n| *n == name);
    exact.or_else(|| names().find(|n| n.eq_ignore_ascii_case(name)))
}
