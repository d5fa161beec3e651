//! What the files of large lakes hold, remembered.
//!
//! A lake of thousands of Parquet files says what it holds in thousands of footers. What was
//! found in them is kept in one small file beside the tables, with the state of each file it was found in:
//! as long as all of those are as they were, only the footers of new files are read. The
//! memory decides nothing: without it, or with a damaged one, everything is read again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use md5::{Digest, Md5};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use url::Url;

use super::files::Listing;
use super::schema::Declared;
use crate::store::Stores;

/// Parquet lakes of fewer files are not worth remembering. JSON files are: they are read as a
/// whole to find their columns.
const WORTH: usize = 100;

/// Size, modification time in microseconds, entity tag.
type State = (u64, i64, Option<String>);

/// What was found in which files of one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownLake {
    /// In the order in which they were found, with types that hold all files'.
    columns: Vec<(String, String)>,
    /// Those that some file has under another case.
    pub(super) folded: BTreeSet<String>,
    /// The files it was found in.
    files: BTreeMap<String, State>,
}

fn worth(listing: &Listing) -> bool {
    listing.files.len() >= WORTH
}

fn state(file: &ObjectMeta) -> State {
    let modified = file.last_modified.timestamp_micros();
    (file.size, modified, file.e_tag.clone())
}

impl KnownLake {
    /// What was found in `files`; nothing if a type does not read back from its text.
    pub(super) fn of(
        columns: &[FieldRef],
        folded: &BTreeSet<String>,
        listing: &Listing,
    ) -> Option<Self> {
        if !worth(listing) {
            return None;
        }
        let columns = columns.iter().map(|field| {
            let text = field.data_type().to_string();
            let same = text.parse::<DataType>().ok()? == *field.data_type();
            same.then(|| (field.name().clone(), text))
        });
        let files = listing
            .files
            .iter()
            .map(|f| (f.location.to_string(), state(f)));
        Some(Self {
            columns: columns.collect::<Option<_>>()?,
            folded: folded.clone(),
            files: files.collect(),
        })
    }

    /// Whether `file` is one of those that were read, and as it was.
    pub(super) fn holds(&self, file: &ObjectMeta) -> bool {
        self.files.get(file.location.as_ref()) == Some(&state(file))
    }

    /// Whether all of its files are among `files`, as they were.
    fn is_of(&self, files: &[ObjectMeta]) -> bool {
        files.iter().filter(|file| self.holds(file)).count() == self.files.len()
    }

    /// Stands for the schema of each of its files.
    pub(super) fn schema(&self) -> Option<SchemaRef> {
        let fields = self.columns.iter().map(|(name, data_type)| {
            let data_type = data_type.parse::<DataType>().ok()?;
            Some(Field::new(name, data_type, true))
        });
        let fields = fields.collect::<Option<Vec<_>>>()?;
        Some(Arc::new(Schema::new(fields)))
    }
}

/// The memory of one project. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LakeMemory {
    /// The folder it is kept in; `None`: as long as the process.
    folder: Option<(Url, Stores)>,
    known: Arc<RwLock<HashMap<String, Arc<KnownLake>>>>,
}

impl LakeMemory {
    /// A memory that is kept in a folder.
    #[cfg(feature = "runner")]
    pub(crate) fn kept_in(folder: Url, stores: Stores) -> Self {
        Self {
            folder: Some((folder, stores)),
            known: Arc::default(),
        }
    }

    /// What is known of the lake `key` and holds for `files`.
    pub(super) async fn recall(
        &self,
        key: &str,
        listing: &Listing,
    ) -> Option<Arc<KnownLake>> {
        if !worth(listing) {
            return None;
        }
        let held = self.held(key);
        let known = match held {
            Some(known) => known,
            None => self.read(key).await?,
        };
        known.is_of(&listing.files).then_some(known)
    }

    /// Remembers what was found; that it cannot be written costs time and nothing else.
    pub(super) async fn keep(&self, key: &str, lake: KnownLake) {
        if self.held(key).is_some_and(|held| *held == lake) {
            return;
        }
        let text = serde_json::to_vec(&lake);
        self.hold(key, Arc::new(lake));
        if let (Some((store, path)), Ok(text)) = (self.place(key), text) {
            drop(store.put(&path, text.into()).await);
        }
    }

    fn held(&self, key: &str) -> Option<Arc<KnownLake>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(key).cloned()
    }

    async fn read(&self, key: &str) -> Option<Arc<KnownLake>> {
        let (store, path) = self.place(key)?;
        let bytes = store.get(&path).await.ok()?.bytes().await.ok()?;
        let lake: KnownLake = serde_json::from_slice(&bytes).ok()?;
        let lake = Arc::new(lake);
        self.hold(key, Arc::clone(&lake));
        Some(lake)
    }

    fn hold(&self, key: &str, lake: Arc<KnownLake>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.to_owned(), lake);
    }

    fn place(&self, key: &str) -> Option<(Arc<dyn object_store::ObjectStore>, Path)> {
        let (folder, stores) = self.folder.as_ref()?;
        let store = stores.get(folder).ok()?;
        let path = Path::from_url_path(folder.path()).ok()?;
        Some((store, path.join(format!("{key}.json"))))
    }
}

/// A name for what readers with these declarations find at `location`.
pub(super) fn key(location: &Url, declared: &[Declared], flatten: bool) -> String {
    let mut hash = Md5::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    hash.update(location.as_str());
    hash.update(format!("{declared:?}{flatten}"));
    let mut text = String::new();
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::files::Format;
    use super::*;

    fn listing(count: usize, size: u64) -> Listing {
        Listing {
            files: files(count, size),
            base: Path::from("lake"),
            format: Format::Parquet,
            delta: false,
        }
    }

    fn files(count: usize, size: u64) -> Vec<ObjectMeta> {
        let file = |number: usize| ObjectMeta {
            location: Path::from(format!("lake/{number:04}.parquet")),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size,
            e_tag: None,
            version: None,
        };
        (0..count).map(file).collect()
    }

    #[tokio::test]
    async fn what_was_found_holds_as_long_as_every_file_is_as_it_was() {
        let columns: Vec<FieldRef> = vec![
            Arc::new(Field::new("b", DataType::Int64, true)),
            Arc::new(Field::new("a", DataType::Utf8, true)),
        ];
        let stores = Stores::default();
        let folder = Url::parse("memory:///tables/_lakes").unwrap();
        let memory = LakeMemory {
            folder: Some((folder.clone(), stores.clone())),
            known: Arc::default(),
        };
        let old = listing(WORTH, 7);
        let lake = KnownLake::of(&columns, &BTreeSet::new(), &old).unwrap();
        memory.keep("k", lake).await;
        let another = LakeMemory {
            folder: Some((folder, stores)),
            known: Arc::default(),
        };
        for memory in [&memory, &another] {
            let known = memory.recall("k", &listing(WORTH + 1, 7)).await.unwrap();
            assert!(known.holds(&old.files[3]));
            assert!(!known.holds(&files(WORTH + 1, 7)[WORTH]));
            let schema = known.schema().unwrap();
            assert_eq!(schema.fields().to_vec(), columns);
            assert!(memory.recall("k", &listing(WORTH - 1, 7)).await.is_none());
            assert!(memory.recall("k", &listing(WORTH, 8)).await.is_none());
            assert!(memory.recall("other", &old).await.is_none());
        }
    }
}
