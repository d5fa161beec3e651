//! What is held of every row: the hash of its key, its time and its address.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::is_null;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::hash_utils::{QualityRandomState, create_hashes};
use datafusion::execution::memory_pool::MemoryReservation;
use twox_hash::XxHash3_128;

/// Entries are kept apart by 8 bits of their hash: in parts that fit a cache.
pub(super) const PARTS: usize = 256;
/// How many entries memory is taken for at a time.
const CHUNK: usize = 1024;
/// How many entries of a part are to be sorted at once.
const BUCKET: usize = 4;

/// One row. Rows with equal hashes have one key: 104 bits tell keys apart, 8 of them by the
/// part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) hash: u64,
    pub(super) low: u32,
    /// The row's place in the order, see [`Order`](super::order::Order).
    pub(super) order: u64,
    /// Its place among the rows of its partition, then among all rows.
    pub(super) address: u32,
}

impl Entry {
    pub(super) fn same_key(&self, other: &Self) -> bool {
        (self.hash, self.low) == (other.hash, other.low)
    }

    /// Whether the key is null, if it is of one column.
    pub(super) fn has_no_key(&self) -> bool {
        (self.hash, self.low) == (0, 0)
    }

    pub(super) fn ties(&self, other: &Self) -> bool {
        self.order == other.order && self.same_key(other)
    }
}

/// The rows of one partition, by part.
#[derive(Debug)]
pub(super) struct Entries {
    /// The chunk of each part that has room.
    last: Vec<Vec<Entry>>,
    full: Vec<Vec<Vec<Entry>>>,
    /// The parts that are held.
    held: Range<usize>,
    rows: u32,
    reservation: MemoryReservation,
}

/// 128 bits of a key.
#[derive(Debug)]
pub(crate) struct KeyHasher {
    states: [QualityRandomState; 2],
    hashes: [Vec<u64>; 2],
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self {
            states: [0x5e55, 0x10_1235].map(QualityRandomState::with_seed),
            hashes: [Vec::new(), Vec::new()],
        }
    }
}

impl KeyHasher {
    /// Whether equal values of a type have equal hashes, and others do not.
    pub(crate) fn supports(data_type: &DataType) -> bool {
        data_type.is_integer()
            || data_type.is_string()
            || matches!(
                data_type,
                DataType::Boolean
                    | DataType::Binary
                    | DataType::LargeBinary
                    | DataType::BinaryView
                    | DataType::FixedSizeBinary(_)
                    | DataType::Date32
                    | DataType::Date64
                    | DataType::Timestamp(_, _)
                    | DataType::Decimal128(_, _)
            )
    }

    /// The halves of the hash of each row's key.
    pub(crate) fn hash(&mut self, keys: &[ArrayRef], rows: usize) -> Result<[&[u64]; 2]> {
        for hashes in &mut self.hashes {
            hashes.clear();
        }
        if let [key] = keys
            && self.hash_strings(key)
        {
            return Ok(self.hashes.each_ref().map(Vec::as_slice));
        }
        // with several columns a null must count: ('a', null) is not (null, 'a')
        let mut hashed = Vec::with_capacity(2 * keys.len());
        for key in keys {
            hashed.push(Arc::clone(key));
            if keys.len() > 1 {
                let nulls: BooleanArray = is_null(key)?;
                hashed.push(Arc::new(nulls) as ArrayRef);
            }
        }
        for (state, hashes) in self.states.iter().zip(&mut self.hashes) {
            hashes.resize(rows, 0);
            create_hashes(&hashed, state, hashes)?;
        }
        Ok(self.hashes.each_ref().map(Vec::as_slice))
    }

    /// Hashes one column of strings, all bits at once; `false` if it is of another type.
    fn hash_strings(&mut self, key: &ArrayRef) -> bool {
        match key.data_type() {
            DataType::Utf8 => self.hash_each(key.as_string::<i32>().iter()),
            DataType::LargeUtf8 => self.hash_each(key.as_string::<i64>().iter()),
            DataType::Utf8View => self.hash_each(key.as_string_view().iter()),
            _ => return false,
        }
        true
    }

    fn hash_each<'a>(&mut self, strings: impl Iterator<Item = Option<&'a str>>) {
        let [first, second] = &mut self.hashes;
        for string in strings {
            let hash = string.map_or(0, |s| XxHash3_128::oneshot(s.as_bytes()));
            first.push(hash as u64);
            second.push((hash >> 64) as u64);
        }
    }
}

impl Entries {
    /// For the rows of some parts.
    pub(super) fn new(reservation: MemoryReservation, held: Range<usize>) -> Self {
        Self {
            last: vec![Vec::new(); PARTS],
            full: vec![Vec::new(); PARTS],
            held,
            rows: 0,
            reservation,
        }
    }

    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Adds the rows of a batch, or those that pass a filter; `false` if there are more than
    /// addresses.
    pub(super) fn push(
        &mut self,
        [first, second]: [&[u64]; 2],
        orders: &[u64],
        passes: Option<&BooleanBuffer>,
    ) -> Result<bool> {
        let rows = passes.map_or(orders.len(), BooleanBuffer::count_set_bits);
        let Some(end) = u32::try_from(rows)
            .ok()
            .and_then(|rows| self.rows.checked_add(rows))
        else {
            return Ok(false);
        };
        let rows = first.iter().zip(second).zip(orders);
        match passes {
            None => {
                for (address, row) in (self.rows..).zip(rows) {
                    self.add(address, row)?;
                }
            }
            Some(passes) => {
                let rows = rows.zip(passes.iter()).filter(|(_, passes)| *passes);
                for (address, (row, _)) in (self.rows..).zip(rows) {
                    self.add(address, row)?;
                }
            }
        }
        self.rows = end;
        Ok(true)
    }

    #[inline]
    fn add(
        &mut self,
        address: u32,
        ((hash, other), order): ((&u64, &u64), &u64),
    ) -> Result<()> {
        let part = (*other >> 56) as usize;
        if !self.held.contains(&part) {
            return Ok(());
        }
        let chunk = &mut self.last[part];
        if chunk.len() == chunk.capacity() {
            self.reservation.try_grow(CHUNK * size_of::<Entry>())?;
            let full = std::mem::replace(chunk, Vec::with_capacity(CHUNK));
            self.full[part].push(full);
        }
        chunk.push(Entry {
            hash: *hash,
            low: *other as u32,
            address,
            order: *order,
        });
        Ok(())
    }

    /// The chunks of each part.
    fn into_parts(self) -> impl Iterator<Item = Vec<Vec<Entry>>> {
        self.full
            .into_iter()
            .zip(self.last)
            .map(|(mut full, last)| {
                full.push(last);
                full
            })
    }
}

/// One part of the rows of all partitions: by key, within a key by time.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) entries: Vec<Entry>,
    /// Rows that no order column tells apart; `None` if there is but one column.
    peers: Option<Vec<Range<usize>>>,
    _reservations: Vec<MemoryReservation>,
}

/// One part, as it was collected.
#[derive(Debug, Default)]
pub(super) struct UnsortedPart {
    pieces: Vec<Piece>,
}

/// What one partition has of a part.
#[derive(Debug)]
struct Piece {
    /// How many rows the partitions before have.
    base: u32,
    chunks: Vec<Vec<Entry>>,
    reservation: MemoryReservation,
}

/// The parts of all partitions, addresses counted through them.
pub(super) fn parts(partitions: Vec<Entries>) -> Vec<UnsortedPart> {
    let mut parts: Vec<_> = (0..PARTS).map(|_| UnsortedPart::default()).collect();
    let mut base = 0;
    for mut partition in partitions {
        let (rows, reservation) = (partition.rows, partition.reservation.take());
        for (part, chunks) in parts.iter_mut().zip(partition.into_parts()) {
            let held: usize = chunks.iter().map(Vec::capacity).sum();
            part.pieces.push(Piece {
                base,
                chunks,
                reservation: reservation.split(held * size_of::<Entry>()),
            });
        }
        base += rows;
    }
    parts
}

impl UnsortedPart {
    /// Puts rows of a key together, in their order; equal ones by address.
    ///
    /// Rows go to small buckets by the first bits of their hash, which keeps them in the
    /// order that they came in, and few are left to compare in each.
    pub(super) fn sort(self) -> Part {
        let chunks = self.pieces.iter().flat_map(|piece| &piece.chunks);
        let rows: usize = chunks.clone().map(Vec::len).sum();
        let bits = (rows / BUCKET).checked_ilog2().unwrap_or(0).clamp(1, 16);
        let bucket = |entry: &Entry| (entry.hash >> (64 - bits)) as usize;
        let mut ends = vec![0; 1 << bits];
        for entry in chunks.flatten() {
            ends[bucket(entry)] += 1;
        }
        let mut begins = 0;
        for end in &mut ends {
            (begins, *end) = (begins + *end, begins);
        }
        let mut entries = vec![Entry::default(); rows];
        let mut reservations = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces {
            for entry in piece.chunks.into_iter().flatten() {
                let place = &mut ends[bucket(&entry)];
                entries[*place] = Entry {
                    address: piece.base + entry.address,
                    ..entry
                };
                *place += 1;
            }
            reservations.push(piece.reservation);
        }
        let mut from = 0;
        for end in ends {
            entries[from..end].sort_unstable();
            from = end;
        }
        Part {
            entries,
            peers: None,
            _reservations: reservations,
        }
    }
}

impl Part {
    /// The rows of each key.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[Entry]> {
        self.entries.chunk_by(Entry::same_key)
    }

    /// Rows of a key that share their place, run by run.
    pub(super) fn tied(&self) -> impl Iterator<Item = &[Entry]> {
        let runs = self.entries.chunk_by(Entry::ties);
        runs.filter(|run| run.len() > 1)
    }

    /// Orders rows that share their place by what `rank` says of their addresses.
    pub(super) fn untie(&mut self, rank: impl Fn(u32) -> u32) {
        let (mut peers, mut from) = (Vec::new(), 0);
        for run in self.entries.chunk_by_mut(Entry::ties) {
            if run.len() > 1 {
                run.sort_unstable_by_key(|entry| (rank(entry.address), entry.address));
                for equal in run.chunk_by(|a, b| rank(a.address) == rank(b.address)) {
                    if equal.len() > 1 {
                        peers.push(from..from + equal.len());
                    }
                    from += equal.len();
                }
            } else {
                from += 1;
            }
        }
        self.peers = Some(peers);
    }

    /// Rows of a key that no order column tells apart, run by run.
    pub(super) fn peers(&self) -> impl Iterator<Item = &[Entry]> {
        let told = self.peers.iter().flatten();
        let told = told.map(|peers| &self.entries[peers.clone()]);
        let untold = self.peers.is_none().then(|| self.tied());
        told.chain(untold.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringArray, StringViewArray};
    use datafusion::execution::memory_pool::{
        MemoryConsumer, MemoryPool, UnboundedMemoryPool,
    };

    use super::*;

    fn hashes(keys: &[ArrayRef]) -> Vec<(u64, u64)> {
        let mut hasher = KeyHasher::default();
        let [first, second] = hasher.hash(keys, keys[0].len()).unwrap();
        first.iter().copied().zip(second.iter().copied()).collect()
    }

    #[test]
    fn nothing_but_null_hashes_to_nothing() {
        let texts = [None, Some(""), Some("a"), Some("b"), None];
        let numbers = [None, Some(0), Some(1), Some(-1), None];
        let columns: [ArrayRef; 3] = [
            Arc::new(StringArray::from(texts.to_vec())),
            Arc::new(StringViewArray::from(texts.to_vec())),
            Arc::new(Int64Array::from(numbers.to_vec())),
        ];
        for column in columns {
            let mut hashes = hashes(&[column]);
            assert_eq!((hashes[0], hashes[4]), ((0, 0), (0, 0)));
            hashes.truncate(4);
            hashes.sort_unstable();
            hashes.dedup();
            assert_eq!(hashes.len(), 4);
        }
    }

    #[test]
    fn the_place_of_a_null_counts() {
        let a: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        let b: ArrayRef = Arc::new(StringArray::from(vec![None, Some("a")]));
        let hashes = hashes(&[a, b]);
        assert_ne!(hashes[0], hashes[1]);
    }

    /// Rows in parts that are not held, or that do not pass, keep their addresses.
    #[test]
    fn parts_that_are_not_held_are_counted() {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let reservation = MemoryConsumer::new("test").register(&pool);
        let texts: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let keys: [ArrayRef; 1] = [Arc::new(StringArray::from(texts))];
        let passes: BooleanBuffer = (0..1000).map(|n| n % 3 != 0).collect();
        let mut hasher = KeyHasher::default();
        let mut all = Vec::new();
        for held in [0..100, 100..PARTS] {
            let mut entries = Entries::new(reservation.new_empty(), held);
            let hashes = hasher.hash(&keys, 1000).unwrap();
            assert!(entries.push(hashes, &[7; 1000], Some(&passes)).unwrap());
            assert_eq!(entries.rows(), 666);
            let sorted = parts(vec![entries]).into_iter().map(UnsortedPart::sort);
            let addresses = sorted.flat_map(|part| part.entries);
            all.extend(addresses.map(|entry| entry.address));
        }
        all.sort_unstable();
        assert_eq!(all, (0..666).collect::<Vec<_>>());
    }
}
