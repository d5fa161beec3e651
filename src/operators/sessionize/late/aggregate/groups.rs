//! The groups that the narrow pass finds.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::arrow::array::{Int64Array, UInt32Array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use super::follow::{Conditions, Follow, NO_ROW, PartGroups};
use super::plan::{AggregatePlan, Wanted};
use crate::operators::sessionize::late::entries::Part;
use crate::operators::sessionize::late::keyed::Addressed;
use crate::operators::sessionize::late::order::Order;
use crate::operators::sessionize::late::pass::PassMetrics;
use crate::operators::sessionize::late::{once, other_rows};

/// All groups, numbered from 0.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) groups: usize,
    /// The addresses of each partition's rows.
    pub(super) partitions: Vec<Range<u32>>,
    /// For each slot the rows to pick: their addresses, ascending, and their groups.
    pub(super) rows: Vec<Arc<[Row]>>,
    /// How many keys there are, if sessions get anything of theirs.
    pub(super) keys: usize,
    /// The key of each group.
    pub(super) of_keys: Vec<u32>,
    /// The rows to pick of keys, as `rows` are of groups.
    pub(super) key_rows: Vec<Arc<[Row]>>,
    pub(super) counts: Vec<u32>,
    /// The least and the greatest time, as their place in the order.
    pub(super) times: [Vec<u64>; 2],
    /// 0 where a session has no number, for its rows have no time.
    pub(super) numbers: Vec<u32>,
    /// The group of each row, if one of `others` is asked for.
    pub(super) of_rows: Arc<Vec<AtomicU32>>,
    order: Order,
    _reservation: Arc<MemoryReservation>,
}

/// A row to pick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) address: u32,
    pub(super) group: u32,
}

impl AggregatePlan {
    /// Runs the narrow pass; `None` if there are too many rows.
    pub(super) async fn groups(
        self: &Arc<Self>,
        key_conditions: Vec<Vec<BooleanBuffer>>,
        context: &Arc<TaskContext>,
        metrics: &PassMetrics,
    ) -> Result<Option<Groups>> {
        let consumer = MemoryConsumer::new("LateAggregateExec").with_can_spill(true);
        let reservation = consumer.register(context.memory_pool());
        let reservation = Arc::new(reservation);
        let key_conditions: Arc<Conditions> = key_conditions.into();
        let mut of_rows: Option<Arc<Vec<AtomicU32>>> = None;
        let work = |rows: Addressed<'_>, done: &[PartGroups]| {
            check(&key_conditions, rows.partitions)?;
            let room = || self.room_for_groups_of(rows.partitions, &reservation);
            let of_rows = once(&mut of_rows, room)?;
            let groups = done.iter().map(|part| part.groups).sum();
            let keys = done.iter().map(|part| part.keys).sum();
            let follow = Follow {
                plan: Arc::clone(self),
                partitions: rows.partitions.into(),
                conditions: rows.conditions.into(),
                key_conditions: Arc::clone(&key_conditions),
                of_rows,
                next: Arc::new(AtomicU32::new(groups)),
                next_key: Arc::new(AtomicU32::new(keys)),
                reservation: Arc::clone(&reservation),
            };
            Ok(move |part: &Part| follow.part(part))
        };
        let each = self.keyed.each_part(context, &reservation, metrics, work);
        let Some((partitions, parts)) = each.await? else {
            return Ok(None);
        };
        for part in &parts {
            metrics.keys.add(part.keys as usize);
            metrics.found.add(part.groups as usize);
        }
        let mut groups = self.put_together(parts, partitions, reservation)?;
        groups.of_rows = of_rows.unwrap_or_default();
        Ok(Some(groups))
    }

    /// The groups of all parts.
    fn put_together(
        &self,
        mut parts: Vec<PartGroups>,
        partitions: Vec<Range<u32>>,
        reservation: Arc<MemoryReservation>,
    ) -> Result<Groups> {
        parts.sort_unstable_by_key(|part| part.base);
        let all: usize = parts.iter().map(|part| part.groups as usize).sum();
        let keys: usize = parts.iter().map(|part| part.keys as usize).sum();
        for part in &mut parts {
            let (groups, keys) = (part.groups as usize, part.keys as usize);
            drop(part.reservation.take());
            reservation.try_grow(self.bytes_of(groups, keys, size_of::<Row>()))?;
        }
        let rows = rows(&mut parts, self.picks.slots.len(), |part| {
            (part.base, std::mem::take(&mut part.rows))
        });
        let key_slots = self
            .of_key
            .as_ref()
            .map_or(0, |of_key| of_key.slots().len());
        let key_rows = self::rows(&mut parts, key_slots, |part| {
            (part.key_base, std::mem::take(&mut part.key_rows))
        });
        let mut groups = Groups {
            groups: all,
            partitions,
            rows,
            keys,
            of_keys: Vec::new(),
            key_rows,
            counts: Vec::new(),
            times: [Vec::new(), Vec::new()],
            numbers: Vec::new(),
            of_rows: Arc::default(),
            order: self.keyed.order,
            _reservation: reservation,
        };
        groups.reserve(self.wanted);
        for part in parts {
            groups.add(part);
        }
        Ok(groups)
    }

    /// Room for the group of each row, if any aggregate needs it.
    fn room_for_groups_of(
        &self,
        partitions: &[Range<u32>],
        reservation: &MemoryReservation,
    ) -> Result<Vec<AtomicU32>> {
        let mut of_rows = Vec::new();
        if !self.others.is_empty() {
            let all = partitions.last().map_or(0, |last| last.end as usize);
            reservation.try_grow(all.saturating_mul(size_of::<AtomicU32>()))?;
            of_rows.resize_with(all, AtomicU32::default);
        }
        Ok(of_rows)
    }

    /// Bytes that are held of groups and keys, with so many for a row to pick.
    pub(super) fn bytes_of(&self, groups: usize, keys: usize, pick: usize) -> usize {
        let counts = [
            self.wanted.counts,
            self.wanted.numbers,
            self.of_key.is_some(),
            self.numbering.is_some(),
        ];
        let counts = counts.into_iter().filter(|wanted| *wanted).count();
        let times = self
            .wanted
            .times
            .into_iter()
            .filter(|wanted| *wanted)
            .count();
        let of_group = size_of::<u32>() * counts
            + size_of::<u64>() * times
            + pick * self.picks.slots.len();
        let key_slots = self.of_key.as_ref().map_or(0, |k| k.slots().len());
        let of_groups = groups.saturating_mul(of_group);
        of_groups.saturating_add(keys.saturating_mul(pick * key_slots))
    }
}

/// Conditions must be about as many rows as there are.
fn check(conditions: &Conditions, partitions: &[Range<u32>]) -> Result<()> {
    let mut each = conditions.iter().zip(partitions);
    let same = each.all(|(conditions, rows)| {
        conditions.iter().all(|holds| holds.len() == rows.len())
    });
    if same { Ok(()) } else { Err(other_rows()) }
}

/// The rows to pick of all parts, slot by slot; `of` gives a part's, and the number that its
/// first group or key has.
fn rows(
    parts: &mut [PartGroups],
    slots: usize,
    of: impl Fn(&mut PartGroups) -> (u32, Vec<Vec<u32>>),
) -> Vec<Arc<[Row]>> {
    let mut rows = vec![Vec::new(); slots];
    for part in parts {
        let (base, addresses) = of(part);
        for (all, addresses) in rows.iter_mut().zip(addresses) {
            let rows = (base..).zip(addresses);
            let rows = rows.filter(|(_, address)| *address != NO_ROW);
            all.extend(rows.map(|(group, address)| Row { address, group }));
        }
    }
    let sorted = rows.into_iter().map(|mut rows: Vec<Row>| {
        rows.sort_unstable();
        rows.into()
    });
    sorted.collect()
}

impl Groups {
    /// Makes room for what is wanted of all groups.
    fn reserve(&mut self, wanted: Wanted) {
        let groups = self.groups;
        let room = |wanted: bool| if wanted { groups } else { 0 };
        self.counts.reserve_exact(room(wanted.counts));
        self.numbers.reserve_exact(room(wanted.numbers));
        for (times, wanted) in self.times.iter_mut().zip(wanted.times) {
            times.reserve_exact(room(wanted));
        }
    }

    fn add(&mut self, part: PartGroups) {
        self.of_keys.extend(part.of_keys);
        self.counts.extend(part.counts);
        self.numbers.extend(part.numbers);
        for (all, times) in self.times.iter_mut().zip(part.times) {
            all.extend(times);
        }
    }

    /// The keys of groups.
    pub(super) fn keys_of(&self, groups: &[u32]) -> Vec<u32> {
        groups.iter().map(|g| self.of_keys[*g as usize]).collect()
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
