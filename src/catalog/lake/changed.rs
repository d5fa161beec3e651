//! Whether files are still as they were when they were listed.

use std::collections::HashMap;

use datafusion::common::Result;
use futures::TryStreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::files::{file_at, parent, shown_file};
use super::table::{FileTable, Origin};

impl FileTable {
    /// A file of a lake that is gone or no longer as it was; those that came since do not
    /// matter, nor do files of committed tables, which never change.
    pub(crate) async fn changed_file(&self) -> Result<Option<String>> {
        let Origin::Lake(location) = self.origin() else {
            return Ok(None);
        };
        let files: Vec<_> = self.files().collect();
        let now: HashMap<_, _> = match &files[..] {
            [] => return Ok(None),
            // also where a store does not list
            [file] => file_at(self.store(), &file.location)
                .await?
                .into_iter()
                .map(|now| (now.location.clone(), now))
                .collect(),
            [first, ..] => {
                let folder = parent(&first.location);
                let folder = files
                    .iter()
                    .fold(folder, |folder, file| common(&folder, &file.location));
                let now = self.store().list(Some(&folder));
                let now = now.map_ok(|now| (now.location.clone(), now));
                now.try_collect().await?
            }
        };
        // a web server that tells no time has one made up for each look at a file
        let has_time = !location.scheme().starts_with("http");
        let changed = files.iter().find(|file| {
            let now = now.get(&file.location);
            now.is_none_or(|now| !same(now, file, has_time))
        });
        Ok(changed.map(|file| shown_file(location, &file.location)))
    }
}

fn same(now: &ObjectMeta, then: &ObjectMeta, has_time: bool) -> bool {
    // a listing of a store may tell of smaller parts of a second than a look at one file
    let second = |of: &ObjectMeta| of.last_modified.timestamp();
    let unchanged = match (&now.e_tag, &then.e_tag) {
        (Some(now), Some(then)) => now == then,
        _ => !has_time || second(now) == second(then),
    };
    now.size == then.size && unchanged
}

/// The folder above both.
fn common(folder: &Path, file: &Path) -> Path {
    let same = folder.parts().zip(file.parts());
    same.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::super::open;
    use super::*;
    use crate::catalog::{EventLakeOptions, LakeMemory};
    use crate::store::Stores;

    #[tokio::test]
    async fn a_file_that_is_another_one_or_gone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("a.csv", "n\n1\n");
        write("b.csv", "n\n2\n");
        let (context, stores) = (SessionContext::new(), Stores::default());
        let lake = async |location: &str| {
            let options = EventLakeOptions {
                location: location.to_owned(),
                base: folder.path().to_owned(),
                ..EventLakeOptions::default()
            };
            let memory = LakeMemory::default();
            open(&context, &stores, &options, &memory).await.unwrap()
        };
        let (all, one) = (lake(".").await, lake("b.csv").await);
        write("c.csv", "n\n3\n");
        assert_eq!(all.changed_file().await.unwrap(), None);
        assert_eq!(one.changed_file().await.unwrap(), None);
        write("b.csv", "n\n22\n");
        for table in [&all, &one] {
            let changed = table.changed_file().await.unwrap().unwrap();
            assert!(changed.ends_with("b.csv"), "{changed}");
        }
        std::fs::remove_file(folder.path().join("a.csv")).unwrap();
        let gone = all.changed_file().await.unwrap().unwrap();
        assert!(gone.ends_with("a.csv"), "{gone}");
    }

    #[test]
    fn a_time_that_was_made_up_tells_nothing() {
        let then = ObjectMeta {
            location: Path::from("a.csv"),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 1,
            e_tag: None,
            version: None,
        };
        let now = ObjectMeta {
            last_modified: chrono::Utc::now(),
            ..then.clone()
        };
        assert!(same(&now, &then, false));
        assert!(!same(&now, &then, true));
        let larger = ObjectMeta { size: 2, ..now };
        assert!(!same(&larger, &then, false));
    }

    #[test]
    fn the_folder_above_files() {
        let first = Path::from("lake/dt=1/a.parquet");
        assert_eq!(parent(&first), Path::from("lake/dt=1"));
        let above = common(&parent(&first), &Path::from("lake/dt=2/b.parquet"));
        assert_eq!(above, Path::from("lake"));
        assert_eq!(common(&above, &Path::from("elsewhere")), Path::from(""));
    }
}
