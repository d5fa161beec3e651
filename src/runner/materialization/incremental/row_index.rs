//! Where the rows of a unique key are in a model's own table.
//!
//! The rows that a run replaces are mostly few and recent; without an index the keys of all rows
//! would be read to find them.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Column, Result};
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::ident;
use datafusion::prelude::DataFrame;
use object_store::path::Path;

use super::key_index::{IndexStore, KeyIndex, is_indexed};
use super::key_set::KeySet;
use super::rows::{positioned_rows_of, scan};
use crate::catalog::{FILE_COLUMN, ROW_COLUMN, committed};
use crate::config::SessionizeOptions;
use crate::runner::materialization::Job;
use crate::store::Stores;
use crate::table::{DataFile, DeletionVector, TableVersion};

/// The metadata key under which a commit keeps the index.
pub(super) const ROW_INDEX: &str = "row_index";

/// The index of a model's table by its unique key.
pub(super) struct RowIndex<'a> {
    job: &'a Job,
    state: &'a SessionState,
    key: &'a str,
    reservation: MemoryReservation,
}

impl<'a> RowIndex<'a> {
    /// `None` if the unique key is of no kind that is indexed.
    pub(super) fn of(
        job: &'a Job,
        state: &'a SessionState,
        table: &SchemaRef,
    ) -> Option<Self> {
        let [key] = job.node.config.unique_key.as_slice() else {
            return None;
        };
        let field = table.field_with_name(key).ok()?;
        let pool = &state.runtime_env().memory_pool;
        is_indexed(field.data_type()).then(|| Self {
            job,
            state,
            key,
            reservation: MemoryConsumer::new("index of keys").register(pool),
        })
    }

    /// The committed rows among which those are that have one of `keys` in `columns`, with
    /// their places: all of `base`, if there is no index of these columns.
    pub(super) async fn rows_of(
        this: Option<&Self>,
        (state, stores): (&SessionState, &Stores),
        base: &TableVersion,
        columns: &[Column],
        keys: &KeySet,
    ) -> Result<DataFrame> {
        let found = match this {
            Some(this) if matches!(columns, [only] if only.name == this.key) => {
                this.found(base, keys).await?
            }
            _ => None,
        };
        let table = committed(stores, base)?.with_positions();
        match found {
            Some(rows) => scan(state, table.at_rows(&rows)),
            None => scan(state, table),
        }
    }

    /// The rows of each file that may have one of `keys`.
    async fn found(
        &self,
        base: &TableVersion,
        keys: &KeySet,
    ) -> Result<Option<BTreeMap<Path, DeletionVector>>> {
        let (Some(index), Some(keys)) = (self.index(base), keys.index_hashes()) else {
            return Ok(None);
        };
        let Some(mut found) = index.find(&keys, &self.store()?).await? else {
            return Ok(None);
        };
        let mut rows = BTreeMap::new();
        for file in base.files.iter() {
            let mut within = found.rows.remove(&file.path).unwrap_or_default();
            if within.is_empty() && found.may_be_in(&file.path) {
                within.insert_range(0..file.rows);
            }
            let mut within = DeletionVector::from(within);
            if let Some(deleted) = &file.deletion_vector {
                within = within.minus(deleted);
            }
            rows.insert(file.path.clone(), within);
        }
        Ok(Some(rows))
    }

    /// What a commit says of the index when `fresh` files come to those of `base` that stay;
    /// nothing for a small table, or if memory does not suffice.
    pub(super) async fn after(
        &self,
        base: Option<&TableVersion>,
        schema: &SchemaRef,
        fresh: &[DataFile],
    ) -> Result<Option<String>> {
        let before: &[DataFile] = base.map_or(&[], |base| &base.files);
        let rows = before.iter().chain(fresh).map(DataFile::live_rows);
        let options = SessionizeOptions::of(self.state.config().options());
        if rows.sum::<u64>() < options.index_from_rows as u64 {
            return Ok(None);
        }
        let at = self.store()?;
        let index = base.and_then(|base| self.index(base));
        let covered = match &index {
            Some(index) => index.covered(&at).await?,
            None => None,
        };
        let (index, covered) = match (index, covered) {
            (Some(index), Some(covered)) => (index, covered),
            _ => (KeyIndex::new(self.key.to_owned()), Vec::new()),
        };
        let open = before.iter().filter(|file| !covered.contains(&file.path));
        let files: Vec<_> = open.chain(fresh).cloned().collect();
        let url = self.job.table.url();
        let of_files = TableVersion::of_files(url, schema, &files);
        let rows = positioned_rows_of(self.state, self.job.table.stores(), &of_files)?;
        let rows =
            rows.select(vec![ident(self.key), ident(FILE_COLUMN), ident(ROW_COLUMN)])?;
        let files = of_files.files.iter().map(|f| f.path.clone());
        let index = index.with_rows(files, rows, &at).await?;
        Ok(index.as_ref().and_then(KeyIndex::to_text))
    }

    fn index(&self, base: &TableVersion) -> Option<KeyIndex> {
        let index = KeyIndex::of_text(base.metadata.get(ROW_INDEX)?)?;
        (index.of == self.key).then_some(index)
    }

    fn store(&self) -> Result<IndexStore<'_>> {
        IndexStore::of(&self.job.table, &self.reservation)
    }
}
