//! A set of keys, and the SQL function that asks whether a key is in it.
//!
//! Keys are kept as hashes of 64 bits. Where they say what is recomputed, two keys of one hash are
//! recomputed together: a little more work.

use std::sync::{Arc, PoisonError, RwLock};

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{HashSet, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::Expr;

use super::bits::null_masks;
use super::key_index::{Hashes, index_hashes, is_indexed};
use super::predicate::{Predicate, holds};

/// Bytes a key takes: a hash table of 64 bits a key is at most seven eighths and at least
/// seven sixteenths full.
const BYTES_A_KEY: usize = 20;

/// Keys of one or several columns. It grows while changed rows are read and is asked while
/// rows are recomputed.
#[derive(Debug)]
pub(super) struct KeySet {
    types: Vec<DataType>,
    keys: RwLock<Keys>,
}

#[derive(Debug)]
struct Keys {
    hashes: HashSet<u64>,
    /// Whether a part of a key is null.
    has_null: bool,
    /// The hashes by which an index tells them, if there may be one.
    indexed: Option<Vec<u64>>,
    reservation: MemoryReservation,
}

impl KeySet {
    /// An empty set of keys of these types, charged to `pool`.
    pub(super) fn new(types: Vec<DataType>, pool: &Arc<dyn MemoryPool>) -> Self {
        let reservation = MemoryConsumer::new("keys to recompute").register(pool);
        Self {
            types,
            keys: RwLock::new(Keys {
                hashes: HashSet::new(),
                has_null: false,
                indexed: None,
                reservation,
            }),
        }
    }

    /// The same set, which can be asked for the hashes of an index.
    pub(super) fn indexed(self) -> Self {
        let is_indexed = matches!(self.types.as_slice(), [only] if is_indexed(only));
        let keys = self
            .keys
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Self {
            types: self.types,
            keys: RwLock::new(Keys {
                indexed: is_indexed.then(Vec::new),
                ..keys
            }),
        }
    }

    /// The hashes of its keys in an index.
    pub(super) fn index_hashes(&self) -> Option<Hashes> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.indexed.clone().map(Hashes::new)
    }

    /// Another set of keys like these, empty.
    pub(super) fn empty(&self, pool: &Arc<dyn MemoryPool>) -> Self {
        Self::new(self.types.clone(), pool)
    }

    /// Adds the keys of some rows, a column a part of the key.
    pub(super) fn add(&self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let hashes = self.hashes(columns, rows)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.hashes.extend(hashes);
        keys.has_null |= columns.iter().any(|column| column.null_count() > 0);
        let mut size = keys.hashes.capacity() * BYTES_A_KEY;
        if let (Some(indexed), [key]) = (&mut keys.indexed, columns) {
            indexed.extend(index_hashes(key)?);
            size += indexed.capacity() * size_of::<u64>();
        }
        keys.reservation.try_resize(size)
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.hashes.len()
    }

    /// Which of some keys are in it.
    pub(super) fn contains(
        &self,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<BooleanArray> {
        let hashes = self.hashes(columns, rows)?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let found = hashes.iter().map(|hash| keys.hashes.contains(hash));
        Ok(BooleanArray::from_iter(found.map(Some)))
    }

    /// One hash a row; a null is a value like any other.
    pub(super) fn hashes(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
        let mut columns = columns
            .iter()
            .zip(&self.types)
            .map(|(column, to)| match column.data_type() == to {
                true => Ok(Arc::clone(column)),
                false => cast(column, to),
            })
            .collect::<Result<Vec<_>, _>>()?;
        columns.extend(null_masks(&columns, rows));
        let mut hashes = vec![0; rows];
        create_hashes(&columns, &RandomState::with_seed(0), &mut hashes)?;
        Ok(hashes)
    }

    /// The same once the set is filled: a scan that can leave out pages by it reads the places
    /// of pages, and then no page without a key.
    pub(super) fn filled_predicate(self: &Arc<Self>, key: &[Expr]) -> Expr {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let has_null = keys.has_null;
        drop(keys);
        let is_in = self.predicate(key);
        match has_null {
            true => is_in,
            false => key
                .iter()
                .fold(is_in, |all, key| all.and(key.clone().is_not_null())),
        }
    }

    /// `key is in the set`, as a predicate. The set may still be filled.
    pub(super) fn predicate(self: &Arc<Self>, key: &[Expr]) -> Expr {
        holds(self, key.to_vec())
    }
}

impl Predicate for KeySet {
    const NAME: &'static str = "is_to_be_recomputed";

    fn holds(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<BooleanArray> {
        self.contains(&columns, rows)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{DictionaryArray, Int64Array, StringArray};
    use datafusion::arrow::datatypes::Int32Type;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, UnboundedMemoryPool};

    use super::*;

    fn pool() -> Arc<dyn MemoryPool> {
        Arc::new(UnboundedMemoryPool::default())
    }

    #[test]
    fn keys_are_found_whatever_type_they_come_in() {
        let set = KeySet::new(vec![DataType::Utf8, DataType::Int64], &pool());
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        set.add(&[texts, Arc::clone(&numbers)], 2).unwrap();
        let dictionary: DictionaryArray<Int32Type> =
            [Some("a"), None].into_iter().collect();
        let dictionary: ArrayRef = Arc::new(dictionary);
        let found = set
            .contains(&[Arc::clone(&dictionary), numbers], 2)
            .unwrap();
        assert_eq!(found, BooleanArray::from(vec![true, true]));
        let others: ArrayRef = Arc::new(Int64Array::from(vec![2, 1]));
        let found = set.contains(&[dictionary, others], 2).unwrap();
        assert_eq!(found, BooleanArray::from(vec![false, false]));
    }

    #[test]
    fn a_null_is_a_part_of_a_key() {
        let set = KeySet::new(vec![DataType::Utf8, DataType::Utf8], &pool());
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
        set.add(&[Arc::clone(&text), Arc::clone(&null)], 1).unwrap();
        let found = set.contains(&[Arc::clone(&null), Arc::clone(&text)], 1);
        assert_eq!(found.unwrap(), BooleanArray::from(vec![false]));
        let found = set.contains(&[text, null], 1);
        assert_eq!(found.unwrap(), BooleanArray::from(vec![true]));
    }

    #[test]
    fn memory_is_charged_and_bounded() {
        let small: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(64));
        let set = KeySet::new(vec![DataType::Int64], &small);
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let error = set.add(&[keys], 1_000).unwrap_err().to_string();
        assert!(error.contains("keys to recompute"), "{error}");
    }
}
