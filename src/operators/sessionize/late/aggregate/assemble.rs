//! Picked rows are put together, group by group, as they come.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array,
};
use datafusion::arrow::compute::{interleave, is_null, nullif};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use super::groups::Groups;
use super::others::OtherValues;
use super::picks::Picks;
use super::plan::{AggregatePlan, Made};
use crate::functions::as_timestamps;
use crate::operators::sessionize::late::emit::RecentIds;

/// How many groups without rows are given up at once.
const NULLS: usize = 8192;
/// What `missing` is of a group that was given away.
const GONE: u16 = u16::MAX;

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
struct Waiting {
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
        let place = size_of::<(u32, u32)>() * schemas.len() + size_of::<u16>();
        let held = groups.groups.saturating_mul(place + size_of::<u32>());
        reservation.try_grow(held)?;
        let mut missing = vec![0; groups.groups];
        for row in groups.rows.iter().flatten() {
            missing[row.group as usize] += 1;
        }
        let complete = (0..).zip(&missing).filter(|(_, missing)| **missing == 0);
        let ready = complete.map(|(group, _)| group).collect();
        let slots = schemas.iter().enumerate().map(|(slot, schema)| Waiting {
            batches: vec![Some(Held::nulls(slot, schema))],
            places: vec![(0, 0); groups.groups],
        });
        Ok(Self {
            slots: slots.collect(),
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
        let slot = &mut self.slots[picks.slot];
        let batch = slot.batches.len() as u32;
        for (row, group) in (0..).zip(&picks.groups) {
            slot.places[*group as usize] = (batch, row);
            let missing = &mut self.missing[*group as usize];
            *missing -= 1;
            if *missing == 0 {
                self.ready.push(*group);
            }
        }
        slot.batches.push(Some(Held {
            left: picks.groups.len(),
            rows: picks,
            bytes,
        }));
        Ok(())
    }

    /// Up to `rows` groups that have all their rows, and the columns of each slot.
    pub(super) fn give(&mut self, rows: usize) -> Result<(Vec<u32>, Vec<Vec<ArrayRef>>)> {
        let at = self.ready.len().saturating_sub(rows);
        let groups = self.ready.split_off(at);
        let mut columns = Vec::with_capacity(self.slots.len());
        for slot in &mut self.slots {
            columns.push(slot.of(&groups)?);
            self.reservation.shrink(slot.free(&groups));
        }
        for group in &groups {
            self.missing[*group as usize] = GONE;
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
        for slot in self.slots {
            for held in slot.batches.into_iter().skip(1).flatten() {
                let rows = (0..).zip(&held.rows.groups);
                let rows =
                    rows.filter(|(_, group)| self.missing[**group as usize] != GONE);
                let rows: Vec<u32> = rows.map(|(row, _)| row).collect();
                to(held.rows.take(&rows)?)?;
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
    /// Whether no row of a group came yet.
    fn lacks(&self, group: u32) -> bool {
        self.places[group as usize] == (0, 0)
    }

    /// The rows of some groups.
    fn of(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let places = || groups.iter().map(|group| self.places[*group as usize]);
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

    /// Drops the batches that no group waits for after these; gives their size.
    fn free(&mut self, groups: &[u32]) -> usize {
        let mut freed = 0;
        for group in groups {
            let (batch, _) = self.places[*group as usize];
            let place = &mut self.batches[batch as usize];
            let Some(held) = place else {
                continue;
            };
            held.left -= 1;
            if held.left == 0 {
                freed += held.bytes;
                *place = None;
            }
        }
        freed
    }
}

/// Makes rows of the result.
pub(super) struct Rows {
    pub(super) plan: Arc<AggregatePlan>,
    pub(super) groups: Arc<Groups>,
    pub(super) others: OtherValues,
    pub(super) schema: SchemaRef,
    pub(super) ids: RecentIds,
}

impl Rows {
    /// The rows of `groups`, of which the picked columns are given.
    pub(super) fn of(
        &mut self,
        groups: &[u32],
        picked: &[Vec<ArrayRef>],
    ) -> Result<RecordBatch> {
        let plan = Arc::clone(&self.plan);
        let columns = plan.columns.iter().map(|(field, made)| {
            Ok(match made {
                Made::Picked { slot, column } => Arc::clone(&picked[*slot][*column]),
                Made::Count => Arc::new(self.groups.counts(groups)),
                Made::Number => Arc::new(self.groups.numbers(groups)),
                Made::Time { greatest } => {
                    let times = self.groups.times(groups, *greatest);
                    as_timestamps(&times, field.data_type())?
                }
                Made::Id { slot, column } => {
                    let numbers = self.groups.numbers(groups);
                    let ids = self.ids.column(&picked[*slot][*column], &numbers)?;
                    nullif(&ids, &is_null(&numbers)?)?
                }
                Made::Other(place) => self.others.of(*place, groups)?,
            })
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(groups.len()));
        let schema = Arc::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(schema, columns, &rows)?)
    }
}
