//! The groups that the narrow pass finds.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::arrow::array::{Int64Array, UInt32Array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use super::plan::AggregatePlan;
use crate::boundary::{Event, Rules, SessionState};
use crate::operators::sessionize::late::entries::{Entry, Part};
use crate::operators::sessionize::late::order::Order;
use crate::operators::sessionize::late::pass::PassMetrics;

/// In place of the address of a row that there is not.
const NO_ROW: u32 = u32::MAX;

/// All groups, numbered from 0.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) groups: usize,
    /// The addresses of each partition's rows.
    pub(super) partitions: Vec<Range<u32>>,
    /// For each slot the rows to pick: their addresses, ascending, and their groups.
    pub(super) rows: Vec<Vec<Row>>,
    pub(super) counts: Vec<u32>,
    /// The least and the greatest time, as their place in the order.
    pub(super) times: [Vec<u64>; 2],
    /// 0 where a session has no number, for its rows have no time.
    pub(super) numbers: Vec<u32>,
    /// The group of each row, if one of `others` is asked for.
    pub(super) of_rows: Vec<AtomicU32>,
    order: Order,
    _reservation: Arc<MemoryReservation>,
}

/// A row to pick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) address: u32,
    pub(super) group: u32,
}

/// The groups of one part.
#[derive(Debug, Default)]
struct PartGroups {
    /// The number of the first one.
    base: u32,
    groups: u32,
    rows: Vec<Vec<u32>>,
    counts: Vec<u32>,
    times: [Vec<u64>; 2],
    numbers: Vec<u32>,
}

/// Goes through sorted rows.
#[derive(Clone)]
struct Follow {
    plan: Arc<AggregatePlan>,
    partitions: Arc<[Range<u32>]>,
    conditions: Arc<[Vec<BooleanBuffer>]>,
    of_rows: Arc<Vec<AtomicU32>>,
    next: Arc<AtomicU32>,
    reservation: Arc<MemoryReservation>,
    metrics: PassMetrics,
}

impl AggregatePlan {
    /// Runs the narrow pass; `None` if there are too many rows.
    pub(super) async fn groups(
        self: &Arc<Self>,
        context: &Arc<TaskContext>,
        metrics: &PassMetrics,
    ) -> Result<Option<Groups>> {
        let consumer = MemoryConsumer::new("LateAggregateExec").with_can_spill(true);
        let reservation = consumer.register(context.memory_pool());
        let reading = metrics.read.timer();
        let Some(held) = self.keyed.read(context, &reservation).await? else {
            return Ok(None);
        };
        drop(reading);
        let _sorting = metrics.sort.timer();
        let all = held.partitions.last().map_or(0, |last| last.end as usize);
        let mut of_rows = Vec::new();
        if !self.others.is_empty() {
            reservation.try_grow(all.saturating_mul(size_of::<AtomicU32>()))?;
            of_rows.resize_with(all, AtomicU32::default);
        }
        let (of_rows, reservation) = (Arc::new(of_rows), Arc::new(reservation));
        let follow = Follow {
            plan: Arc::clone(self),
            partitions: held.partitions.clone().into(),
            conditions: held.conditions.into(),
            of_rows: Arc::clone(&of_rows),
            next: Arc::default(),
            reservation: Arc::clone(&reservation),
            metrics: metrics.clone(),
        };
        let parts = self.keyed.each_part(
            held.entries,
            &held.partitions,
            context,
            &reservation,
            &metrics.tied_rows,
            move |part| follow.part(part),
        );
        let mut parts = parts.await?;
        parts.sort_unstable_by_key(|part| part.base);
        let mut groups = Groups {
            groups: parts.iter().map(|part| part.groups as usize).sum(),
            partitions: held.partitions,
            rows: vec![Vec::new(); self.slots.len()],
            counts: Vec::new(),
            times: [Vec::new(), Vec::new()],
            numbers: Vec::new(),
            of_rows: Arc::into_inner(of_rows).unwrap_or_default(),
            order: self.keyed.order,
            _reservation: reservation,
        };
        for part in parts {
            groups.add(part);
        }
        for rows in &mut groups.rows {
            rows.sort_unstable();
        }
        Ok(Some(groups))
    }

    /// Bytes that are held of a group, while its part and the whole are.
    fn bytes_of_group(&self) -> usize {
        let counts = usize::from(self.wanted.counts) + usize::from(self.wanted.numbers);
        let times = self.wanted.times.map(usize::from).iter().sum::<usize>();
        let slots = self.slots.len() * (size_of::<u32>() + size_of::<Row>());
        slots + 2 * (size_of::<u32>() * counts + size_of::<u64>() * times)
    }
}

impl Groups {
    fn add(&mut self, part: PartGroups) {
        for (all, addresses) in self.rows.iter_mut().zip(part.rows) {
            let rows = (part.base..).zip(addresses);
            let rows = rows.filter(|(_, address)| *address != NO_ROW);
            all.extend(rows.map(|(group, address)| Row { address, group }));
        }
        self.counts.extend(part.counts);
        self.numbers.extend(part.numbers);
        for (all, times) in self.times.iter_mut().zip(part.times) {
            all.extend(times);
        }
    }

    /// The numbers of sessions; null where there is none.
    pub(super) fn numbers(&self, groups: &[u32]) -> Int64Array {
        let numbers = groups.iter().map(|group| self.numbers[*group as usize]);
        numbers.map(|n| (n > 0).then_some(i64::from(n))).collect()
    }

    /// How many rows groups have.
    pub(super) fn counts(&self, groups: &[u32]) -> Int64Array {
        let counts = groups.iter().map(|group| self.counts[*group as usize]);
        Int64Array::from_iter_values(counts.map(i64::from))
    }

    /// The least time, or the greatest; null where no row has one.
    pub(super) fn times(&self, groups: &[u32], greatest: bool) -> Int64Array {
        let times = &self.times[usize::from(greatest)];
        let times = groups.iter().map(|group| times[*group as usize]);
        let null = self.order.null();
        times
            .map(|code| (code != null).then(|| self.order.value(code)))
            .collect()
    }

    /// The groups of some rows.
    pub(super) fn of_rows(&self, rows: Range<usize>) -> Option<Vec<usize>> {
        let groups = self.of_rows.get(rows)?.iter();
        Some(groups.map(|g| g.load(Ordering::Relaxed) as usize).collect())
    }
}

/// Numbers as an array, for `take`.
pub(super) fn indexes(groups: &[u32]) -> UInt32Array {
    UInt32Array::from_iter_values(groups.iter().copied())
}

/// Some rows of a key, and the number of their session: 0 without one.
type Run<'a> = (u32, &'a [Entry]);

impl Follow {
    fn part(&self, part: &Part) -> Result<PartGroups> {
        let mut runs: Vec<Run<'_>> = Vec::new();
        let mut state = SessionState::default();
        let mut keys = 0;
        for key in part.keys() {
            keys += 1;
            match &self.plan.sessions {
                Some(bound) => self.cut(&bound.rules, &mut state, key, &mut runs)?,
                None => runs.push((0, key)),
            }
        }
        self.metrics.keys.add(keys);
        self.metrics.found.add(runs.len());
        self.reservation
            .try_grow(runs.len().saturating_mul(self.plan.bytes_of_group()))?;
        let groups = runs.len() as u32;
        let mut found = PartGroups {
            base: self.next.fetch_add(groups, Ordering::Relaxed),
            groups,
            rows: vec![Vec::with_capacity(runs.len()); self.plan.slots.len()],
            ..PartGroups::default()
        };
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

    fn group(&self, found: &mut PartGroups, number: u32, rows: &[Entry]) {
        for (slot, addresses) in self.plan.slots.iter().zip(&mut found.rows) {
            let meets = |row: &&Entry| self.meets(slot.condition, row.address);
            let row = match slot.last {
                false => rows.iter().find(meets),
                true => rows.iter().rfind(meets),
            };
            addresses.push(row.map_or(NO_ROW, |row| row.address));
        }
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
    fn meets(&self, condition: Option<usize>, address: u32) -> bool {
        let Some(condition) = condition else {
            return true;
        };
        let partition = self.partitions.partition_point(|rows| rows.end <= address);
        let row = address - self.partitions[partition].start;
        // a partition without rows has no conditions
        let conditions = self.conditions[partition].get(condition);
        conditions.is_some_and(|holds| holds.value(row as usize))
    }
}
