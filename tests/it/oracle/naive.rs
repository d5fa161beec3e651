//! Random events and rules, and what a plain loop makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, DurationMillisecondArray, Int64Array,
    IntervalMonthDayNanoArray, RecordBatch, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::datasource::MemTable;
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) key: Option<String>,
    /// In nanoseconds, whole ticks of the case's unit.
    pub(super) time: Option<i64>,
    /// In milliseconds.
    pub(super) gap: Option<i64>,
    pub(super) value: Option<String>,
    pub(super) start: Option<bool>,
    pub(super) end: Option<bool>,
}

#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) unit: TimeUnit,
    pub(super) time_type_zone: Option<&'static str>,
    pub(super) gap_ms: Option<i64>,
    pub(super) gap_per_row: bool,
    pub(super) gaps_are_durations: bool,
    /// The type of `split_on`; all of `Row::value` can be cast to it.
    pub(super) value_type: DataType,
    pub(super) more_than: bool,
    pub(super) seconds: bool,
    pub(super) max_ms: Option<i64>,
    pub(super) zone: Option<&'static str>,
    pub(super) split: bool,
    pub(super) start: bool,
    pub(super) end: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) number: i64,
    pub(super) event: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) reason: Option<&'static str>,
}

/// In nanoseconds.
pub(super) const STEPS: [i64; 16] = [
    0,
    0,
    1,
    999,
    1_000_001,
    999_999_999,
    60_000_000_000,
    899_999_999_999,
    900_000_000_000,
    1_799_001_000_000,
    1_799_999_999_999,
    1_800_000_000_000,
    1_800_000_000_001,
    1_800_900_000_000,
    40_000_000_000_000,
    90_000_000_000_000,
];

pub(super) fn random_rows(rng: &mut ChaCha8Rng, case: &Case) -> Vec<Row> {
    let tick = nanos(case.unit);
    let mut rows = Vec::new();
    for key in 0..rng.random_range(1..8) {
        // the night in which the clocks change in Berlin, or around 1970
        let mut time =
            [1_774_735_000_500_000_007, -3_000_000_000_003][rng.random_range(0..2)];
        for _ in 0..rng.random_range(0..40) {
            time += STEPS[rng.random_range(0..STEPS.len())];
            let flag = |rng: &mut ChaCha8Rng| match rng.random_range(0..8) {
                0 => None,
                1 => Some(true),
                _ => Some(false),
            };
            rows.push(Row {
                id: rng.random_range(0..i64::MAX),
                key: (key > 0).then(|| format!("key{key}")),
                time: rng
                    .random_bool(0.95)
                    .then_some(time.div_euclid(tick) * tick),
                gap: rng
                    .random_bool(0.9)
                    .then(|| [1, 900_000, 1_800_000][rng.random_range(0..3)]),
                value: rng
                    .random_bool(0.6)
                    .then(|| ["1", "2", "10"][rng.random_range(0..3)].to_string()),
                start: flag(rng),
                end: flag(rng),
            });
        }
    }
    rows
}

pub(super) fn random_case(rng: &mut ChaCha8Rng) -> Case {
    let text = Box::new(DataType::Utf8);
    let value_types = [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(Box::new(DataType::Int32), text),
        DataType::Int64,
    ];
    let mut case = Case {
        unit: *UNITS.choose(rng).unwrap(),
        time_type_zone: [None, Some("UTC"), Some("America/New_York")]
            [rng.random_range(0..3)],
        value_type: value_types.choose(rng).unwrap().clone(),
        gaps_are_durations: rng.random(),
        more_than: rng.random(),
        seconds: rng.random(),
        gap_ms: None,
        gap_per_row: false,
        max_ms: None,
        zone: None,
        split: false,
        start: false,
        end: false,
    };
    match rng.random_range(0..3) {
        0 => case.gap_per_row = true,
        1 => case.gap_ms = Some([900_000, 86_400_000][rng.random_range(0..2)]),
        _ => {}
    }
    if rng.random_bool(0.4) {
        case.max_ms = Some([1_800_000, 3_600_000][rng.random_range(0..2)]);
    }
    if rng.random_bool(0.4) {
        case.zone =
            Some(["Europe/Berlin", "UTC", "Asia/Kathmandu"][rng.random_range(0..3)]);
    }
    case.split = rng.random_bool(0.4);
    case.start = rng.random_bool(0.3);
    case.end = rng.random_bool(0.3);
    case
}

impl Case {
    pub(super) fn arguments(&self) -> String {
        let mut text = String::from("t");
        let mut add = |argument: String| {
            text.push_str(", ");
            text.push_str(&argument);
        };
        if self.end {
            add("end_after => e".into());
        }
        if self.gap_per_row {
            add("gap => gap".into());
        }
        if let Some(gap) = self.gap_ms {
            add(format!("gap => INTERVAL '{} seconds'", gap / 1000));
        }
        if let Some(max) = self.max_ms {
            add(format!("max_duration => '{} minutes'", max / 60_000));
        }
        if self.more_than {
            add("boundary => 'more_than'".into());
        }
        if self.seconds {
            add("granularity => 'second'".into());
        }
        if let Some(zone) = self.zone {
            add(format!("time_zone => '{zone}'"));
        }
        if self.split {
            add("split_on => v".into());
        }
        if self.start {
            add("start_when => s".into());
        }
        text
    }

    /// Whether two times are too far apart for `limit` milliseconds.
    pub(super) fn far(&self, from: i64, to: i64, limit: i64) -> bool {
        let distance = if self.seconds {
            // whole seconds, found without `div_euclid`
            let floor = |time: i64| time - ((time % SECOND) + SECOND) % SECOND;
            floor(to) - floor(from)
        } else {
            to - from
        };
        let limit = limit * 1_000_000;
        if self.more_than {
            distance > limit
        } else {
            distance >= limit
        }
    }

    pub(super) fn reason(&self, session: &[Row], row: &Row) -> Option<&'static str> {
        let (Some(first), Some(last)) = (session.first(), session.last()) else {
            return Some("first");
        };
        let (time, before) = (row.time.unwrap(), last.time.unwrap());
        let gap = if self.gap_per_row {
            row.gap
        } else {
            Some(self.gap_ms.unwrap_or(1_800_000))
        };
        if time != before {
            if gap.is_some_and(|gap| self.far(before, time, gap)) {
                return Some("inactivity");
            }
            if self
                .max_ms
                .is_some_and(|max| self.far(first.time.unwrap(), time, max))
            {
                return Some("max_duration");
            }
            if self
                .zone
                .is_some_and(|zone| day(zone, before) != day(zone, time))
            {
                return Some("calendar_day");
            }
            let seen = session.iter().rev().find_map(|row| row.value.clone());
            if self.split && row.value.is_some() && seen.is_some() && row.value != seen {
                return Some("value_change");
            }
        }
        let forced =
            self.start && row.start == Some(true) || self.end && last.end == Some(true);
        forced.then_some("forced")
    }
}

pub(super) fn day(zone: &str, time: i64) -> chrono::NaiveDate {
    let utc = DateTime::from_timestamp_nanos(time).naive_utc();
    zone.parse::<Tz>()
        .unwrap()
        .from_utc_datetime(&utc)
        .date_naive()
}

pub(super) fn expected(case: &Case, rows: &[Row]) -> BTreeMap<i64, Option<Answer>> {
    let mut answers = BTreeMap::new();
    let mut keys: BTreeMap<Option<String>, Vec<Row>> = BTreeMap::new();
    for row in rows {
        answers.insert(row.id, None);
        if row.time.is_some() {
            keys.entry(row.key.clone()).or_default().push(row.clone());
        }
    }
    for mut events in keys.into_values() {
        events.sort_by_key(|row| (row.time, row.id));
        let mut sessions: Vec<Vec<Row>> = Vec::new();
        let mut reasons = BTreeMap::new();
        for event in events {
            let session = sessions.last().map_or(&[][..], Vec::as_slice);
            let reason = case.reason(session, &event);
            reasons.insert(event.id, reason);
            match (reason, sessions.last_mut()) {
                (None, Some(session)) => session.push(event),
                _ => sessions.push(vec![event]),
            }
        }
        for (number, session) in sessions.iter().enumerate() {
            for (place, row) in session.iter().enumerate() {
                let answer = Answer {
                    number: number as i64 + 1,
                    event: place as i64 + 1,
                    start: session.first().unwrap().time.unwrap(),
                    end: session.last().unwrap().time.unwrap(),
                    reason: reasons[&row.id],
                };
                answers.insert(row.id, Some(answer));
            }
        }
    }
    answers
}

pub(super) const UNITS: [TimeUnit; 4] = [
    TimeUnit::Second,
    TimeUnit::Millisecond,
    TimeUnit::Microsecond,
    TimeUnit::Nanosecond,
];

pub(super) const SECOND: i64 = 1_000_000_000;

pub(super) fn nanos(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => SECOND,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

pub(super) fn batch_type(case: &Case) -> DataType {
    DataType::Timestamp(case.unit, case.time_type_zone.map(Arc::from))
}

pub(super) fn batch(case: &Case, rows: &[Row]) -> RecordBatch {
    let tick = nanos(case.unit);
    let ticks: Int64Array = rows.iter().map(|r| r.time.map(|t| t / tick)).collect();
    let gaps: ArrayRef = if case.gaps_are_durations {
        let gaps = rows.iter().map(|row| row.gap);
        Arc::new(gaps.collect::<DurationMillisecondArray>())
    } else {
        let gaps = rows.iter().map(|row| {
            let nanos = |gap: i64| IntervalMonthDayNano::new(0, 0, gap * 1_000_000);
            row.gap.map(nanos)
        });
        Arc::new(gaps.collect::<IntervalMonthDayNanoArray>())
    };
    let ids: Int64Array = rows.iter().map(|r| Some(r.id)).collect();
    let keys: StringArray = rows.iter().map(|r| r.key.clone()).collect();
    let values: StringArray = rows.iter().map(|r| r.value.clone()).collect();
    let starts: BooleanArray = rows.iter().map(|r| r.start).collect();
    let ends: BooleanArray = rows.iter().map(|r| r.end).collect();
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", Arc::new(ids), true),
        ("k", Arc::new(keys), true),
        ("t", cast(&ticks, &batch_type(case)).unwrap(), true),
        ("gap", gaps, true),
        ("v", cast(&values, &case.value_type).unwrap(), true),
        ("s", Arc::new(starts), true),
        ("e", Arc::new(ends), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Shuffled rows, cut at random into partitions and batches.
pub(super) fn table(rng: &mut ChaCha8Rng, case: &Case, rows: &[Row]) -> MemTable {
    let mut rows = rows.to_vec();
    rows.shuffle(rng);
    let mut partitions = vec![Vec::new(); rng.random_range(1..5)];
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(rng.random_range(1..=rest.len()));
        partitions.choose_mut(rng).unwrap().push(batch(case, head));
        rest = tail;
    }
    MemTable::try_new(batch(case, &rows).schema(), partitions).unwrap()
}
