//! What is held of every row: the hash of its key, its time and its address.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::compute::is_null;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::hash_utils::{QualityRandomState, create_hashes};
use datafusion::execution::memory_pool::MemoryReservation;

/// Entries are kept apart by 8 bits of their hash: in parts that fit a cache.
pub(super) const PARTS: usize = 256;
/// How many entries memory is taken for at a time.
const CHUNK: usize = 1024;
/// How many entries of a part are to be sorted at once.
const BUCKET: usize = 16;

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

    pub(super) fn ties(&self, other: &Self) -> bool {
        self.order == other.order && self.same_key(other)
    }
}

/// The rows of one partition, by part.
#[derive(Debug)]
pub(super) struct Entries {
    parts: Vec<Vec<Vec<Entry>>>,
    rows: u32,
    reservation: MemoryReservation,
}

/// Two hashes of a key.
#[derive(Debug)]
pub(super) struct KeyHasher {
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
    pub(super) fn supports(data_type: &DataType) -> bool {
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

    fn hash(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
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
            hashes.clear();
            hashes.resize(rows, 0);
            create_hashes(&hashed, state, hashes)?;
        }
        Ok(())
    }
}

impl Entries {
    pub(super) fn new(reservation: MemoryReservation) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Vec::new()).collect(),
            rows: 0,
            reservation,
        }
    }

    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Adds the rows of a batch; `false` if there are more than addresses.
    pub(super) fn push(
        &mut self,
        hasher: &mut KeyHasher,
        keys: &[ArrayRef],
        orders: &[u64],
    ) -> Result<bool> {
        hasher.hash(keys, orders.len())?;
        let [first, second] = &hasher.hashes;
        for ((hash, other), order) in first.iter().zip(second).zip(orders) {
            let part = &mut self.parts[(*other >> 56) as usize];
            let chunk = match part.last_mut() {
                Some(chunk) if chunk.len() < CHUNK => chunk,
                _ => {
                    self.reservation.try_grow(CHUNK * size_of::<Entry>())?;
                    part.push(Vec::with_capacity(CHUNK));
                    let last = part.len() - 1;
                    &mut part[last]
                }
            };
            chunk.push(Entry {
                hash: *hash,
                low: *other as u32,
                address: self.rows,
                order: *order,
            });
            match self.rows.checked_add(1) {
                Some(rows) => self.rows = rows,
                None => return Ok(false),
            }
        }
        Ok(true)
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
    for partition in partitions {
        for (part, chunks) in parts.iter_mut().zip(partition.parts) {
            let bytes = chunks.len() * CHUNK * size_of::<Entry>();
            part.pieces.push(Piece {
                base,
                chunks,
                reservation: partition.reservation.split(bytes),
            });
        }
        base += partition.rows;
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
