//! From sorted rows to groups and the rows to pick of them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use super::picking::Slot;
use super::plan::AggregatePlan;
use crate::boundary::{Event, Rules, SessionState};
use crate::operators::sessionize::late::entries::{Entry, Part};

/// In place of the address of a row that there is not.
pub(super) const NO_ROW: u32 = u32::MAX;

/// The groups of one part.
#[derive(Debug, Default)]
pub(super) struct PartGroups {
    /// The number of the first one.
    pub(super) base: u32,
    pub(super) groups: u32,
    pub(super) rows: Vec<Vec<u32>>,
    /// The number of the first key.
    pub(super) key_base: u32,
    pub(super) keys: u32,
    pub(super) of_keys: Vec<u32>,
    pub(super) key_rows: Vec<Vec<u32>>,
    pub(super) counts: Vec<u32>,
    pub(super) times: [Vec<u64>; 2],
    pub(super) numbers: Vec<u32>,
    pub(super) reservation: Option<MemoryReservation>,
}

/// Where conditions hold among the rows of each partition.
pub(super) type Conditions = [Vec<BooleanBuffer>];

/// Goes through sorted rows.
#[derive(Clone)]
pub(super) struct Follow {
    pub(super) plan: Arc<AggregatePlan>,
    pub(super) partitions: Arc<[Range<u32>]>,
    pub(super) conditions: Arc<Conditions>,
    pub(super) key_conditions: Arc<Conditions>,
    pub(super) of_rows: Arc<Vec<AtomicU32>>,
    pub(super) next: Arc<AtomicU32>,
    pub(super) next_key: Arc<AtomicU32>,
    pub(super) reservation: Arc<MemoryReservation>,
}

/// Some rows of a key, and the number of their session: 0 without one.
type Run<'a> = (u32, &'a [Entry]);

impl Follow {
    pub(super) fn part(&self, part: &Part) -> Result<PartGroups> {
        let mut runs: Vec<Run<'_>> = Vec::new();
        let mut state = SessionState::default();
        let mut keys = 0u32;
        // counted from the first key of the part
        let mut of_keys = Vec::new();
        for key in part.keys() {
            match &self.plan.sessions {
                Some(bound) => self.cut(&bound.rules, &mut state, key, &mut runs)?,
                None => runs.push((0, key)),
            }
            if self.plan.of_key.is_some() {
                of_keys.resize(runs.len(), keys);
            }
            keys += 1;
        }
        let held = self
            .plan
            .bytes_of(runs.len(), keys as usize, size_of::<u32>());
        let reservation = self.reservation.new_empty();
        reservation.try_grow(held)?;
        let groups = runs.len() as u32;
        let mut found = PartGroups {
            base: self.next.fetch_add(groups, Ordering::Relaxed),
            groups,
            rows: vec![Vec::with_capacity(runs.len()); self.plan.picks.slots.len()],
            key_base: self.next_key.fetch_add(keys, Ordering::Relaxed),
            keys,
            reservation: Some(reservation),
            ..PartGroups::default()
        };
        if let Some(of_key) = &self.plan.of_key {
            let base = found.key_base;
            found.of_keys = of_keys.into_iter().map(|key| base + key).collect();
            found.key_rows =
                vec![Vec::with_capacity(keys as usize); of_key.slots().len()];
            for key in part.keys() {
                // a join finds nothing of a key that is null
                let rows = if key[0].has_no_key() { &[] } else { key };
                self.pick(
                    of_key.slots(),
                    &self.key_conditions,
                    rows,
                    &mut found.key_rows,
                );
            }
        }
        for (group, (number, rows)) in (found.base..).zip(runs) {
            self.group(&mut found, number, rows);
            if !self.of_rows.is_empty() {
                for row in rows {
                    self.of_rows[row.address as usize].store(group, Ordering::Relaxed);
                }
            }
        }
        Ok(found)
    }

    /// The sessions of a key; rows without a time, which come together, are one.
    fn cut<'a>(
        &self,
        rules: &Rules,
        state: &mut SessionState,
        key: &'a [Entry],
        runs: &mut Vec<Run<'a>>,
    ) -> Result<()> {
        state.reset();
        let order = self.plan.keyed.order;
        let timeless = |entry: &Entry| entry.order == order.null();
        for rows in key.chunk_by(|a, b| timeless(a) == timeless(b)) {
            if rows.first().is_some_and(timeless) {
                runs.push((0, rows));
                continue;
            }
            let mut from = 0;
            let mut number = 1;
            for (row, entry) in rows.iter().enumerate() {
                let event = Event::at(order.value(entry.order));
                if state.push(rules, &event)?.is_some() && row > 0 {
                    runs.push((number, &rows[from..row]));
                    (from, number) = (row, number + 1);
                }
            }
            runs.push((number, &rows[from..]));
        }
        Ok(())
    }

    /// The rows of each slot among those of a group or a key.
    fn pick(
        &self,
        slots: &[Slot],
        conditions: &Conditions,
        rows: &[Entry],
        picked: &mut [Vec<u32>],
    ) {
        for (slot, addresses) in slots.iter().zip(picked) {
            let meets =
                |row: &&Entry| self.meets(conditions, slot.condition, row.address);
            let row = match slot.last {
                false => rows.iter().find(meets),
                true => rows.iter().rfind(meets),
            };
            addresses.push(row.map_or(NO_ROW, |row| row.address));
        }
    }

    fn group(&self, found: &mut PartGroups, number: u32, rows: &[Entry]) {
        self.pick(
            &self.plan.picks.slots,
            &self.conditions,
            rows,
            &mut found.rows,
        );
        let wanted = self.plan.wanted;
        if wanted.counts {
            found.counts.push(rows.len() as u32);
        }
        if wanted.numbers {
            found.numbers.push(number);
        }
        let order = self.plan.keyed.order;
        let timed = |row: &&Entry| row.order != order.null();
        let ends = [rows.iter().find(timed), rows.iter().rfind(timed)];
        for (place, wanted) in wanted.times.into_iter().enumerate() {
            if wanted {
                let row = ends[if order.descends() { 1 - place } else { place }];
                found.times[place]
                    .push(row.map_or_else(|| order.null(), |row| row.order));
            }
        }
    }

    /// Whether a row meets a condition.
    fn meets(
        &self,
        conditions: &Conditions,
        condition: Option<usize>,
        address: u32,
    ) -> bool {
        let Some(condition) = condition else {
            return true;
        };
        let partition = self.partitions.partition_point(|rows| rows.end <= address);
        let row = address - self.partitions[partition].start;
        conditions[partition][condition].value(row as usize)
    }
}
