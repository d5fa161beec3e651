//! What plain loops make of sessionized events.

use std::collections::BTreeMap;

use crate::packs::table::Rows;

const DAY: i64 = 86_400_000_000;

/// A page view.
#[derive(Debug, Clone)]
pub(super) struct Event {
    id: String,
    visitor: String,
    session: String,
    /// Microseconds since 1970.
    at: i64,
    page: Option<String>,
}

impl Event {
    /// All events in the order of their time, then their id.
    pub(super) fn all(rows: &Rows) -> Vec<Self> {
        let [ids, visitors, sessions, times, pages] =
            ["event_id", "visitor_id", "session_id", "tstamp", "page"]
                .map(|column| rows.column(column));
        let mut events: Vec<_> = (0..rows.len())
            .map(|row| Self {
                id: ids[row].clone().unwrap(),
                visitor: visitors[row].clone().unwrap(),
                session: sessions[row].clone().unwrap(),
                at: times[row].as_ref().unwrap().parse().unwrap(),
                page: pages[row].clone(),
            })
            .collect();
        events.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        events
    }

    fn visitor(&self) -> &str {
        &self.visitor
    }

    fn session(&self) -> &str {
        &self.session
    }

    fn fits(&self, step: usize) -> bool {
        let page = self.page.as_deref().unwrap_or_default();
        match step {
            0 => page.starts_with("/products/2"),
            1 => page.starts_with("/products/"),
            _ => page == "/search",
        }
    }
}

/// The events of each session or visitor, in order.
fn grouped(events: &[Event], key: fn(&Event) -> &str) -> BTreeMap<&str, Vec<&Event>> {
    let mut groups: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        groups.entry(key(event)).or_default().push(event);
    }
    groups
}

/// How many reach each step: every first step is tried, each later one as soon as it comes.
pub(super) fn funnel(events: &[Event], days: Option<i64>) -> Vec<i64> {
    let mut reached = vec![0; 3];
    let unit = if days.is_some() {
        Event::visitor
    } else {
        Event::session
    };
    for events in grouped(events, unit).values() {
        let starts = (0..events.len()).filter(|at| events[*at].fits(0));
        let furthest = starts.map(|start| steps_from(events, start, days)).max();
        for step in reached.iter_mut().take(furthest.unwrap_or(0)) {
            *step += 1;
        }
    }
    reached
}

fn steps_from(events: &[&Event], start: usize, days: Option<i64>) -> usize {
    let mut steps = 1;
    for event in &events[start + 1..] {
        let in_time = days.is_none_or(|d| event.at - events[start].at < d * DAY);
        if steps < 3 && in_time && event.fits(steps) {
            steps += 1;
        }
    }
    steps
}

type Transition = (usize, Option<String>, Option<String>, bool);

/// How often each page followed each other at each of the first steps.
pub(super) fn transitions(events: &[Event], steps: usize) -> BTreeMap<Transition, i64> {
    let mut counts = BTreeMap::new();
    for events in grouped(events, Event::session).values() {
        for (at, event) in events.iter().enumerate().take(steps) {
            let next = events.get(at + 1);
            let page = next.and_then(|e| e.page.clone());
            let key = (at + 1, event.page.clone(), page, next.is_none());
            *counts.entry(key).or_default() += 1;
        }
    }
    counts
}

pub(super) fn transitions_of(rows: &Rows) -> BTreeMap<Transition, i64> {
    let [pages, next, exits] =
        ["page", "next_page", "is_exit"].map(|column| rows.column(column));
    let steps = numbers(rows, "path_step");
    let counts = numbers(rows, "transitions");
    let rows = (0..rows.len()).map(|row| {
        let exit = exits[row].as_deref() == Some("true");
        let step = usize::try_from(steps[row]).unwrap();
        (
            (step, pages[row].clone(), next[row].clone(), exit),
            counts[row],
        )
    });
    rows.collect()
}

/// Of each UTC day: sessions, page views, engaged sessions,
/// sessions with a conversion, milliseconds.
pub(super) fn days(events: &[Event]) -> BTreeMap<String, [i64; 5]> {
    let mut days: BTreeMap<String, [i64; 5]> = BTreeMap::new();
    for events in grouped(events, Event::session).values() {
        let (first, last) = (events[0], events[events.len() - 1]);
        let milliseconds = (last.at - first.at) / 1000;
        let converted = events.iter().any(|e| e.page.as_deref() == Some("/search"));
        let engaged = milliseconds >= 10_000 || events.len() >= 2 || converted;
        let views = i64::try_from(events.len()).unwrap();
        let figures = [
            1,
            views,
            i64::from(engaged),
            i64::from(converted),
            milliseconds,
        ];
        let day = chrono::DateTime::from_timestamp_micros(first.at).unwrap();
        add(
            days.entry(day.date_naive().to_string()).or_default(),
            figures,
        );
    }
    days
}

pub(super) fn days_of(rows: &Rows) -> BTreeMap<String, [i64; 5]> {
    let columns = [
        "sessions",
        "page_views",
        "engaged_sessions",
        "converted_sessions",
        "session_duration_in_ms",
    ]
    .map(|column| numbers(rows, column));
    let mut days: BTreeMap<String, [i64; 5]> = BTreeMap::new();
    for (row, day) in rows.column("session_date").into_iter().enumerate() {
        let figures = [0, 1, 2, 3, 4].map(|column: usize| columns[column][row]);
        add(days.entry(day.unwrap()).or_default(), figures);
    }
    days
}

fn add(to: &mut [i64; 5], figures: [i64; 5]) {
    for (sum, figure) in to.iter_mut().zip(figures) {
        *sum += figure;
    }
}

/// A column of whole numbers.
pub(super) fn numbers(rows: &Rows, column: &str) -> Vec<i64> {
    let cells = rows.column(column).into_iter();
    cells.map(|cell| cell.unwrap().parse().unwrap()).collect()
}
