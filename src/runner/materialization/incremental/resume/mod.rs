//! A model that numbers the rows and sessions of a key, taken up where it stopped.
//!
//! ```text
//! input rows that came or went ─► their keys, each from a time on
//!                                        │
//! committed rows of these keys from then on ─┬─► without what went, with what came, numbered
//! numbers of the rows before (tails) ────────┘   anew ─► what differs is committed
//! ```
//!
//! Rows before that time keep their numbers: neither `row_number()` nor a session that ends by
//! inactivity looks at later rows. So a day costs the rows of the day, and of a key that has a
//! late row those since then.

mod beside;
mod difference;
mod input;
mod numbering;
mod old;
mod shape;
mod suffix;
mod tails;
mod unique_key;
mod window;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, Result as DataFusionResult};
use datafusion::execution::SessionState;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::StreamExt;

pub(super) use self::beside::beside;
use self::beside::{INDEX, TAILS, TailsFile, tails_writer};
pub(super) use self::input::{Held, is_row_by_row, only_leaf};
use self::input::{InputChange, InputReader};
use self::numbering::Numbering;
use self::old::Old;
use self::shape::Shape;
use self::suffix::Suffix;
use self::tails::{Keys, Tails};
use super::changes::{Changed, Search};
use super::key_index::KeyIndex;
use super::places::{Gone, Positions};
use super::rows::rows_of;
use super::went::commit_rows;
use crate::runner::error::Result;
use crate::runner::materialization::reading::{Leaf, Reading};
use crate::runner::materialization::{
    Built, Job, execution_error, no_op, store_error, table,
};
use crate::table::{DataFile, TableVersion, Uncommitted};

/// Rows that may be held in memory beside a quarter of the table's.
const MOST_ROWS: usize = 200_000;

/// A model that is about to be taken up.
pub(super) struct Resumption<'a> {
    job: &'a Job,
    base: &'a TableVersion,
    reading: &'a Reading,
    state: SessionState,
    leaf: Leaf,
    changed: Changed,
    /// See [`Changed::all_differ`].
    all_differ: bool,
    shape: Shape,
    held: Held,
}

/// What a model's rows and tails become.
struct Outcome {
    came: Vec<RecordBatch>,
    went: Positions,
    /// `None` if no key has changed.
    tails: Option<TailsChange>,
    index: Option<KeyIndex>,
    keys: usize,
}

/// What has changed in the input, and the committed rows that are numbered anew.
struct Found<'a> {
    change: InputChange,
    index: Option<KeyIndex>,
    suffix: Suffix<'a>,
    /// `None` if no key has changed.
    old: Option<Old>,
}

/// What becomes of the tails.
struct TailsChange {
    before: DataFrame,
    /// Those that have changed, and the same as rows.
    changed: Tails,
    rows: RecordBatch,
}

impl<'a> Resumption<'a> {
    /// `None` if the model is not of that kind, or more than its input has changed.
    pub(super) fn of(
        job: &'a Job,
        base: &'a TableVersion,
        reading: &'a Reading,
        key: &[Column],
        search: &Search<'_>,
    ) -> DataFusionResult<Option<Self>> {
        let state = search.state;
        let plan = job.rows.logical_plan();
        let Ok(shape) = Shape::of(state, plan, key, &base.schema) else {
            return Ok(None);
        };
        let leaf = only_leaf(&shape.input)?;
        let Some((leaf, changed)) = leaf.and_then(|leaf| {
            let changed = search.changed.get(&leaf.location)?.clone();
            Some((leaf, changed))
        }) else {
            return Ok(None);
        };
        let rows: u64 = base.files.iter().map(DataFile::live_rows).sum();
        let most_rows = usize::try_from(rows / 4).unwrap_or(usize::MAX) + MOST_ROWS;
        let held = Held::new(search.pool, most_rows);
        Ok(Some(Self {
            job,
            base,
            reading,
            state: state.clone(),
            all_differ: search.all_differ(&leaf, &changed),
            leaf,
            changed,
            shape,
            held,
        }))
    }

    /// Brings the table up to date; `None` if too much has changed for this way.
    pub(super) async fn run(self) -> Result<Option<Built>> {
        let Some(outcome) = self.outcome().await.map_err(execution_error)? else {
            return Ok(None);
        };
        let new_files = self.changed.is_of_lake();
        if outcome.keys == 0 && !new_files {
            return Ok(Some(no_op()));
        }
        let mut metadata = table::metadata(self.job, self.reading);
        let tails = match outcome.tails {
            Some(tails) => Some(self.write_tails(tails).await?),
            None => None,
        };
        let kept = self.base.metadata.get(TAILS).cloned();
        let named = match &tails {
            Some(tails) => tails.files().first().and_then(TailsFile::of),
            None => kept,
        };
        metadata.extend(named.map(|named| (TAILS.to_owned(), named)));
        let index = outcome.index.as_ref().and_then(KeyIndex::to_text);
        metadata.extend(index.map(|index| (INDEX.to_owned(), index)));
        let writer = self.job.table.writer(Arc::clone(&self.base.schema));
        let mut writer = writer.map_err(store_error)?;
        let mut came = 0;
        for batch in &outcome.came {
            writer.write(batch).await.map_err(store_error)?;
            came += batch.num_rows() as u64;
            (self.job.progress)(came);
        }
        let fresh = writer.finish_all().await.map_err(store_error)?;
        let went = outcome.went.rows();
        let context = SessionContext::new_with_state(self.state);
        // kept before the commit: what it names must be there, even if its answer is lost
        drop(tails.map(Uncommitted::keep));
        let bytes = commit_rows(
            self.job,
            self.base,
            &context,
            fresh,
            outcome.went,
            metadata,
            None,
        )
        .await?;
        Ok(Some(Built {
            rows: Some(came),
            bytes: Some(bytes),
            message: Some(format!(
                "updated by key: {} keys, {came} rows in, {went} rows out",
                outcome.keys
            )),
        }))
    }

    /// What the rows and tails become, told by few columns of the rows that go if these are
    /// enough, else by all of them.
    async fn outcome(&self) -> DataFusionResult<Option<Outcome>> {
        let narrow = self.shape.told_by(&self.base.schema);
        let all = self.shape.inputs().map(|(place, _)| place).collect();
        for (columns, are_all) in [(narrow, false), (all, true)] {
            let Some(found) = self.found(columns, are_all).await? else {
                return Ok(None);
            };
            if are_all || !found.old.as_ref().is_some_and(|old| old.is_ambiguous) {
                return self.numbered(found).await;
            }
            self.held.release();
        }
        Ok(None)
    }

    /// What has changed, and these columns of the committed rows that it may matter to.
    async fn found(
        &self,
        columns: Vec<usize>,
        are_all: bool,
    ) -> DataFusionResult<Option<Found<'_>>> {
        let reader = InputReader {
            job: self.job,
            state: &self.state,
            shape: &self.shape,
            table: &self.base.schema,
            held: &self.held,
        };
        let index = self.base.metadata.get(INDEX);
        let index = index.and_then(|text| KeyIndex::of_text(text));
        let told_by = (self.all_differ && !are_all).then_some(columns.as_slice());
        let change = reader.change(&self.leaf, &self.changed, index, told_by);
        let Some((change, index)) = change.await? else {
            return Ok(None);
        };
        let change = match change.may_cancel_out {
            true => net(&change)?,
            false => change,
        };
        let Some(suffix) = Suffix::of(self, &change)? else {
            return Ok(None);
        };
        let mut old = None;
        if suffix.keys().len() > 0 {
            let numbers = self.shape.number_places().map(|(place, _)| place);
            let read: Vec<_> = columns.iter().copied().chain(numbers).collect();
            let Some(rows) = suffix.read(&read).await? else {
                return Ok(None);
            };
            old = Some(Old::of(rows, columns, &change, self)?);
        }
        Ok(Some(Found {
            change,
            index,
            suffix,
            old,
        }))
    }

    async fn numbered(&self, found: Found<'_>) -> DataFusionResult<Option<Outcome>> {
        let Found {
            change,
            index,
            suffix,
            old,
        } = found;
        let Some(old) = old else {
            return Ok(Some(Outcome {
                came: Vec::new(),
                went: Positions::default(),
                tails: None,
                index,
                keys: 0,
            }));
        };
        let keys = self.keys()?;
        let before = self.tails().await?;
        let set = suffix.keys();
        let found =
            tails::of_keys(before.clone(), &self.shape, &keys, set, &self.held).await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let numbering = Numbering {
            of: self,
            keys: &keys,
            tails: &found,
        };
        let Some(numbered) = numbering.run(&change, &old).await? else {
            return Ok(None);
        };
        let (changed, rows) = numbered.tails;
        Ok(Some(Outcome {
            came: numbered.came,
            went: numbered.went,
            tails: Some(TailsChange {
                before,
                changed,
                rows,
            }),
            index,
            keys: set.len(),
        }))
    }

    /// Keys as bytes.
    fn keys(&self) -> DataFusionResult<Keys> {
        let types = self.shape.key.iter().map(|name| {
            let field = self.base.schema.field_with_name(name)?;
            Ok(field.data_type().clone())
        });
        let types: Vec<DataType> = types.collect::<DataFusionResult<_>>()?;
        Keys::of(&types)
    }

    /// The tails of all keys, kept or counted.
    async fn tails(&self) -> DataFusionResult<DataFrame> {
        let kept = self.base.metadata.get(TAILS);
        let kept = kept.and_then(|text| serde_json::from_str::<TailsFile>(text).ok());
        if let Some(kept) = kept {
            let schema = tails::tails_schema(&self.shape, &self.base.schema)?;
            if let Some(rows) = kept.rows(self.job, &self.state, &schema).await? {
                return Ok(rows);
            }
        }
        let stores = self.job.table.stores();
        let rows = rows_of(&self.state, stores, self.base, &self.base.files)?;
        tails::counted(rows, &self.shape, &self.base.schema)
    }

    /// Writes the tails of all keys, those that have changed among them.
    async fn write_tails(&self, tails: TailsChange) -> Result<Uncommitted> {
        let TailsChange {
            before,
            changed,
            rows,
        } = tails;
        let keys = self.keys().map_err(execution_error)?;
        let mut writer = tails_writer(self.job, rows.schema())?;
        writer.write(&rows).await.map_err(store_error)?;
        let mut before = before.execute_stream().await.map_err(execution_error)?;
        while let Some(batch) = before.next().await {
            let batch = batch.map_err(execution_error)?;
            let stay = tails::replaced(&batch, &keys, &changed);
            let stay = stay.map_err(execution_error)?;
            writer.write(&stay).await.map_err(store_error)?;
        }
        writer.finish_all().await.map_err(store_error)
    }
}

/// What does not cancel out.
fn net(change: &InputChange) -> DataFusionResult<InputChange> {
    let mut gone = Gone::default();
    for batch in &change.went {
        gone.add(batch)?;
    }
    let mut came = Vec::new();
    for batch in &change.came {
        came.push(gone.strike(batch)?);
    }
    // what is still gone did not come again
    let mut went = Vec::new();
    for batch in &change.went {
        went.push(gone.taken(batch, batch.num_columns())?);
    }
    Ok(InputChange {
        came,
        went,
        may_cancel_out: false,
    })
}
