//! From when on the rows of some keys are read.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{Expr, lit};

use super::key_set::KeySet;
use super::predicate::{Predicate, holds};

/// Some keys, and for each the time of the first row that is read, in ticks of the time's
/// unit. Two keys of one hash share the earlier time, and at most more rows are read.
#[derive(Debug)]
pub(super) struct KeyTimes {
    set: Arc<KeySet>,
    times: HashMap<u64, i64>,
    reservation: MemoryReservation,
}

/// Bytes a time takes in a hash table at its emptiest.
const BYTES_A_TIME: usize = 40;

impl KeyTimes {
    pub(super) fn new(types: Vec<DataType>, pool: &Arc<dyn MemoryPool>) -> Self {
        Self {
            set: Arc::new(KeySet::new(types, pool)),
            times: HashMap::new(),
            reservation: MemoryConsumer::new("times of keys").register(pool),
        }
    }

    /// Adds the keys of some rows, each from `before` ticks before its row's time on; `false`
    /// if a row has no time.
    pub(super) fn add(
        &mut self,
        key: &[ArrayRef],
        time: &ArrayRef,
        before: i64,
    ) -> Result<bool> {
        let rows = time.len();
        self.set.add(key, rows)?;
        let ticks = ticks(time)?;
        let hashes = self.set.hashes(key, rows)?;
        for (hash, time) in hashes.into_iter().zip(ticks.values()) {
            let from = time.saturating_sub(before);
            let known = self.times.entry(hash).or_insert(from);
            *known = from.min(*known);
        }
        let size = self.times.capacity() * BYTES_A_TIME;
        self.reservation.try_resize(size)?;
        Ok(ticks.null_count() == 0)
    }

    /// The keys.
    pub(super) fn keys(&self) -> &Arc<KeySet> {
        &self.set
    }

    /// `key is one of them and time is not before its time`; a row without time comes after all
    /// others. Scans can leave out files by the earliest time.
    pub(super) fn predicate(
        self: &Arc<Self>,
        key: &[Expr],
        time: &Expr,
        of: &DataType,
    ) -> Result<Expr> {
        let Some(first) = self.times.values().min() else {
            return Ok(lit(false));
        };
        let first = cast(&Int64Array::from_value(*first, 1), of)?;
        let first = lit(ScalarValue::try_from_array(&first, 0)?);
        let recent = time.clone().gt_eq(first).or(time.clone().is_null());
        let arguments: Vec<Expr> = key.iter().chain([time]).cloned().collect();
        Ok(recent.and(holds(self, arguments)))
    }
}

impl Predicate for KeyTimes {
    const NAME: &'static str = "is_from";

    fn holds(&self, mut columns: Vec<ArrayRef>, rows: usize) -> Result<BooleanArray> {
        let Some(time) = columns.pop() else {
            return internal_err!("`is_from` has no time");
        };
        let ticks = ticks(&time)?;
        let hashes = self.set.hashes(&columns, rows)?;
        let found = hashes.iter().enumerate().map(|(row, hash)| {
            let from = self.times.get(hash);
            Some(from.is_some_and(|from| ticks.is_null(row) || ticks.value(row) >= *from))
        });
        Ok(found.collect())
    }
}

/// Timestamps as numbers of their unit.
fn ticks(times: &ArrayRef) -> Result<Int64Array> {
    Ok(cast(times, &DataType::Int64)?
        .as_primitive::<Int64Type>()
        .clone())
}
