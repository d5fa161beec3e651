//! How far the numbers of each key have come: kept beside a table, and read for some keys.
//!
//! A file of tails has a row a key: its columns, then `rows` and `sessions`, the numbers of the
//! key's last row. A commit names the file that belongs to it; a table without one is counted.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use datafusion::functions_aggregate::expr_fn::{count, max, sum};
use datafusion::logical_expr::{Expr, cast, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::input::Held;
use super::shape::Shape;
use super::window::Counted;
use crate::runner::materialization::incremental::key_set::KeySet;

pub(super) const ROWS: &str = "rows of the key";
pub(super) const SESSIONS: &str = "sessions of the key";

/// The numbers of a key's last row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) rows: i64,
    pub(super) sessions: i64,
}

/// Keys as bytes that differ where keys do.
pub(super) struct Keys(RowConverter);

impl Keys {
    pub(super) fn of(types: &[DataType]) -> Result<Self> {
        let fields = types.iter().cloned().map(SortField::new).collect();
        Ok(Self(RowConverter::new(fields)?))
    }

    /// A key a row.
    pub(super) fn rows(&self, columns: &[ArrayRef]) -> Result<Vec<Box<[u8]>>> {
        let rows = self.0.convert_columns(columns)?;
        Ok(rows.iter().map(|row| row.as_ref().into()).collect())
    }
}

/// Some columns of a batch.
pub(super) fn columns(batch: &RecordBatch, places: &[usize]) -> Vec<ArrayRef> {
    places
        .iter()
        .map(|i| Arc::clone(batch.column(*i)))
        .collect()
}

/// The tails of some keys.
pub(super) type Tails = HashMap<Box<[u8]>, Tail>;

/// The schema of a file of tails.
pub(super) fn tails_schema(shape: &Shape, table: &SchemaRef) -> Result<SchemaRef> {
    let mut fields = Vec::new();
    for name in &shape.key {
        fields.push(table.field_with_name(name)?.clone().with_nullable(true));
    }
    fields.push(Field::new(ROWS, DataType::Int64, false));
    fields.push(Field::new(SESSIONS, DataType::Int64, false));
    Ok(Arc::new(Schema::new(fields)))
}

/// The tails of all keys, counted: `rows` are those of the committed table.
pub(super) fn counted(
    rows: DataFrame,
    shape: &Shape,
    table: &SchemaRef,
) -> Result<DataFrame> {
    let key: Vec<_> = shape.key.iter().map(|name| ident(name.clone())).collect();
    let column = |place: usize| ident(table.field(place).name().clone());
    let number = shape.column_of(Counted::Sessions).map(column);
    let id = shape.column_of(Counted::SessionIds).map(column);
    let all_rows = || count(lit(1_i64)).alias(ROWS);
    let counted = match (number, id) {
        (Some(number), _) => {
            let last = max(number).alias(SESSIONS);
            rows.aggregate(key.clone(), vec![all_rows(), last])?
        }
        // a session is as many as its id; in two steps, which can spill
        (None, Some(id)) => {
            let id = id.alias(SESSIONS);
            let by_session = [key.clone(), vec![id]].concat();
            let sessions = rows.aggregate(by_session, vec![all_rows()])?;
            let rows = sum(ident(ROWS)).alias(ROWS);
            let ids = count(ident(SESSIONS)).alias(SESSIONS);
            sessions.aggregate(key.clone(), vec![rows, ids])?
        }
        (None, None) => {
            let none = max(lit(0_i64)).alias(SESSIONS);
            rows.aggregate(key.clone(), vec![all_rows(), none])?
        }
    };
    let as_number = |name: &str| -> Result<Expr> {
        let number = cast(ident(name), DataType::Int64);
        // a key has no session if none of its rows has a time
        let number = when(number.clone().is_null(), lit(0_i64)).otherwise(number)?;
        Ok(number.alias(name))
    };
    let numbers = [as_number(ROWS)?, as_number(SESSIONS)?];
    counted.select(key.into_iter().chain(numbers).collect::<Vec<_>>())
}

/// The tails of the keys in `set`, out of the rows of a file of tails or of what was counted.
pub(super) async fn of_keys(
    tails: DataFrame,
    shape: &Shape,
    keys: &Keys,
    set: &Arc<KeySet>,
    held: &Held,
) -> Result<Option<Tails>> {
    let key: Vec<Expr> = shape.key.iter().map(|name| ident(name.clone())).collect();
    let tails = tails.filter(set.filled_predicate(&key))?;
    let Some(batches) = held.all(tails).await? else {
        return Ok(None);
    };
    let mut found = Tails::new();
    for batch in &batches {
        let (key, numbers) = batch.columns().split_at(shape.key.len());
        let number = |place: usize| numbers[place].as_primitive::<Int64Type>();
        let (rows, sessions) = (number(0), number(1));
        for (row, key) in keys.rows(key)?.into_iter().enumerate() {
            let tail = Tail {
                rows: rows.value(row),
                sessions: sessions.value(row),
            };
            found.insert(key, tail);
        }
    }
    Ok(Some(found))
}

/// The new file's rows: those of the old one, with other numbers for the keys of `changed`.
/// Keys that are left in `changed` at the end are new.
pub(super) fn replaced(
    old: &RecordBatch,
    keys: &Keys,
    changed: &Tails,
) -> Result<RecordBatch> {
    let width = old.num_columns() - 2;
    let rows = keys.rows(&old.columns()[..width])?;
    let stays = rows.iter().map(|key| Some(!changed.contains_key(key)));
    let stays = stays.collect();
    Ok(filter_record_batch(old, &stays)?)
}

/// Some keys with their tails as rows of a file of tails; keys without rows are left out.
pub(super) fn batch_of(
    columns: &[ArrayRef],
    tails: &[Tail],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let mut all = columns.to_vec();
    let number = |of: fn(&Tail) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(tails.iter().map(of)))
    };
    all.push(number(|tail| tail.rows));
    all.push(number(|tail| tail.sessions));
    let batch = RecordBatch::try_new(Arc::clone(schema), all)?;
    let there = tails.iter().map(|tail| Some(tail.rows > 0)).collect();
    Ok(filter_record_batch(&batch, &there)?)
}
