//! Keys and the zones they are in, gathered.

use std::collections::BTreeMap;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, UInt32Type};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use object_store::path::Path;
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

/// Rows of a zone.
const ZONE: u64 = 8_192;
/// Bytes of an entry.
const ENTRY: usize = 16;

/// A file of which zones are told.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ZonedFile {
    path: String,
    rows: u64,
    /// The number of its first zone.
    first: u32,
}

impl ZonedFile {
    fn zones(&self) -> u32 {
        u32::try_from(self.rows.div_ceil(ZONE)).unwrap_or(u32::MAX)
    }
}

/// Keys and the zones they are in.
#[derive(Debug, Default)]
pub(in super::super) struct Zones {
    files: Vec<ZonedFile>,
    /// Until zones are numbered a zone is its file's place and its number within the file.
    entries: Vec<(u64, u64)>,
}

impl Zones {
    /// Files; their keys are to be added.
    pub(in super::super) fn of_files(files: impl Iterator<Item = Path>) -> Self {
        let file = |path: Path| ZonedFile {
            path: path.to_string(),
            rows: 0,
            first: 0,
        };
        Self {
            files: files.map(file).collect(),
            entries: Vec::new(),
        }
    }

    /// What was added so far; more can be added to the same files here.
    pub(super) fn take_full(&mut self) -> Self {
        Self {
            files: self.files.clone(),
            entries: std::mem::take(&mut self.entries),
        }
    }

    /// Numbers the zones, once all keys are added.
    pub(super) fn number(&mut self) {
        let mut first = 0_u32;
        for file in &mut self.files {
            file.first = first;
            first = first.saturating_add(file.zones());
        }
        for (_, zone) in &mut self.entries {
            let (file, within) = (*zone >> 32, *zone & u64::from(u32::MAX));
            let file = usize::try_from(file).ok().and_then(|f| self.files.get(f));
            *zone = file.map_or(0, |file| u64::from(file.first)) + within;
        }
    }

    /// Of a file that a segment names.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        Some(Self {
            files: serde_json::from_str(text).ok()?,
            entries: Vec::new(),
        })
    }

    pub(super) fn files_to_text(&self) -> Option<String> {
        serde_json::to_string(&self.files).ok()
    }

    fn add_file(&mut self, path: String, rows: u64) {
        let first = self.end();
        self.files.push(ZonedFile { path, rows, first });
    }

    /// The number of zones.
    fn end(&self) -> u32 {
        let last = self.files.last();
        last.map_or(0, |file| file.first.saturating_add(file.zones()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Adds rows out of columns: the key, the file, the row.
    pub(in super::super) fn add_batch(
        &mut self,
        batch: &RecordBatch,
        reservation: &MemoryReservation,
    ) -> Result<bool> {
        let [key, files, rows] = batch.columns() else {
            return Ok(false);
        };
        let files = files.as_primitive::<UInt32Type>();
        self.add(key, files, rows.as_primitive::<Int64Type>(), reservation)
    }

    /// Adds rows: their keys, the place of their file among those of this, and their row there.
    /// `false` if memory does not suffice.
    fn add(
        &mut self,
        keys: &ArrayRef,
        files: &UInt32Array,
        rows: &Int64Array,
        reservation: &MemoryReservation,
    ) -> Result<bool> {
        if reservation.try_grow(keys.len() * ENTRY).is_err() {
            return Ok(false);
        }
        let places = files.values().iter().zip(rows.values());
        for (hash, (file, row)) in index_hashes(keys)?.into_iter().zip(places) {
            let row = row.unsigned_abs();
            if let Some(file) = usize::try_from(*file)
                .ok()
                .and_then(|f| self.files.get_mut(f))
            {
                file.rows = file.rows.max(row + 1);
            }
            self.entries
                .push((hash, (u64::from(*file) << 32) | (row / ZONE)));
        }
        Ok(true)
    }

    /// Takes in the files of another; the number of its first zone here.
    pub(super) fn take_in(&mut self, other: Self) -> u32 {
        let first = self.end();
        for file in other.files {
            self.add_file(file.path, file.rows);
        }
        first
    }

    /// Adds entries whose zones are counted from `first` on.
    pub(super) fn extend(
        &mut self,
        keys: &[u64],
        zones: &[u32],
        first: u32,
        reservation: &MemoryReservation,
    ) -> bool {
        let grown = reservation.try_grow(keys.len() * ENTRY).is_ok();
        let entries = keys.iter().zip(zones);
        self.entries.extend(
            entries.map(|(hash, zone)| (*hash, u64::from(zone.saturating_add(first)))),
        );
        grown
    }

    /// The entries, each once, in order.
    pub(super) fn sorted(&mut self) -> &[(u64, u64)] {
        self.entries.sort_unstable();
        self.entries.dedup();
        &self.entries
    }

    /// Adds the rows of a zone.
    pub(super) fn add_rows(&self, zone: u32, to: &mut BTreeMap<Path, RoaringTreemap>) {
        let after = self.files.partition_point(|file| file.first <= zone);
        let Some(file) = after.checked_sub(1).and_then(|i| self.files.get(i)) else {
            return;
        };
        let start = u64::from(zone - file.first) * ZONE;
        let end = (start + ZONE).min(file.rows);
        let rows = to.entry(Path::from(file.path.as_str())).or_default();
        rows.insert_range(start..end);
    }

    /// The paths of its files.
    pub(super) fn into_paths(self) -> impl Iterator<Item = Path> {
        self.files.into_iter().map(|file| Path::from(file.path))
    }
}

/// Bits of a hash: among a thousand million keys one in a thousand is taken for another.
const BITS: u32 = 40;

/// Whether keys of this type can be indexed.
pub(in super::super) fn is_indexed(key: &DataType) -> bool {
    key.is_integer() || key.is_string()
}

/// A hash of each key, the same on every machine; nulls have one of their own.
pub(in super::super) fn index_hashes(keys: &ArrayRef) -> Result<Vec<u64>> {
    let cut = |hash: u64| hash >> (u64::BITS - BITS);
    if keys.data_type().is_integer() {
        let numbers = cast(keys, &DataType::Int64)?;
        let numbers = numbers.as_primitive::<Int64Type>();
        return Ok(numbers
            .iter()
            .map(|n| n.map_or(0, |n| cut(XxHash64::oneshot(0, &n.to_le_bytes()))))
            .collect());
    }
    let texts = cast(keys, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    Ok(texts
        .iter()
        .map(|t| t.map_or(0, |t| cut(XxHash64::oneshot(0, t.as_bytes()))))
        .collect())
}
