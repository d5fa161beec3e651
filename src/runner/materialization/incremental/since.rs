//! What has changed in what a model reads since its last commit.

use std::collections::BTreeMap;

use object_store::path::Path;

use super::changes::Changed;
use super::lineage::Reason;
use super::short;
use crate::catalog::{FileTable, Origin, committed};
use crate::runner::error::Result;
use crate::runner::materialization::reading::{
    Difference, Inputs, Leaf, Reading, difference,
};
use crate::runner::materialization::{Job, execution_error, store_error};
use crate::table::{DeletionVector, Table, TableVersion};

/// The leaves whose rows are not those of the last commit.
pub(super) async fn changed_leaves(
    job: &Job,
    base: &TableVersion,
    reading: &Reading,
) -> Result<std::result::Result<BTreeMap<String, Changed>, Reason>> {
    let (Some(before), Some(now)) =
        (Inputs::of_metadata(&base.metadata), reading.inputs())
    else {
        return Ok(Err("its last run did not say what it read".to_owned()));
    };
    let mut changed = BTreeMap::new();
    for leaf in &reading.leaves {
        let location = &leaf.location;
        let Some(now) = now.0.get(location) else {
            continue;
        };
        let found = match difference(before.0.get(location), now) {
            Difference::None => continue,
            Difference::Unknown(reason) => {
                return Ok(Err(format!("{reason} (`{}`)", short(location))));
            }
            Difference::NewFiles(paths) => Changed {
                new: leaf.table.only(|f| paths.contains(&f.location.to_string())),
                old: Vec::new(),
                no_file_was_copied: true,
            },
            Difference::NewVersion(version) => {
                match since_version(job, leaf, version).await? {
                    Ok(Some(changed)) => changed,
                    Ok(None) => continue,
                    Err(reason) => return Ok(Err(reason)),
                }
            }
        };
        changed.insert(location.clone(), found);
    }
    if before
        .0
        .keys()
        .any(|location| !now.0.contains_key(location))
    {
        return Ok(Err("it no longer reads all that it read".to_owned()));
    }
    Ok(Ok(changed))
}

/// The files in which a committed table differs from `version` of it.
async fn since_version(
    job: &Job,
    leaf: &Leaf,
    version: u64,
) -> Result<std::result::Result<Option<Changed>, Reason>> {
    let Origin::Version(url, _) = leaf.table.origin() else {
        return Ok(Err("a lake has no versions".to_owned()));
    };
    let table = Table::new(url.clone(), job.table.stores().clone());
    let lost = || format!("version {version} of `{}` is gone", short(&leaf.location));
    let Ok(Some(old)) = table.open_rows_of(version).await else {
        return Ok(Err(lost()));
    };
    let old = committed(table.stores(), &old).map_err(execution_error)?;
    if old.arrow_schema() != leaf.table.arrow_schema() {
        let name = short(&leaf.location);
        return Ok(Err(format!("the columns of `{name}` have changed")));
    }
    let before: Vec<_> = old.files().map(|f| f.location.clone()).collect();
    let now: Vec<_> = leaf.table.files().map(|f| f.location.clone()).collect();
    let new = leaf
        .table
        .only(|f| before.binary_search(&f.location).is_err());
    let gone = old.only(|f| now.binary_search(&f.location).is_err());
    let deleted = deleted_since(&old, &leaf.table);
    let no_file_was_copied = gone.files().next().is_none();
    let old: Vec<_> = [gone, old.at_rows(&deleted)]
        .into_iter()
        .filter(|old| old.files().next().is_some())
        .collect();
    if new.files().next().is_none() && old.is_empty() {
        return Ok(Ok(None));
    }
    let paths = old.iter().flat_map(FileTable::files);
    let paths: Vec<_> = paths.map(|f| f.location.clone()).collect();
    if !table.holds(&paths).await.map_err(store_error)? {
        return Ok(Err(lost()));
    }
    Ok(Ok(Some(Changed {
        new,
        old,
        no_file_was_copied,
    })))
}

/// The rows that are deleted in files of `now` and were not in the same files of `old`.
fn deleted_since(old: &FileTable, now: &FileTable) -> BTreeMap<Path, DeletionVector> {
    let before: BTreeMap<_, _> = old
        .masked()
        .map(|(file, rows)| (&file.location, rows))
        .collect();
    let mut deleted = BTreeMap::new();
    for (file, rows) in now.masked() {
        let (Some(rows), Some(before)) = (rows, before.get(&file.location)) else {
            continue;
        };
        let since = match before {
            Some(before) => rows.minus(before),
            None => rows.clone(),
        };
        if !since.is_empty() {
            deleted.insert(file.location.clone(), since);
        }
    }
    deleted
}
