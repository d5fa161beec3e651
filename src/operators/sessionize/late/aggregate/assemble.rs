//! Picked rows are put together, group by group, as they come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array,
    new_null_array,
};
use datafusion::arrow::compute::{concat, interleave, is_null, nullif, take_arrays};
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use super::groups::Groups;
use super::of_key::KeyValues;
use super::others::OtherValues;
use super::picks::Picks;
use super::plan::Made;
use crate::functions::as_timestamps;
use crate::operators::sessionize::late::emit::RecentIds;

/// How many groups without rows are given up at once.
const NULLS: usize = 8192;
/// A batch of which less than one row in so many is waited for is thinned out.
const SPARSE: usize = 4;
/// The place of a row that was given away.
const GIVEN: (u32, u32) = (u32::MAX, 0);

/// Rows that wait for the other rows of their groups.
pub(super) struct Assembler {
    slots: Vec<Waiting>,
    /// How many rows each group waits for.
    missing: Vec<u16>,
    /// Groups that have all their rows.
    ready: Vec<u32>,
    reservation: MemoryReservation,
}

/// The rows of one slot.
pub(super) struct Waiting {
    /// The first is a row of nulls.
    batches: Vec<Option<Held>>,
    /// The batch and the row of each group; that of nulls until there is another.
    places: Vec<(u32, u32)>,
}

struct Held {
    rows: Picks,
    /// How many of them wait.
    left: usize,
    bytes: usize,
}

impl Assembler {
    /// For slots of such columns; fails where there is no memory for the groups.
    pub(super) fn try_new(
        groups: &Groups,
        schemas: &[SchemaRef],
        reservation: MemoryReservation,
    ) -> Result<Self> {
        let held = size_of::<u16>() + size_of::<u32>();
        reservation.try_grow(groups.groups.saturating_mul(held))?;
        let mut missing = vec![0; groups.groups];
        for row in groups.rows.iter().flat_map(|rows| rows.iter()) {
            missing[row.group as usize] += 1;
        }
        let complete = (0..).zip(&missing).filter(|(_, missing)| **missing == 0);
        let ready = complete.map(|(group, _)| group).collect();
        let slots = schemas.iter().enumerate().map(|(slot, schema)| {
            Waiting::try_new(slot, schema, groups.groups, &reservation)
        });
        Ok(Self {
            slots: slots.collect::<Result<_>>()?,
            missing,
            ready,
            reservation,
        })
    }

    /// How many groups have all their rows.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Takes rows in; gives them back where there is no memory for them.
    pub(super) fn push(&mut self, picks: Picks) -> std::result::Result<(), Picks> {
        let bytes = picks.size();
        if self.reservation.try_grow(bytes).is_err() {
            return Err(picks);
        }
        for group in &picks.groups {
            let missing = &mut self.missing[*group as usize];
            *missing -= 1;
            if *missing == 0 {
                self.ready.push(*group);
            }
        }
        self.slots[picks.slot].push(picks, bytes);
        Ok(())
    }

    /// Up to `rows` groups that have all their rows, and the columns of each slot.
    pub(super) fn give(&mut self, rows: usize) -> Result<(Vec<u32>, Vec<Vec<ArrayRef>>)> {
        let at = self.ready.len().saturating_sub(rows);
        let groups = self.ready.split_off(at);
        let mut columns = Vec::with_capacity(self.slots.len());
        for slot in &mut self.slots {
            columns.push(slot.of(&groups)?);
            self.reservation.shrink(slot.free(&groups)?);
        }
        Ok((groups, columns))
    }

    /// Gives up all rows of groups that were not given away, batch by batch, to `to`.
    pub(super) fn give_up(self, mut to: impl FnMut(Picks) -> Result<()>) -> Result<()> {
        // a group without any row has one of nulls
        let nulls = self.slots.first().and_then(|slot| slot.batches[0].as_ref());
        let without = self.ready.iter().copied();
        let without = without.filter(|g| self.slots.iter().all(|s| s.lacks(*g)));
        for groups in without.collect::<Vec<_>>().chunks(NULLS) {
            let Some(nulls) = nulls else { break };
            let columns = nulls.rows.columns.iter();
            let columns = columns.map(|c| new_null_array(c.data_type(), groups.len()));
            to(Picks {
                slot: 0,
                columns: columns.collect(),
                groups: groups.to_vec(),
            })?;
        }
        for mut slot in self.slots {
            for batch in 1..slot.batches.len() {
                if let Some(held) = slot.batches[batch].take() {
                    let left = slot.left(batch as u32, &held.rows);
                    to(held.rows.take(&left)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Held {
    fn nulls(slot: usize, schema: &SchemaRef) -> Self {
        let fields = schema.fields().iter();
        let columns = fields.map(|field| new_null_array(field.data_type(), 1));
        Self {
            rows: Picks {
                slot,
                columns: columns.collect(),
                groups: Vec::new(),
            },
            left: usize::MAX,
            bytes: 0,
        }
    }
}

impl Waiting {
    /// For rows of so many groups, whose places are charged to `reservation`.
    pub(super) fn try_new(
        slot: usize,
        schema: &SchemaRef,
        groups: usize,
        reservation: &MemoryReservation,
    ) -> Result<Self> {
        reservation.try_grow(groups.saturating_mul(size_of::<(u32, u32)>()))?;
        Ok(Self {
            batches: vec![Some(Held::nulls(slot, schema))],
            places: vec![(0, 0); groups],
        })
    }

    /// Takes rows in, which are charged already.
    pub(super) fn push(&mut self, rows: Picks, bytes: usize) {
        let batch = self.batches.len() as u32;
        for (row, group) in (0..).zip(&rows.groups) {
            self.places[*group as usize] = (batch, row);
        }
        self.batches.push(Some(Held {
            left: rows.groups.len(),
            rows,
            bytes,
        }));
    }

    /// Brings all rows together, so that few places are looked up in many batches; they stay
    /// apart where there is no memory for that.
    pub(super) fn compact(&mut self, reservation: &MemoryReservation) -> Result<()> {
        let held: usize = self.batches.iter().flatten().map(|held| held.bytes).sum();
        // offsets of texts have 31 bits
        if held > i32::MAX as usize || reservation.try_grow(held).is_err() {
            return Ok(());
        }
        let batches: Vec<_> = self.batches.iter().flatten().collect();
        let mut starts = vec![0];
        for batch in &batches {
            let rows = batch.rows.columns.first().map_or(0, |column| column.len());
            starts.push(starts[starts.len() - 1] + rows as u32);
        }
        let width = batches[0].rows.columns.len();
        let columns = (0..width).map(|column| {
            let values = batches.iter().map(|b| b.rows.columns[column].as_ref());
            Ok(concat(&values.collect::<Vec<_>>())?)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        for (batch, row) in &mut self.places {
            (*batch, *row) = (0, starts[*batch as usize] + *row);
        }
        let slot = batches[0].rows.slot;
        self.batches = vec![Some(Held {
            left: usize::MAX,
            rows: Picks {
                slot,
                columns,
                groups: Vec::new(),
            },
            bytes: held,
        })];
        reservation.shrink(held);
        Ok(())
    }

    /// Whether no row of a group came yet.
    fn lacks(&self, group: u32) -> bool {
        self.places[group as usize] == (0, 0)
    }

    /// The rows of some groups.
    pub(super) fn of(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let places = || groups.iter().map(|group| self.places[*group as usize]);
        if let [Some(one)] = &self.batches[..] {
            let rows = UInt32Array::from_iter_values(places().map(|(_, row)| row));
            return Ok(take_arrays(&one.rows.columns, &rows, None)?);
        }
        let mut used: BTreeMap<u32, usize> =
            places().map(|(batch, _)| (batch, 0)).collect();
        let mut batches = Vec::with_capacity(used.len());
        for (batch, place) in &mut used {
            *place = batches.len();
            batches.extend(self.batches[*batch as usize].iter().map(|held| &held.rows));
        }
        let rows: Vec<_> = places()
            .map(|(batch, row)| (used[&batch], row as usize))
            .collect();
        let width = batches.first().map_or(0, |batch| batch.columns.len());
        let columns = (0..width).map(|column| {
            let values = batches.iter().map(|batch| batch.columns[column].as_ref());
            Ok(interleave(&values.collect::<Vec<&dyn Array>>(), &rows)?)
        });
        columns.collect()
    }

    /// Drops what nobody waits for after these groups are given away: whole batches, and the
    /// other rows of batches of which few are waited for. Gives the bytes.
    fn free(&mut self, groups: &[u32]) -> Result<usize> {
        let (mut freed, mut sparse) = (0, BTreeSet::new());
        for group in groups {
            let place = &mut self.places[*group as usize];
            let (batch, _) = std::mem::replace(place, GIVEN);
            let place = &mut self.batches[batch as usize];
            let Some(held) = place else {
                continue;
            };
            held.left -= 1;
            if held.left == 0 {
                freed += held.bytes;
                *place = None;
                sparse.remove(&batch);
            } else if held.left < held.rows.groups.len() / SPARSE {
                sparse.insert(batch);
            }
        }
        for batch in sparse {
            freed += self.thin(batch)?;
        }
        Ok(freed)
    }

    /// Which rows of a batch were not given away.
    fn left(&self, batch: u32, rows: &Picks) -> Vec<u32> {
        let rows = (0..).zip(&rows.groups);
        let left = rows.filter(|(_, group)| self.places[**group as usize].0 == batch);
        left.map(|(row, _)| row).collect()
    }

    /// Keeps the rows of a batch that are waited for; gives the bytes of the others.
    fn thin(&mut self, batch: u32) -> Result<usize> {
        let Some(held) = self.batches[batch as usize].take() else {
            return Ok(0);
        };
        let left = self.left(batch, &held.rows);
        let rows = held.rows.take(&left)?;
        for (row, group) in (0..).zip(&rows.groups) {
            self.places[*group as usize].1 = row;
        }
        let bytes = rows.size().min(held.bytes);
        self.batches[batch as usize] = Some(Held {
            left: left.len(),
            rows,
            bytes,
        });
        Ok(held.bytes - bytes)
    }
}

/// What is known of groups before their rows are read.
pub(super) struct Known {
    pub(super) groups: Arc<Groups>,
    pub(super) others: OtherValues,
    pub(super) of_keys: KeyValues,
}

/// Makes rows of groups.
pub(super) struct Rows {
    pub(super) schema: SchemaRef,
    columns: Vec<Made>,
    pub(super) known: Arc<Known>,
    /// By group; empty if they are not asked for.
    numbers: Vec<u32>,
    ids: RecentIds,
}

impl Rows {
    pub(super) fn new(
        columns: &[(FieldRef, Made)],
        known: &Arc<Known>,
        numbers: Vec<u32>,
    ) -> Self {
        let fields = columns.iter().map(|(field, _)| Arc::clone(field));
        Self {
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            columns: columns.iter().map(|(_, made)| made.clone()).collect(),
            known: Arc::clone(known),
            numbers,
            ids: RecentIds::default(),
        }
    }

    /// The rows of `groups`, of which the picked columns are given.
    pub(super) fn of(
        &mut self,
        groups: &[u32],
        picked: &[Vec<ArrayRef>],
    ) -> Result<RecordBatch> {
        let Known {
            groups: all,
            others,
            of_keys,
        } = &*self.known;
        let of_keys = of_keys.of(all, groups)?;
        let columns = self.columns.iter().enumerate().map(|(place, made)| {
            Ok(match made {
                Made::Picked { slot, column } => Arc::clone(&picked[*slot][*column]),
                Made::Count => Arc::new(all.counts(groups)),
                Made::Number => Arc::new(all.numbers(groups)),
                Made::Time { greatest } => {
                    let times = all.times(groups, *greatest);
                    as_timestamps(&times, self.schema.field(place).data_type())?
                }
                Made::Id { slot, column } => {
                    let numbers = all.numbers(groups);
                    let ids = self.ids.column(&picked[*slot][*column], &numbers)?;
                    nullif(&ids, &is_null(&numbers)?)?
                }
                Made::Other(place) => others.of(*place, groups)?,
                Made::OfKey { slot, column } => Arc::clone(&of_keys[*slot][*column]),
                Made::RowNumber => {
                    let numbers = groups.iter().map(|g| self.numbers[*g as usize]);
                    Arc::new(UInt64Array::from_iter_values(numbers.map(u64::from)))
                }
            })
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(groups.len()));
        let schema = Arc::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(schema, columns, &rows)?)
    }
}
