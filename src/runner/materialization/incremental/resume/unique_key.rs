//! An input whose rows are told by the unique key: the rows of one are made of all rows of that
//! key that are read, and of no other (one row an id is kept, say).
//!
//! ```text
//! new rows ─► their keys ─► rows of these keys in the other files (an index says in which)
//!                │                        │
//!                └────────────────────────┴─► the input of these keys as it was and as it is
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Result};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, ExprSchemable, ident};
use futures::StreamExt;

use super::input::{InputChange, InputReader, is_row_by_row};
use crate::catalog::{FILE_COLUMN, FileTable, ROW_COLUMN};
use crate::runner::materialization::incremental::changes::{Changed, named};
use crate::runner::materialization::incremental::key_index::{
    Hashes, IndexStore, KeyIndex, Zones, is_indexed,
};
use crate::runner::materialization::incremental::key_set::KeySet;
use crate::runner::materialization::incremental::lineage::followed;
use crate::runner::materialization::reading::Leaf;

/// A leaf and the unique key in its terms.
struct Keyed<'a> {
    reader: &'a InputReader<'a>,
    leaf: &'a Leaf,
    key: Vec<Expr>,
    set: Arc<KeySet>,
    /// Whether keys can be indexed.
    is_indexed: bool,
}

impl InputReader<'_> {
    /// The rows that came and went, and the index of what is read now; `None` if the input is
    /// of another kind or too much has changed.
    pub(super) async fn by_unique_key(
        &self,
        leaf: &Leaf,
        changed: &Changed,
        index: Option<KeyIndex>,
    ) -> Result<Option<(InputChange, Option<KeyIndex>)>> {
        match self.keyed(leaf)? {
            Some(keyed) => keyed.change(changed, index).await,
            None => Ok(None),
        }
    }

    /// An index of all rows of the leaf; `None` if keys are of no kind that is indexed, or
    /// memory does not suffice.
    pub(super) async fn index_of_all(&self, leaf: &Leaf) -> Result<Option<KeyIndex>> {
        if is_row_by_row(&self.shape.input)? {
            return Ok(None);
        }
        match self.keyed(leaf)? {
            Some(keyed) => keyed.index_of_all().await,
            None => Ok(None),
        }
    }

    fn keyed<'a>(&'a self, leaf: &'a Leaf) -> Result<Option<Keyed<'a>>> {
        let Some(key) = self.key_of(leaf) else {
            return Ok(None);
        };
        let schema = leaf.scan.projected_schema.as_ref();
        let types = key.iter().map(|e| e.get_type(schema));
        let types = types.collect::<Result<Vec<_>>>()?;
        let is_indexed = match types.as_slice() {
            [only] => is_indexed(only) && leaf.table.has_positions(),
            _ => false,
        };
        let pool = &self.state.runtime_env().memory_pool;
        Ok(Some(Keyed {
            reader: self,
            leaf,
            key,
            set: Arc::new(KeySet::new(types, pool)),
            is_indexed,
        }))
    }

    /// The unique key in terms of the leaf's columns.
    fn key_of(&self, leaf: &Leaf) -> Option<Vec<Expr>> {
        let schema = self.shape.input.schema();
        let column = |name: &String| {
            let inputs = self.shape.inputs();
            let mut named =
                inputs.filter(|(place, _)| self.table.field(*place).name() == name);
            let (_, input) = named.next()?;
            Some(Column::from(schema.qualified_field(input)))
        };
        let key: Vec<_> = self
            .job
            .node
            .config
            .unique_key
            .iter()
            .map(column)
            .collect::<Option<_>>()?;
        if key.is_empty() {
            return None;
        }
        let pool = &self.state.runtime_env().memory_pool;
        let (found, key) = followed(&self.shape.input, &key, pool)?;
        (found.location == leaf.location).then_some(key)
    }
}

/// Rows of some files, and their keys.
#[derive(Default)]
struct Part {
    rows: Vec<RecordBatch>,
    keys: Vec<ArrayRef>,
    zones: Zones,
}

impl Keyed<'_> {
    async fn change(
        &self,
        changed: &Changed,
        index: Option<KeyIndex>,
    ) -> Result<Option<(InputChange, Option<KeyIndex>)>> {
        let Some(new) = self.part(&changed.new).await? else {
            return Ok(None);
        };
        let mut keys = new.keys.clone();
        let mut old = Vec::new();
        for table in &changed.old {
            let Some(part) = self.part(table).await? else {
                return Ok(None);
            };
            keys.extend(part.keys);
            old.extend(part.rows);
        }
        let (stayed, index) = self.stayed(changed, index, &keys, new.zones).await?;
        let held = self.reader.held;
        let stayed = self.reader.scan(self.leaf, Arc::new(stayed))?;
        let stayed = stayed.filter(self.set.filled_predicate(&self.key))?;
        let Some(stayed) = held.all(stayed).await? else {
            return Ok(None);
        };
        let (Some(came), Some(went)) = (
            self.input(&stayed, new.rows).await?,
            self.input(&stayed, old).await?,
        ) else {
            return Ok(None);
        };
        let change = InputChange {
            came,
            went,
            may_cancel_out: true,
        };
        Ok(Some((change, index)))
    }

    /// The files that were read before and are still there, as far as they may hold one of
    /// `keys`, and the index with the new files' zones.
    async fn stayed(
        &self,
        changed: &Changed,
        index: Option<KeyIndex>,
        keys: &[ArrayRef],
        zones: Zones,
    ) -> Result<(FileTable, Option<KeyIndex>)> {
        let came: Vec<_> = changed.new.files().map(|f| f.location.clone()).collect();
        let stayed = self.leaf.table.only(|f| !came.contains(&f.location));
        let index = index.filter(|index| self.is_indexed && index.of == self.indexed());
        let at = self.index_store()?;
        let found = match &index {
            Some(index) => index.find(&Hashes::of(keys)?, &at).await?,
            None => None,
        };
        match (index, found) {
            (Some(index), Some(found)) => {
                let stayed = stayed.only(|f| found.may_be_in(&f.location));
                Ok((stayed, index.with(zones, &at).await?))
            }
            _ => Ok((stayed, self.index_of_all().await?)),
        }
    }

    /// The input over `stayed` and `rows`.
    async fn input(
        &self,
        stayed: &[RecordBatch],
        rows: Vec<RecordBatch>,
    ) -> Result<Option<Vec<RecordBatch>>> {
        let schema = Arc::clone(self.leaf.table.arrow_schema());
        let rows: Vec<_> = stayed.iter().cloned().chain(rows).collect();
        let rows: Arc<dyn TableProvider> =
            Arc::new(MemTable::try_new(schema, vec![rows])?);
        self.reader
            .held
            .all(self.reader.rows(self.leaf, &rows)?)
            .await
    }

    /// Reads some files; their keys go into the set. `None` if they are too many rows.
    async fn part(&self, table: &FileTable) -> Result<Option<Part>> {
        let files = table.files().map(|f| f.location.clone());
        let mut part = Part {
            zones: Zones::of_files(files),
            ..Part::default()
        };
        let table = match self.is_indexed {
            true => table.with_positions(),
            false => table.clone(),
        };
        let rows = self.reader.scan(self.leaf, Arc::new(table))?;
        let Some(rows) = self.reader.held.all(rows).await? else {
            return Ok(None);
        };
        let Some(first) = rows.first() else {
            return Ok(Some(part));
        };
        let held = MemTable::try_new(first.schema(), vec![rows.clone()])?;
        let held = self.reader.scan(self.leaf, Arc::new(held))?;
        let columns = match self.is_indexed {
            true => self.columns(),
            false => self.key.clone(),
        };
        let mut keys = named(held, &columns)?.execute_stream().await?;
        let at = self.index_store()?;
        while let Some(batch) = keys.next().await {
            let batch = batch?;
            let (key, _) = batch.columns().split_at(self.key.len());
            self.set.add(key, batch.num_rows())?;
            if self.is_indexed {
                part.keys.extend(key.first().cloned());
                part.zones.add_batch(&batch, at.reservation)?;
            }
        }
        let width = self.leaf.table.arrow_schema().fields().len();
        let all: Vec<usize> = (0..width).collect();
        let rows = rows.iter().map(|batch| batch.project(&all));
        part.rows = rows.collect::<Result<_, _>>()?;
        Ok(Some(part))
    }

    async fn index_of_all(&self) -> Result<Option<KeyIndex>> {
        if !self.is_indexed {
            return Ok(None);
        }
        let table = &self.leaf.table;
        let files = table.files().map(|f| f.location.clone());
        let rows = self
            .reader
            .scan(self.leaf, Arc::new(table.with_positions()))?;
        let rows = named(rows, &self.columns())?;
        let index = KeyIndex::new(self.indexed());
        index.with_rows(files, rows, &self.index_store()?).await
    }

    /// The key and the place of each row.
    fn columns(&self) -> Vec<Expr> {
        let places = [ident(FILE_COLUMN), ident(ROW_COLUMN)];
        self.key.iter().cloned().chain(places).collect()
    }

    /// What the index is of.
    fn indexed(&self) -> String {
        let key = self.key.iter().map(|e| e.schema_name().to_string());
        format!(
            "{} {}",
            self.leaf.location,
            key.collect::<Vec<_>>().join(", ")
        )
    }

    fn index_store(&self) -> Result<IndexStore<'_>> {
        IndexStore::of(&self.reader.job.table, self.reader.held.reservation())
    }
}
