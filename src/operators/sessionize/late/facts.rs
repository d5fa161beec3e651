//! What the narrow pass finds out about every row.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};

use datafusion::arrow::array::{
    ArrayRef, AsArray, Int64Array, Int64Builder, UInt8Array, UInt8Builder, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Int64Type, UInt8Type};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use super::entries::Entry;
use super::order::Order;
use crate::boundary::{Event, Rules, SessionState, StartReason};
use crate::functions::Kind;

/// Which facts of a rule are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    numbers: bool,
    event_numbers: bool,
    starts: bool,
    ends: bool,
    reasons: bool,
}

impl Wanted {
    pub(super) fn add(&mut self, kind: Kind) {
        match kind {
            Kind::SessionNumber | Kind::SessionId => self.numbers = true,
            Kind::SessionEventNumber => self.event_numbers = true,
            Kind::SessionStart => self.starts = true,
            Kind::IsSessionStart | Kind::SessionStartReason => self.reasons = true,
            Kind::SessionEnd => self.ends = true,
        }
    }

    pub(super) fn ends(self) -> bool {
        self.ends
    }

    /// The types of the facts as columns.
    pub(super) fn types(self) -> impl Iterator<Item = DataType> {
        let numbers = [self.numbers, self.event_numbers, self.starts, self.ends];
        let numbers = numbers.into_iter().filter(|wanted| *wanted);
        let reasons = self.reasons.then_some(DataType::UInt8);
        numbers.map(|_| DataType::Int64).chain(reasons)
    }
}

/// The facts of one rule about the rows of a batch: those that are asked for. Of rows
/// without a time they say nothing.
#[derive(Debug)]
pub(super) struct FactArrays {
    pub(super) numbers: Option<Int64Array>,
    pub(super) event_numbers: Option<Int64Array>,
    pub(super) starts: Option<Int64Array>,
    pub(super) ends: Option<Int64Array>,
    pub(super) reasons: Option<UInt8Array>,
}

impl FactArrays {
    pub(super) fn columns(&self) -> impl Iterator<Item = ArrayRef> {
        let numbers = [&self.numbers, &self.event_numbers, &self.starts, &self.ends];
        let numbers = numbers.into_iter().flatten();
        let reasons = self.reasons.iter().map(|r| Arc::new(r.clone()) as ArrayRef);
        numbers
            .map(|n| Arc::new(n.clone()) as ArrayRef)
            .chain(reasons)
    }

    /// The facts that [`columns`](Self::columns) gave.
    pub(super) fn of_columns<'a>(
        wanted: Wanted,
        columns: &mut impl Iterator<Item = &'a ArrayRef>,
    ) -> Self {
        let mut number = |wanted: bool| {
            let column = columns.next_if_wanted(wanted)?;
            Some(column.as_primitive::<Int64Type>().clone())
        };
        let numbers = number(wanted.numbers);
        let event_numbers = number(wanted.event_numbers);
        let starts = number(wanted.starts);
        let ends = number(wanted.ends);
        let reasons = columns.next_if_wanted(wanted.reasons);
        Self {
            numbers,
            event_numbers,
            starts,
            ends,
            reasons: reasons.map(|r| r.as_primitive::<UInt8Type>().clone()),
        }
    }
}

trait NextIfWanted: Iterator {
    fn next_if_wanted(&mut self, wanted: bool) -> Option<Self::Item> {
        if wanted { self.next() } else { None }
    }
}

impl<I: Iterator> NextIfWanted for I {}

/// The facts of one rule, row after row.
#[derive(Debug)]
pub(super) struct FactBuilder {
    numbers: Option<Int64Builder>,
    event_numbers: Option<Int64Builder>,
    starts: Option<Int64Builder>,
    ends: Option<Int64Builder>,
    reasons: Option<UInt8Builder>,
}

impl FactBuilder {
    pub(super) fn new(wanted: Wanted, rows: usize) -> Self {
        let numbers = |wanted: bool| wanted.then(|| Int64Builder::with_capacity(rows));
        Self {
            numbers: numbers(wanted.numbers),
            event_numbers: numbers(wanted.event_numbers),
            starts: numbers(wanted.starts),
            ends: numbers(wanted.ends),
            reasons: wanted.reasons.then(|| UInt8Builder::with_capacity(rows)),
        }
    }

    /// A row that led to `state`, and started a session for `reason`; `end` stands for the
    /// end of its session.
    pub(super) fn push(
        &mut self,
        state: &SessionState,
        reason: Option<StartReason>,
        end: i64,
    ) {
        self.append(
            [state.number(), state.event_number(), state.start(), end],
            reason.map_or(0, StartReason::code),
        );
    }

    /// A row without a time.
    pub(super) fn push_nothing(&mut self) {
        self.append([0; 4], 0);
    }

    fn append(&mut self, [number, event_number, start, end]: [i64; 4], reason: u8) {
        let pairs = [
            (&mut self.numbers, number),
            (&mut self.event_numbers, event_number),
            (&mut self.starts, start),
            (&mut self.ends, end),
        ];
        for (builder, value) in pairs {
            if let Some(builder) = builder {
                builder.append_value(value);
            }
        }
        if let Some(builder) = &mut self.reasons {
            builder.append_value(reason);
        }
    }

    pub(super) fn finish(self) -> FactArrays {
        let finished = |builder: Option<Int64Builder>| builder.map(|mut b| b.finish());
        FactArrays {
            numbers: finished(self.numbers),
            event_numbers: finished(self.event_numbers),
            starts: finished(self.starts),
            ends: finished(self.ends),
            reasons: self.reasons.map(|mut b| b.finish()),
        }
    }
}

/// The facts of one rule about all rows, by address.
///
/// Rows are written from several threads, each row once, and read after all are done: no
/// order among the writes matters.
#[derive(Debug, Default)]
pub(super) struct Facts {
    numbers: Vec<AtomicU32>,
    event_numbers: Vec<AtomicU32>,
    starts: Vec<AtomicI64>,
    ends: Vec<AtomicI64>,
    reasons: Vec<AtomicU8>,
}

/// Room for a value of each row, charged to `reservation`; none if it is not wanted.
fn room<T: Default>(
    wanted: bool,
    rows: usize,
    reservation: &MemoryReservation,
) -> Result<Vec<T>> {
    let rows = if wanted { rows } else { 0 };
    reservation.try_grow(rows.saturating_mul(size_of::<T>()))?;
    Ok(std::iter::repeat_with(T::default).take(rows).collect())
}

impl Facts {
    /// Room for the facts about `rows` rows, charged to `reservation`.
    pub(super) fn try_new(
        wanted: Wanted,
        rows: usize,
        reservation: &MemoryReservation,
    ) -> Result<Self> {
        Ok(Self {
            numbers: room(wanted.numbers, rows, reservation)?,
            event_numbers: room(wanted.event_numbers, rows, reservation)?,
            starts: room(wanted.starts, rows, reservation)?,
            ends: room(wanted.ends, rows, reservation)?,
            reasons: room(wanted.reasons, rows, reservation)?,
        })
    }

    /// Goes through the rows of one key, in their order; gives the number of sessions.
    pub(super) fn follow(
        &self,
        rules: &Rules,
        order: Order,
        key: &[Entry],
        state: &mut SessionState,
    ) -> Result<usize> {
        state.reset();
        let mut sessions = 0;
        // rows without a time come together, at one end
        let timed = |entry: &Entry| entry.order != order.null();
        let from = key.iter().position(timed).unwrap_or(key.len());
        let key = &key[from..];
        let key = &key[..key.iter().rposition(timed).map_or(0, |last| last + 1)];
        let mut start = 0;
        for (row, entry) in key.iter().enumerate() {
            let event = Event::at(order.value(entry.order));
            let reason = state.push(rules, &event)?;
            if reason.is_some() {
                sessions += 1;
                self.end(order, &key[start..row]);
                start = row;
            }
            self.set(entry.address as usize, state, reason);
        }
        self.end(order, &key[start..]);
        Ok(sessions)
    }

    /// Tells the rows of a session its end.
    fn end(&self, order: Order, session: &[Entry]) {
        let Some(last) = session.last().filter(|_| !self.ends.is_empty()) else {
            return;
        };
        for entry in session {
            let end = &self.ends[entry.address as usize];
            end.store(order.value(last.order), Ordering::Relaxed);
        }
    }

    fn set(&self, row: usize, state: &SessionState, reason: Option<StartReason>) {
        if let Some(number) = self.numbers.get(row) {
            number.store(small(state.number()), Ordering::Relaxed);
        }
        if let Some(number) = self.event_numbers.get(row) {
            number.store(small(state.event_number()), Ordering::Relaxed);
        }
        if let Some(start) = self.starts.get(row) {
            start.store(state.start(), Ordering::Relaxed);
        }
        if let Some(code) = self.reasons.get(row) {
            let reason = reason.map_or(0, StartReason::code);
            code.store(reason, Ordering::Relaxed);
        }
    }

    /// The facts about some rows.
    pub(super) fn arrays(&self, rows: Range<usize>) -> FactArrays {
        let small = |values: &[AtomicU32]| {
            let values = values.get(rows.clone())?.iter();
            let values = values.map(|v| v.load(Ordering::Relaxed).into());
            Some(Int64Array::from_iter_values(values))
        };
        let times = |values: &[AtomicI64]| {
            let values = values.get(rows.clone())?.iter();
            let values = values.map(|v| v.load(Ordering::Relaxed));
            Some(Int64Array::from_iter_values(values))
        };
        let reasons = self.reasons.get(rows.clone()).map(|values| {
            let values = values.iter().map(|v| v.load(Ordering::Relaxed));
            UInt8Array::from_iter_values(values)
        });
        FactArrays {
            numbers: small(&self.numbers),
            event_numbers: small(&self.event_numbers),
            starts: times(&self.starts),
            ends: times(&self.ends),
            reasons,
        }
    }
}

/// A count of rows: there are fewer than addresses.
fn small(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// `row_number()` of all rows, by address.
#[derive(Debug, Default)]
pub(super) struct RowNumbers(Vec<AtomicU32>);

impl RowNumbers {
    pub(super) fn try_new(
        wanted: bool,
        rows: usize,
        reservation: &MemoryReservation,
    ) -> Result<Self> {
        room(wanted, rows, reservation).map(Self)
    }

    /// Numbers the rows of one key.
    pub(super) fn follow(&self, key: &[Entry]) {
        if self.0.is_empty() {
            return;
        }
        for (number, entry) in (1..).zip(key) {
            self.0[entry.address as usize].store(number, Ordering::Relaxed);
        }
    }

    /// Gives rows of one key that follow each other the number of the last.
    pub(super) fn level(&self, rows: &[Entry]) {
        let Some(last) = rows.last().filter(|_| !self.0.is_empty()) else {
            return;
        };
        let number = self.0[last.address as usize].load(Ordering::Relaxed);
        for row in rows {
            self.0[row.address as usize].store(number, Ordering::Relaxed);
        }
    }

    /// The numbers of some rows.
    pub(super) fn array(&self, rows: Range<usize>) -> Option<UInt64Array> {
        let numbers = self.0.get(rows)?.iter();
        let numbers = numbers.map(|number| number.load(Ordering::Relaxed).into());
        Some(UInt64Array::from_iter_values(numbers))
    }
}

/// The time of the row before in the key, by address: its place in the order.
#[derive(Debug, Default)]
pub(super) struct Lags(Vec<AtomicU64>);

impl Lags {
    pub(super) fn try_new(
        wanted: bool,
        rows: usize,
        reservation: &MemoryReservation,
    ) -> Result<Self> {
        room(wanted, rows, reservation).map(Self)
    }

    /// Goes through the rows of one key.
    pub(super) fn follow(&self, order: Order, key: &[Entry]) {
        if self.0.is_empty() {
            return;
        }
        let mut before = order.null();
        for entry in key {
            self.0[entry.address as usize].store(before, Ordering::Relaxed);
            before = entry.order;
        }
    }

    /// Those of some rows.
    pub(super) fn array(&self, order: Order, rows: Range<usize>) -> Option<Int64Array> {
        let codes = self.0.get(rows)?.iter();
        let codes = codes.map(|code| code.load(Ordering::Relaxed));
        let null = order.null();
        Some(
            codes
                .map(|code| (code != null).then(|| order.value(code)))
                .collect(),
        )
    }
}
