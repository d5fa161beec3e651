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

use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

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
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) folder: Path,
    pub(super) reservation: &'a MemoryReservation,
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
