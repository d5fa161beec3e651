//! Rows of a data file that are deleted while the file stays as it is.
//!
//! ```text
//!   log: add `part-….parquet`, deletionVector { i, base85 text }        up to 32 KiB
//!                                             { u, base85 of an id } ─► deletion_vector_<id>.bin
//!
//!   bytes:   magic (4, little endian) │ number of maps (8) │ key (4), map │ key (4), map …
//!   file:    version 1 │ size (4, big endian) │ bytes │ CRC-32 (4, big endian)
//! ```
//!
//! The [format](https://github.com/delta-io/delta/blob/master/PROTOCOL.md#deletion-vectors)
//! is Delta's; every engine that reads deletion vectors reads ours.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::kernel::{DeletionVectorDescriptor, StorageType};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use roaring::RoaringTreemap;
use url::Url;
use uuid::Uuid;

use super::TableError;

/// What the bytes of a vector begin with.
const MAGIC: u32 = 1_681_511_377;
/// A vector of more bytes gets a file of its own.
const LONGEST_INLINE: usize = 32 * 1024;
/// An id in base85.
const ID_LENGTH: usize = 20;
/// What the name of a vector's file begins and ends with.
const NAME: (&str, &str) = ("deletion_vector_", ".bin");

/// The rows of a data file that are deleted, by their places in the file.
///
/// Two of them are equal if they delete the same rows, wherever they are kept.
#[derive(Clone, Default)]
pub struct DeletionVector {
    rows: Arc<RoaringTreemap>,
    /// What the log that it was read from says of it.
    stored: Option<Arc<DeletionVectorDescriptor>>,
}

impl PartialEq for DeletionVector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rows, &other.rows) || self.rows == other.rows
    }
}

impl Eq for DeletionVector {}

impl fmt::Debug for DeletionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeletionVector({} rows)", self.len())
    }
}

impl FromIterator<u64> for DeletionVector {
    fn from_iter<I: IntoIterator<Item = u64>>(rows: I) -> Self {
        RoaringTreemap::from_iter(rows).into()
    }
}

impl From<RoaringTreemap> for DeletionVector {
    fn from(rows: RoaringTreemap) -> Self {
        Self {
            rows: Arc::new(rows),
            stored: None,
        }
    }
}

impl DeletionVector {
    /// Whether the row at this place is deleted.
    #[cfg(test)]
    pub(crate) fn contains(&self, row: u64) -> bool {
        self.rows.contains(row)
    }

    /// How many rows are deleted.
    pub(crate) fn len(&self) -> u64 {
        self.rows.len()
    }

    /// Whether no row is deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows that either deletes.
    pub(crate) fn union(&self, other: &Self) -> Self {
        (self.rows.as_ref() | other.rows.as_ref()).into()
    }

    /// The rows that this one deletes and `other` does not.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        (self.rows.as_ref() - other.rows.as_ref()).into()
    }

    /// Whether it deletes all that `other` deletes.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.rows.is_superset(&other.rows)
    }

    /// The places of the deleted rows, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.rows.iter()
    }

    /// The last row that is deleted.
    pub(crate) fn last(&self) -> Option<u64> {
        self.rows.max()
    }

    /// The same, as the longest stretches of rows, ascending.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for row in self.iter() {
            match ranges.last_mut() {
                Some(range) if range.end == row => range.end += 1,
                _ => ranges.push(row..row + 1),
            }
        }
        ranges
    }

    /// What the log that it was read from says of it.
    pub(super) fn stored(&self) -> Option<&DeletionVectorDescriptor> {
        self.stored.as_deref()
    }

    /// The vector that `descriptor` tells of, of a table at `url`, which is `folder` of `store`.
    pub(super) async fn read(
        url: &Url,
        store: &Arc<dyn ObjectStore>,
        folder: &Path,
        descriptor: DeletionVectorDescriptor,
    ) -> Result<Self, TableError> {
        let bytes = match path(url, folder, &descriptor)? {
            None => unframed(&descriptor).map_err(|found| TableError::new(url, found))?,
            Some(path) => in_file(url, store, &path, &descriptor).await?,
        };
        let rows = decoded(&bytes).and_then(|rows| {
            let told = u64::try_from(descriptor.cardinality).unwrap_or(0);
            let found = rows.len();
            (found == told).then_some(rows).ok_or_else(|| {
                format!(
                    "a deletion vector of {found} rows, where the log says that it has {told}"
                )
            })
        });
        let rows = rows.map_err(|found| TableError::new(url, found))?;
        Ok(Self {
            rows: Arc::new(rows),
            stored: Some(Arc::new(descriptor)),
        })
    }

    /// The same rows, kept for a table at `url`, which is `folder` of `store`: in the log, or in
    /// a file of its own, which is written now.
    pub(super) async fn keep(
        &self,
        url: &Url,
        store: &Arc<dyn ObjectStore>,
        folder: &Path,
    ) -> Result<Self, TableError> {
        let stored = self.write(url, store, folder).await?;
        Ok(Self {
            rows: Arc::clone(&self.rows),
            stored: Some(Arc::new(stored)),
        })
    }

    async fn write(
        &self,
        url: &Url,
        store: &Arc<dyn ObjectStore>,
        folder: &Path,
    ) -> Result<DeletionVectorDescriptor, TableError> {
        let bytes = self
            .encoded()
            .map_err(|e| TableError::caused(url, "cannot encode a deletion vector", e))?;
        let too_long = |_| TableError::new(url, "a deletion vector of more than 2 GiB");
        let size_in_bytes = i32::try_from(bytes.len()).map_err(too_long)?;
        let cardinality = i64::try_from(self.len()).unwrap_or(i64::MAX);
        if bytes.len() <= LONGEST_INLINE {
            return Ok(DeletionVectorDescriptor {
                storage_type: StorageType::Inline,
                path_or_inline_dv: base85(bytes),
                offset: None,
                size_in_bytes,
                cardinality,
            });
        }
        let id = Uuid::new_v4();
        let path = folder.clone().join(file_name(&id));
        let written = store.put(&path, framed(&bytes, size_in_bytes).into()).await;
        written
            .map_err(|e| TableError::caused(url, format!("cannot write `{path}`"), e))?;
        Ok(DeletionVectorDescriptor {
            storage_type: StorageType::UuidRelativePath,
            path_or_inline_dv: z85::encode(id.as_bytes()),
            offset: Some(1),
            size_in_bytes,
            cardinality,
        })
    }

    fn encoded(&self) -> std::io::Result<Vec<u8>> {
        let mut rows = self.rows.as_ref().clone();
        rows.optimize();
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        rows.serialize_into(&mut bytes)?;
        Ok(bytes)
    }
}

/// Whether a table's writer gives the files of its deletion vectors such names.
pub(super) fn is_vector_file(name: &str) -> bool {
    let id = name
        .strip_prefix(NAME.0)
        .and_then(|n| n.strip_suffix(NAME.1));
    id.is_some_and(|id| Uuid::try_parse(id).is_ok())
}

fn file_name(id: &Uuid) -> String {
    format!("{}{id}{}", NAME.0, NAME.1)
}

/// The file that a vector is in, below the table's folder; `None` for one in the log.
pub(super) fn relative_path(
    descriptor: &DeletionVectorDescriptor,
) -> Result<Option<String>, String> {
    if descriptor.storage_type != StorageType::UuidRelativePath {
        return Ok(None);
    }
    let text = &descriptor.path_or_inline_dv;
    let wrong = || format!("`{text}` names no file of a deletion vector");
    let split = text.len().checked_sub(ID_LENGTH).ok_or_else(wrong)?;
    let (prefix, id) = text.split_at_checked(split).ok_or_else(wrong)?;
    let id = z85::decode(id).map_err(|_| wrong())?;
    let id = Uuid::from_slice(&id).map_err(|_| wrong())?;
    Ok(Some(match prefix.is_empty() {
        true => file_name(&id),
        false => format!("{prefix}/{}", file_name(&id)),
    }))
}

/// The same, in the store.
fn path(
    url: &Url,
    folder: &Path,
    descriptor: &DeletionVectorDescriptor,
) -> Result<Option<Path>, TableError> {
    let relative = match descriptor.storage_type {
        StorageType::Inline => return Ok(None),
        StorageType::UuidRelativePath => {
            relative_path(descriptor).map_err(|found| TableError::new(url, found))?
        }
        StorageType::AbsolutePath => below(url, &descriptor.path_or_inline_dv),
    };
    let Some(relative) = relative else {
        let message = format!(
            "its deletion vector `{}` lies outside of its folder",
            descriptor.path_or_inline_dv
        );
        return Err(TableError::new(url, message));
    };
    let parts = Path::from(relative);
    Ok(Some(folder.parts().chain(parts.parts()).collect()))
}

/// The path of `absolute` below `url`.
fn below(url: &Url, absolute: &str) -> Option<String> {
    let absolute = Url::parse(absolute).ok()?;
    let folder = url.as_str().trim_end_matches('/');
    let rest = absolute.as_str().strip_prefix(folder)?.strip_prefix('/')?;
    let path = Path::from_url_path(rest).ok()?;
    Some(path.to_string())
}

/// Text for the log; base85 is made of fours of bytes.
fn base85(mut bytes: Vec<u8>) -> String {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    z85::encode(bytes)
}

/// The bytes of a vector in the log.
fn unframed(descriptor: &DeletionVectorDescriptor) -> Result<Vec<u8>, String> {
    let decoded = z85::decode(&descriptor.path_or_inline_dv);
    let mut bytes =
        decoded.map_err(|e| format!("a deletion vector in its log is no base85: {e}"))?;
    let size = usize::try_from(descriptor.size_in_bytes).unwrap_or(0);
    if bytes.len() < size {
        let found = bytes.len();
        return Err(format!(
            "a deletion vector of {found} bytes, where the log says that it has {size}"
        ));
    }
    bytes.truncate(size);
    Ok(bytes)
}

/// The bytes of a vector in a file, which may hold more than this one.
async fn in_file(
    url: &Url,
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    descriptor: &DeletionVectorDescriptor,
) -> Result<Vec<u8>, TableError> {
    let start = u64::try_from(descriptor.offset.unwrap_or(1)).unwrap_or(1);
    let size = u32::try_from(descriptor.size_in_bytes).unwrap_or(0);
    let range = start..start + u64::from(size) + 8;
    let read = store.get_range(path, range).await;
    let read = read.map_err(|e| {
        TableError::caused(url, format!("cannot read the deletion vector `{path}`"), e)
    })?;
    checked(&read, size)
        .map_err(|found| TableError::new(url, format!("`{path}` {found}")))
}

/// The bytes between their size and their check sum.
fn checked(read: &Bytes, size: u32) -> Result<Vec<u8>, String> {
    let (told, rest) = read.split_first_chunk().ok_or("is too short")?;
    let told = u32::from_be_bytes(*told);
    if told != size {
        return Err(format!(
            "has a deletion vector of {told} bytes, where the log says that it has {size}"
        ));
    }
    let (bytes, sum) = rest.split_last_chunk().ok_or("is too short")?;
    if bytes.len() != size as usize || crc32fast::hash(bytes) != u32::from_be_bytes(*sum)
    {
        return Err("has a deletion vector that is damaged".to_owned());
    }
    Ok(bytes.to_vec())
}

/// A file of one vector.
fn framed(bytes: &[u8], size: i32) -> Vec<u8> {
    let mut file = vec![1];
    file.extend(size.to_be_bytes());
    file.extend(bytes);
    file.extend(crc32fast::hash(bytes).to_be_bytes());
    file
}

fn decoded(bytes: &[u8]) -> Result<RoaringTreemap, String> {
    let (magic, rows) = bytes.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let magic = u32::from_le_bytes(*magic);
    if magic != MAGIC {
        return Err(format!(
            "a deletion vector that begins with {magic}, where {MAGIC} was expected"
        ));
    }
    RoaringTreemap::deserialize_from(rows)
        .map_err(|e| format!("a deletion vector is not readable: {e}"))
}

#[cfg(test)]
mod tests;
