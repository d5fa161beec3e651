//! The functions against a loop that only a reader of the contract could have written:
//! random rules, random events, any input order, batch size and number of partitions,
//! row by row (`BoundedWindowAggExec`) and a partition at once (`WindowAggExec`).

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, IntervalMonthDayNanoArray,
    RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{
    Int64Type, IntervalMonthDayNano, TimestampMillisecondType,
};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_sessionize::{SessionizeExt, SessionizeSqlExt};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

#[derive(Debug, Clone)]
struct Row {
    id: i64,
    key: Option<String>,
    time: Option<i64>,
    gap: Option<i64>,
    value: Option<String>,
    start: Option<bool>,
    end: Option<bool>,
}

#[derive(Debug, Clone, Default)]
struct Case {
    gap_ms: Option<i64>,
    gap_per_row: bool,
    more_than: bool,
    seconds: bool,
    max_ms: Option<i64>,
    zone: Option<&'static str>,
    split: bool,
    start: bool,
    end: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Answer {
    number: i64,
    event: i64,
    start: i64,
    end: i64,
    reason: Option<&'static str>,
}

const STEPS: [i64; 12] = [
    0, 0, 1, 999, 60_000, 899_999, 900_000, 1_799_001, 1_799_999, 1_800_000, 1_800_900,
    40_000_000,
];

fn random_rows(rng: &mut ChaCha8Rng) -> Vec<Row> {
    let mut rows = Vec::new();
    for key in 0..rng.random_range(1..8) {
        // the night in which the clocks change in Berlin, or around 1970
        let mut time = [1_774_735_000_500, -3_000_000][rng.random_range(0..2)];
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
                time: rng.random_bool(0.95).then_some(time),
                gap: rng
                    .random_bool(0.9)
                    .then(|| [1, 900_000, 1_800_000][rng.random_range(0..3)]),
                value: rng
                    .random_bool(0.6)
                    .then(|| ["a", "b", ""][rng.random_range(0..3)].to_string()),
                start: flag(rng),
                end: flag(rng),
            });
        }
    }
    rows
}

fn random_case(rng: &mut ChaCha8Rng) -> Case {
    let mut case = Case {
        more_than: rng.random(),
        seconds: rng.random(),
        ..Case::default()
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
    fn arguments(&self) -> String {
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

    /// Whether two times are too far apart for `limit`, in milliseconds.
    fn far(&self, from: i64, to: i64, limit: i64) -> bool {
        let distance = if self.seconds {
            let floor = |time: i64| (time as f64 / 1000.0).floor() as i64;
            (floor(to) - floor(from)) * 1000
        } else {
            to - from
        };
        if self.more_than {
            distance > limit
        } else {
            distance >= limit
        }
    }

    fn reason(&self, session: &[Row], row: &Row) -> Option<&'static str> {
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

fn day(zone: &str, time: i64) -> chrono::NaiveDate {
    let utc = DateTime::from_timestamp_millis(time).unwrap().naive_utc();
    zone.parse::<Tz>()
        .unwrap()
        .from_utc_datetime(&utc)
        .date_naive()
}

fn expected(case: &Case, rows: &[Row]) -> BTreeMap<i64, Option<Answer>> {
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

fn batch(rows: &[Row]) -> RecordBatch {
    let gaps = rows.iter().map(|row| {
        row.gap
            .map(|gap| IntervalMonthDayNano::new(0, 0, gap * 1_000_000))
    });
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        (
            "id",
            Arc::new(rows.iter().map(|r| Some(r.id)).collect::<Int64Array>()),
            true,
        ),
        (
            "k",
            Arc::new(rows.iter().map(|r| r.key.clone()).collect::<StringArray>()),
            true,
        ),
        (
            "t",
            Arc::new(
                rows.iter()
                    .map(|r| r.time)
                    .collect::<TimestampMillisecondArray>(),
            ),
            true,
        ),
        (
            "gap",
            Arc::new(gaps.collect::<IntervalMonthDayNanoArray>()),
            true,
        ),
        (
            "v",
            Arc::new(
                rows.iter()
                    .map(|r| r.value.clone())
                    .collect::<StringArray>(),
            ),
            true,
        ),
        (
            "s",
            Arc::new(rows.iter().map(|r| r.start).collect::<BooleanArray>()),
            true,
        ),
        (
            "e",
            Arc::new(rows.iter().map(|r| r.end).collect::<BooleanArray>()),
            true,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Shuffled rows, cut at random into partitions and batches.
fn table(rng: &mut ChaCha8Rng, rows: &[Row]) -> MemTable {
    let mut rows = rows.to_vec();
    rows.shuffle(rng);
    let mut partitions = vec![Vec::new(); rng.random_range(1..5)];
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(rng.random_range(1..=rest.len()));
        partitions.choose_mut(rng).unwrap().push(batch(head));
        rest = tail;
    }
    MemTable::try_new(batch(&rows).schema(), partitions).unwrap()
}

const REASONS: [&str; 6] = [
    "first",
    "inactivity",
    "max_duration",
    "calendar_day",
    "value_change",
    "forced",
];

/// What the functions say; with the whole partition at once if `ends` are asked for.
async fn found(
    context: &SessionContext,
    case: &Case,
    ends: bool,
) -> BTreeMap<i64, Option<Answer>> {
    let arguments = case.arguments();
    let end = if ends { "session_end" } else { "session_start" };
    let sql = format!(
        "SELECT id, session_number({arguments}) OVER w, session_event_number({arguments}) \
         OVER w, session_start({arguments}) OVER w, {end}({arguments}) OVER w AS last, \
         session_start_reason({arguments}) OVER w, is_session_start({arguments}) OVER w, \
         session_id(k, {arguments}) OVER w, \
         surrogate_key(k, session_number({arguments}) OVER w) \
         FROM events WINDOW w AS (PARTITION BY k ORDER BY t, id)"
    );
    let frame = context.sessionize_sql(&sql).await.unwrap();
    let batches = frame.collect().await.unwrap();
    let mut answers = BTreeMap::new();
    for batch in batches {
        let number = |column: usize| batch.column(column).as_primitive::<Int64Type>();
        let time = |column: usize| {
            batch
                .column(column)
                .as_primitive::<TimestampMillisecondType>()
        };
        let text = |column: usize| batch.column(column).as_string::<i32>();
        let starts = batch.column(6).as_boolean();
        for row in 0..batch.num_rows() {
            let answer = number(1).is_valid(row).then(|| Answer {
                number: number(1).value(row),
                event: number(2).value(row),
                start: time(3).value(row),
                end: time(4).value(row),
                reason: text(5).is_valid(row).then(|| {
                    let found = |name: &&&str| **name == text(5).value(row);
                    *REASONS.iter().find(found).unwrap()
                }),
            });
            match &answer {
                Some(answer) => {
                    assert_eq!(starts.value(row), answer.reason.is_some());
                    assert_eq!(starts.value(row), answer.event == 1);
                    assert_eq!(text(7).value(row), text(8).value(row));
                }
                None => {
                    for column in 2..8 {
                        assert!(batch.column(column).is_null(row), "column {column}");
                    }
                }
            }
            answers.insert(number(0).value(row), answer);
        }
    }
    answers
}

#[tokio::test]
async fn functions_equal_the_naive_loop() {
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows = random_rows(&mut rng);
        if rows.is_empty() {
            continue;
        }
        let case = random_case(&mut rng);
        let config = SessionConfig::new()
            .with_batch_size([1, 2, 7, 64, 8192][rng.random_range(0..5)])
            .with_target_partitions(rng.random_range(1..5));
        let context = SessionContext::new_with_config(config).with_sessionize();
        let table = table(&mut rng, &rows);
        context.register_table("events", Arc::new(table)).unwrap();

        let expected = expected(&case, &rows);
        let at_once = found(&context, &case, true).await;
        assert_eq!(at_once, expected, "seed {seed}, at once, {case:?}");

        // the same functions row by row; ends are not known there
        let mut row_by_row = found(&context, &case, false).await;
        for (id, answer) in &mut row_by_row {
            if let (Some(answer), Some(expected)) = (answer, &expected[id]) {
                answer.end = expected.end;
            }
        }
        assert_eq!(row_by_row, expected, "seed {seed}, row by row, {case:?}");
    }
}

#[tokio::test]
async fn causal_functions_run_in_bounded_memory() {
    let context = SessionContext::new().with_sessionize();
    let plan = |function: &'static str| {
        let context = context.clone();
        async move {
            let sql = format!(
                "SELECT {function}(t) OVER (PARTITION BY k ORDER BY t) FROM \
                 (VALUES ('a', TIMESTAMP '2026-01-01 09:00:00')) AS events(k, t)"
            );
            let frame = context.sessionize_sql(&sql).await.unwrap();
            let plan = frame.create_physical_plan().await.unwrap();
            datafusion::physical_plan::displayable(plan.as_ref())
                .indent(false)
                .to_string()
        }
    };
    assert!(
        plan("session_number")
            .await
            .contains("BoundedWindowAggExec")
    );
    let whole = plan("session_end").await;
    assert!(
        whole.contains("WindowAggExec") && !whole.contains("Bounded"),
        "{whole}"
    );
}
