//! Which rows went: as values, and as places in a table's files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array,
};
use datafusion::arrow::compute::{filter_record_batch, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Int64Type, UInt32Type};
use datafusion::common::hash_utils::{QualityRandomState, RandomState, create_hashes};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{Expr, cast, ident, lit};
use roaring::RoaringTreemap;
use url::Url;

use super::bits::{as_bits, null_masks};
use crate::catalog::{FILE_COLUMN, ROW_COLUMN};

/// Bytes an entry of [`Gone`] takes in a hash table at its emptiest.
const BYTES_A_ROW: usize = 80;
/// Bits of a packed place that tell the row within its file.
const ROW_BITS: u32 = 40;

/// The column of a committed row's packed place; null for a row that is computed anew.
pub(super) const PLACE: &str = "__place";

/// A row's place, packed into one number: its file, then its row there.
pub(super) fn packed() -> Expr {
    let file = cast(ident(FILE_COLUMN), DataType::Int64);
    file * lit(1_i64 << ROW_BITS) + ident(ROW_COLUMN)
}

/// Rows that went: 128 bits a row and how often.
#[derive(Debug, Default)]
pub(super) struct Gone {
    counts: HashMap<u128, i64>,
    total: u64,
    reservation: Option<MemoryReservation>,
}

impl Gone {
    pub(super) fn charged_to(pool: &Arc<dyn MemoryPool>) -> Self {
        let reservation = MemoryConsumer::new("rows to remove").register(pool);
        Self {
            reservation: Some(reservation),
            ..Self::default()
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.total
    }

    /// Remembers all rows of a batch.
    pub(super) fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let each = Int64Array::from_value(-1, rows.num_rows());
        self.take_down(rows, &each)
    }

    /// Remembers the rows with a negative count.
    pub(super) fn take_down(
        &mut self,
        rows: &RecordBatch,
        changes: &Int64Array,
    ) -> Result<()> {
        if changes.values().iter().all(|change| *change >= 0) {
            return Ok(());
        }
        for (hash, change) in hashes(rows)?.into_iter().zip(changes.values()) {
            if *change < 0 {
                *self.counts.entry(hash).or_default() -= change;
                self.total += change.unsigned_abs();
            }
        }
        let size = self.counts.capacity() * BYTES_A_ROW;
        match &self.reservation {
            Some(reservation) => reservation.try_resize(size),
            None => Ok(()),
        }
    }

    /// `rows` without those that went; each counts once.
    pub(super) fn strike(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let went = self.went(&hashes(rows)?);
        let keep: BooleanArray = went.iter().map(|went| Some(!went)).collect();
        Ok(filter_record_batch(rows, &keep)?)
    }

    /// Which of `rows` went, each counted once, and whether one that did not is like one that
    /// did.
    pub(super) fn marks(&mut self, rows: &RecordBatch) -> Result<(Vec<bool>, bool)> {
        let hashes = hashes(rows)?;
        let went = self.went(&hashes);
        let each = || hashes.iter().zip(&went);
        let gone: HashSet<_> = each().filter(|(_, w)| **w).map(|(h, _)| h).collect();
        let is_ambiguous = each().any(|(hash, went)| !went && gone.contains(hash));
        Ok((went, is_ambiguous))
    }

    /// Those of `rows` that went, told by their first `width` columns; each counts once.
    pub(super) fn taken(
        &mut self,
        rows: &RecordBatch,
        width: usize,
    ) -> Result<RecordBatch> {
        let all: Vec<usize> = (0..width).collect();
        let went = self.went(&hashes(&rows.project(&all)?)?);
        Ok(filter_record_batch(rows, &BooleanArray::from(went))?)
    }

    fn went(&mut self, hashes: &[u128]) -> Vec<bool> {
        let mut went = Vec::with_capacity(hashes.len());
        for hash in hashes {
            let Some(count) = self.counts.get_mut(hash) else {
                went.push(false);
                continue;
            };
            *count -= 1;
            self.total -= 1;
            if *count == 0 {
                self.counts.remove(hash);
            }
            went.push(true);
        }
        went
    }

    /// An error if rows are left that should have been found in `table`.
    pub(super) fn none_left(&self, table: &Url) -> Result<()> {
        match self.total {
            0 => Ok(()),
            rows => {
                internal_err!(
                    "{rows} rows that are to be removed are in no file of `{table}`"
                )
            }
        }
    }
}

/// Places of rows, by the file's place among the table's.
#[derive(Debug, Default)]
pub(super) struct Positions {
    files: BTreeMap<u32, RoaringTreemap>,
    reservation: Option<MemoryReservation>,
}

impl Positions {
    pub(super) fn charged_to(pool: &Arc<dyn MemoryPool>) -> Self {
        let reservation = MemoryConsumer::new("places of rows to remove").register(pool);
        Self {
            files: BTreeMap::new(),
            reservation: Some(reservation),
        }
    }

    /// Adds a packed place.
    pub(super) fn add(&mut self, packed: i64) -> Result<()> {
        let packed = packed.unsigned_abs();
        let file = u32::try_from(packed >> ROW_BITS).unwrap_or(u32::MAX);
        self.insert(file, packed & ((1 << ROW_BITS) - 1));
        match &self.reservation {
            // a row among others takes two bytes
            Some(reservation) => reservation.try_grow(2),
            None => Ok(()),
        }
    }

    /// Adds the places of rows that have them in their last columns, the file and the row.
    pub(super) fn add_all(&mut self, rows: &RecordBatch) {
        let width = rows.num_columns();
        let files = rows.column(width - 2).as_primitive::<UInt32Type>();
        let places = rows.column(width - 1).as_primitive::<Int64Type>();
        for (file, row) in files.values().iter().zip(places.values()) {
            self.insert(*file, row.unsigned_abs());
        }
    }

    pub(super) fn insert(&mut self, file: u32, row: u64) {
        self.files.entry(file).or_default().insert(row);
    }

    pub(super) fn extend(&mut self, other: Self) {
        if let (Some(mine), Some(other)) = (&self.reservation, &other.reservation) {
            mine.grow(other.size());
        }
        for (file, rows) in other.files {
            *self.files.entry(file).or_default() |= rows;
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.files.values().map(RoaringTreemap::len).sum()
    }

    /// The files and their rows.
    pub(super) fn files(&self) -> impl Iterator<Item = (usize, &RoaringTreemap)> {
        let files = self.files.iter();
        files.map(|(file, rows)| (usize::try_from(*file).unwrap_or(usize::MAX), rows))
    }
}

/// Rows with a positive count, as often as it says.
pub(super) fn repeated(rows: &RecordBatch, changes: &Int64Array) -> Result<RecordBatch> {
    let mut indices = Vec::new();
    for (row, count) in changes.values().iter().enumerate() {
        let row =
            u32::try_from(row).map_err(|e| DataFusionError::External(Box::new(e)))?;
        let times = usize::try_from(*count).unwrap_or(0);
        indices.extend(std::iter::repeat_n(row, times));
    }
    Ok(take_record_batch(rows, &UInt32Array::from(indices))?)
}

/// 128 bits a row, out of two independent functions.
pub(super) fn hashes(rows: &RecordBatch) -> Result<Vec<u128>> {
    let mut first = vec![0; rows.num_rows()];
    let mut second = vec![0; rows.num_rows()];
    let nulls = null_masks(rows.columns(), rows.num_rows());
    let columns = rows.columns().iter().map(as_bits).chain(nulls);
    let columns: Vec<_> = columns.collect();
    create_hashes(&columns, &RandomState::with_seed(1), &mut first)?;
    create_hashes(&columns, &QualityRandomState::with_seed(2), &mut second)?;
    let pairs = first.into_iter().zip(second);
    Ok(pairs
        .map(|(a, b)| (u128::from(a) << 64) | u128::from(b))
        .collect())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, StringArray};

    use super::*;

    fn rows(texts: &[&str]) -> RecordBatch {
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        RecordBatch::try_from_iter([("s", column)]).unwrap()
    }

    #[test]
    fn rows_come_as_often_as_counted() {
        let changes = Int64Array::from(vec![2, -1, 1]);
        let came = repeated(&rows(&["a", "b", "c"]), &changes).unwrap();
        assert_eq!(came, rows(&["a", "a", "c"]));
    }

    #[test]
    fn equal_rows_are_struck_as_often_as_they_went() {
        let mut gone = Gone::default();
        let changes = Int64Array::from(vec![-2, 1, -1]);
        gone.take_down(&rows(&["a", "b", "c"]), &changes).unwrap();
        assert_eq!(gone.rows(), 3);
        let rest = gone.strike(&rows(&["a", "a", "a", "b", "c"])).unwrap();
        assert_eq!(rest, rows(&["a", "b"]));
        assert_eq!(gone.rows(), 0);
    }

    #[test]
    fn nulls_tell_rows_apart() {
        let text =
            |text: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        let of = |a, b| {
            let rows = RecordBatch::try_from_iter([("a", text(a)), ("b", text(b))]);
            hashes(&rows.unwrap()).unwrap()
        };
        assert_ne!(of(Some("x"), None), of(None, Some("x")));
        assert_eq!(of(None, Some("x")), of(None, Some("x")));
    }

    #[test]
    fn rows_are_marked_as_often_as_they_went() {
        let mut gone = Gone::default();
        gone.add(&rows(&["a", "b"])).unwrap();
        let (went, is_ambiguous) = gone.marks(&rows(&["a", "a", "c"])).unwrap();
        assert_eq!(went, [true, false, false]);
        assert!(is_ambiguous);
        assert_eq!(gone.rows(), 1);
        let (went, is_ambiguous) = gone.marks(&rows(&["b", "c", "c"])).unwrap();
        assert_eq!(went, [true, false, false]);
        assert!(!is_ambiguous);
    }

    #[test]
    fn places_are_those_of_the_last_columns() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "b"]));
        let files: ArrayRef = Arc::new(UInt32Array::from(vec![0, 1, 1]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7, 0, 5]));
        let there = [("s", texts), ("f", files), ("r", numbers)];
        let mut places = Positions::default();
        places.add_all(&RecordBatch::try_from_iter(there).unwrap());
        let mut files = places.files();
        assert_eq!(files.next().unwrap().0, 0);
        assert!(files.next().unwrap().1.iter().eq([0, 5]));
    }
}
