//! Which rows of files may hold a key, without reading them.
//!
//! ```text
//! key of each row ─► hash, zone (some thousand rows of a file) ─► sorted by hash ─► a segment
//! hashes of some keys ─► side by side with the segments' ─► zones ─► rows to be read
//! ```
//!
//! A hash is as long as it takes to tell keys apart that are asked for by the thousand; sorted,
//! only differences are stored, so that a row costs some three bytes. A zone that holds none
//! of the keys is at worst read in vain. Files that no segment covers are read whole.
//!
//! Every run adds a segment of the files that came. Small ones are put together, so that there
//! are never many.

mod segment;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use crate::table::{Beside, Table};
pub(super) use segment::Hashes;
use segment::{read_segment, write_segment};
pub(super) use zones::{Zones, index_hashes, is_indexed};

/// Entries of a segment: as many as are held in memory, 16 bytes each.
const MOST_ENTRIES: u64 = 4 * 1024 * 1024;

/// The index that a commit names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct KeyIndex {
    /// What is indexed: a location, and the key there.
    pub(super) of: String,
    segments: Vec<Segment>,
}

/// A file of an index.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Segment {
    name: String,
    size: u64,
    entries: u64,
}

/// Where the files of an index lie, and what the memory they take is charged to.
pub(super) struct IndexStore<'a> {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    pub(super) reservation: &'a MemoryReservation,
}

impl<'a> IndexStore<'a> {
    /// Beside a table.
    pub(super) fn of(table: &Table, reservation: &'a MemoryReservation) -> Result<Self> {
        let folder = table.beside(Beside::Keys).folder();
        let (store, folder) =
            folder.map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(Self {
            store,
            folder,
            reservation,
        })
    }
}

/// What an index says of some keys.
pub(super) struct Found {
    /// Rows that may hold one, by file.
    pub(super) rows: BTreeMap<Path, RoaringTreemap>,
    /// All files that the index covers.
    covered: BTreeSet<Path>,
}

impl Found {
    /// Whether a file may hold one of the keys.
    pub(super) fn may_be_in(&self, file: &Path) -> bool {
        self.rows.contains_key(file) || !self.covered.contains(file)
    }
}

impl KeyIndex {
    /// An index of nothing.
    pub(super) fn new(of: String) -> Self {
        Self {
            of,
            segments: Vec::new(),
        }
    }

    /// As a commit keeps it.
    pub(super) fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// What a commit kept.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Where rows of these keys may be; `None` if a segment cannot be read.
    pub(super) async fn find(
        &self,
        hashes: &Hashes,
        at: &IndexStore<'_>,
    ) -> Result<Option<Found>> {
        let mut found = Found {
            rows: BTreeMap::new(),
            covered: BTreeSet::new(),
        };
        for segment in &self.segments {
            let path = at.folder.clone().join(segment.name.as_str());
            let Some(read) = read_segment(&at.store, &path, segment.size).await? else {
                return Ok(None);
            };
            let (zones, mut entries) = read;
            while let Some((keys, places)) = entries.next().await? {
                hashes.meet(&keys, &places, |zone| zones.add_rows(zone, &mut found.rows));
            }
            found.covered.extend(zones.into_paths());
        }
        Ok(Some(found))
    }

    /// The files that it covers; `None` if a segment cannot be read.
    pub(super) async fn covered(&self, at: &IndexStore<'_>) -> Result<Option<Vec<Path>>> {
        let mut covered = Vec::new();
        for segment in &self.segments {
            let path = at.folder.clone().join(segment.name.as_str());
            let Some((zones, _)) = read_segment(&at.store, &path, segment.size).await?
            else {
                return Ok(None);
            };
            covered.extend(zones.into_paths());
        }
        Ok(Some(covered))
    }

    /// The same index with the keys of further files: `rows` gives a key, the place of its file
    /// among them, and its row there. `None` if memory does not suffice.
    pub(super) async fn with_rows(
        mut self,
        files: impl Iterator<Item = Path>,
        rows: DataFrame,
        at: &IndexStore<'_>,
    ) -> Result<Option<Self>> {
        let mut zones = Zones::of_files(files);
        let mut rows = rows.execute_stream().await?;
        while let Some(batch) = rows.next().await {
            if !zones.add_batch(&batch?, at.reservation)? {
                return Ok(None);
            }
            if zones.entries() >= MOST_ENTRIES {
                let full = zones.take_full();
                let Some(with) = self.with(full, at).await? else {
                    return Ok(None);
                };
                self = with;
                at.reservation.free();
            }
        }
        self.with(zones, at).await
    }

    /// The same index with the zones of further files; small segments are put together. `None`
    /// if memory does not suffice.
    pub(super) async fn with(
        &self,
        mut zones: Zones,
        at: &IndexStore<'_>,
    ) -> Result<Option<Self>> {
        let mut segments = self.segments.clone();
        if zones.is_empty() {
            return Ok(Some(self.clone()));
        }
        zones.number();
        while let Some(last) = segments.last()
            && last.entries < 2 * zones.entries()
            && last.entries + zones.entries() <= MOST_ENTRIES
        {
            let path = at.folder.clone().join(last.name.as_str());
            let Some((of, mut entries)) =
                read_segment(&at.store, &path, last.size).await?
            else {
                return Ok(None);
            };
            let first = zones.take_in(of);
            while let Some((keys, places)) = entries.next().await? {
                if !zones.extend(&keys, &places, first, at.reservation) {
                    return Ok(None);
                }
            }
            segments.pop();
        }
        let (name, size, entries) = write_segment(at, zones).await?;
        segments.push(Segment {
            name,
            size,
            entries,
        });
        Ok(Some(Self {
            of: self.of.clone(),
            segments,
        }))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array,
    };
    use datafusion::execution::memory_pool::{
        GreedyMemoryPool, MemoryConsumer, MemoryPool, UnboundedMemoryPool,
    };
    use object_store::memory::InMemory;

    use super::*;

    fn reservation(pool: impl MemoryPool) -> MemoryReservation {
        let pool: Arc<dyn MemoryPool> = Arc::new(pool);
        MemoryConsumer::new("test").register(&pool)
    }

    fn files(names: &[&str]) -> Vec<Path> {
        names.iter().map(|name| Path::from(*name)).collect()
    }

    /// Rows of keys: `(key, file, row)`.
    fn rows(rows: &[(Option<&str>, u32, i64)]) -> RecordBatch {
        let keys: StringArray = rows.iter().map(|row| row.0).collect();
        let files = UInt32Array::from_iter_values(rows.iter().map(|row| row.1));
        let places = Int64Array::from_iter_values(rows.iter().map(|row| row.2));
        let columns: [(_, ArrayRef); 3] = [
            ("key", Arc::new(keys)),
            ("file", Arc::new(files)),
            ("row", Arc::new(places)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn asked(keys: &[Option<&str>]) -> Hashes {
        let keys: ArrayRef = Arc::new(StringArray::from(keys.to_vec()));
        Hashes::of(&[keys]).unwrap()
    }

    /// The zones that are found: a file and the first and last row of each run.
    fn shown(found: &Found) -> Vec<(String, u64, u64)> {
        let rows = found.rows.iter();
        rows.map(|(file, rows)| {
            let (first, last) = (rows.min().unwrap(), rows.max().unwrap());
            (file.to_string(), first, last)
        })
        .collect()
    }

    async fn of_two_days(at: &IndexStore<'_>) -> KeyIndex {
        let mut index = KeyIndex::new("t id".to_owned());
        let days: [(&[&str], RecordBatch); 2] = [
            (
                &["a", "b"],
                rows(&[(Some("x"), 0, 9_000), (None, 0, 3), (Some("y"), 1, 0)]),
            ),
            (&["c"], rows(&[(Some("x"), 0, 1), (Some("z"), 0, 20_000)])),
        ];
        for (names, batch) in days {
            let mut zones = Zones::of_files(files(names).into_iter());
            assert!(zones.add_batch(&batch, at.reservation).unwrap());
            index = index.with(zones, at).await.unwrap().unwrap();
        }
        index
    }

    #[tokio::test]
    async fn keys_are_found_where_they_are() {
        let reservation = reservation(UnboundedMemoryPool::default());
        let at = IndexStore {
            store: Arc::new(InMemory::new()),
            folder: Path::from("_keys"),
            reservation: &reservation,
        };
        let index = of_two_days(&at).await;
        // small segments are one
        assert_eq!(index.segments.len(), 1);
        let index = KeyIndex::of_text(&index.to_text().unwrap()).unwrap();
        let find = async |keys: &[Option<&str>]| {
            let found = index.find(&asked(keys), &at).await.unwrap().unwrap();
            shown(&found)
        };
        let zone = |file: &str, first, last| (file.to_owned(), first, last);
        assert_eq!(
            find(&[Some("x")]).await,
            [zone("a", 8_192, 9_000), zone("c", 0, 8_191)]
        );
        assert_eq!(find(&[None]).await, [zone("a", 0, 8_191)]);
        assert_eq!(find(&[Some("z")]).await, [zone("c", 16_384, 20_000)]);
        assert_eq!(find(&[Some("nobody")]).await, []);
        assert_eq!(
            index.covered(&at).await.unwrap(),
            Some(files(&["c", "a", "b"]))
        );
    }

    #[tokio::test]
    async fn a_segment_that_is_gone_is_no_answer() {
        let reservation = reservation(UnboundedMemoryPool::default());
        let mut at = IndexStore {
            store: Arc::new(InMemory::new()),
            folder: Path::from("_keys"),
            reservation: &reservation,
        };
        let index = of_two_days(&at).await;
        at.store = Arc::new(InMemory::new());
        assert!(
            index
                .find(&asked(&[Some("x")]), &at)
                .await
                .unwrap()
                .is_none()
        );
        assert!(index.covered(&at).await.unwrap().is_none());
    }

    #[test]
    fn memory_is_charged() {
        let scarce = reservation(GreedyMemoryPool::new(16));
        let mut zones = Zones::of_files(files(&["a"]).into_iter());
        let two = rows(&[(Some("x"), 0, 0), (Some("y"), 0, 1)]);
        assert!(!zones.add_batch(&two, &scarce).unwrap());
    }
}
