//! The cross_property pack over drawn events, against plain loops over sessions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use chrono::DateTime;
use rand::prelude::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::build::{Build, Built};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
const GAP: i64 = 30 * MINUTE;
const SOURCES: [(&str, &str); 6] = [
    ("newsletter", "marketing"),
    ("ads", "marketing"),
    ("blog", "articles"),
    ("docs", "docs"),
    ("app", "product"),
    ("mobile_app", "product"),
];

/// Id, source, type and time in milliseconds.
type Event = (String, &'static str, &'static str, i64);

/// A session within one type.
#[derive(Debug)]
struct Session {
    kind: &'static str,
    number: usize,
    start: i64,
    end: i64,
    events: Vec<(i64, String)>,
}

impl Session {
    fn name(&self) -> String {
        format!("{}-{}", self.kind, self.number)
    }
}

/// Events that often lie at one instant, or a gap, or 30 days, or a millisecond less apart.
fn drawn(random: &mut ChaCha8Rng) -> Vec<Event> {
    let steps = [0, 0, GAP, GAP - 1, 15 * MINUTE, MINUTE, 5 * GAP];
    let long = [30 * DAY, 30 * DAY - 1, 7 * DAY];
    let mut t = 1_700_000_000_000;
    let count = random.random_range(1..150);
    let mut one = || {
        let often = random.random_bool(0.93);
        let steps = if often { &steps[..] } else { &long[..] };
        t += steps.choose(random).unwrap();
        let (source, kind) = *SOURCES.choose(random).unwrap();
        (format!("{:016x}", random.random::<u64>()), source, kind, t)
    };
    (0..count).map(|_| one()).collect()
}

/// The sessions of one contact, by start; of those of one instant the product's is last.
fn sessions(events: &[Event]) -> Vec<Session> {
    let mut sorted: Vec<_> = events.iter().collect();
    sorted.sort_by(|a, b| (a.3, &a.0).cmp(&(b.3, &b.0)));
    let mut all: Vec<Session> = Vec::new();
    for (id, _, kind, t) in sorted {
        let event = (*t, id.clone());
        let last = all.iter_mut().rfind(|s| s.kind == *kind);
        let number = last.as_ref().map_or(1, |s| s.number + 1);
        match last {
            Some(session) if t - session.end < GAP => {
                session.end = *t;
                session.events.push(event);
            }
            _ => all.push(Session {
                kind,
                number,
                start: *t,
                end: *t,
                events: vec![event],
            }),
        }
    }
    all.sort_by_key(|s| (s.start, s.kind == "product", s.kind));
    all
}

/// Sessions joined while less than a gap lies between the end of one and the next start.
fn joined(sessions: &[Session]) -> Vec<Vec<&Session>> {
    let mut groups: Vec<Vec<&Session>> = Vec::new();
    for session in sessions {
        let end = groups.last().and_then(|g| g.iter().map(|s| s.end).max());
        match end {
            Some(end) if session.start - end < GAP => {
                groups.last_mut().unwrap().push(session);
            }
            _ => groups.push(vec![session]),
        }
    }
    groups
}

/// The session of the last marketing or asset event up to the start of `session`.
fn prompt(session: &Session, group: &[&Session]) -> String {
    let others = group.iter().filter(|s| s.kind != "product");
    let before = others.flat_map(|s| s.events.iter().map(move |e| (e, s)));
    let before = before.filter(|((t, _), _)| *t <= session.start);
    let last = before.max_by(|(a, _), (b, _)| a.cmp(b));
    last.map_or(String::new(), |(_, s)| s.name())
}

/// The path and prompt of each joined session, and the type of each product session.
fn expected(contact: &str, events: &[Event]) -> (Vec<String>, Vec<String>) {
    let sessions = sessions(events);
    let groups = joined(&sessions);
    let paths = groups.iter().enumerate().map(|(at, group)| {
        let kinds: Vec<_> = group.iter().map(|s| s.kind).collect();
        let first = group.iter().find(|s| s.kind == "product");
        let led = first.map_or(String::new(), |s| prompt(s, group));
        let first = first.map_or(String::new(), |s| s.name());
        format!("{contact} {} {} {first} {led}", at + 1, kinds.join(" > "))
    });
    let mut before: Option<i64> = None;
    let products = sessions.iter().filter(|s| s.kind == "product");
    let types = products.map(|session| {
        let kind = match before.replace(session.end) {
            None => "new",
            Some(end) if session.start - end < 30 * DAY => "active",
            Some(_) => "resurrected",
        };
        format!("{contact} {} {kind}", session.number)
    });
    (paths.collect(), types.collect())
}

/// The cells of some columns, a row a text.
async fn rows(built: &Built, model: &str, columns: &[&str]) -> Vec<String> {
    let columns: Vec<_> = columns.iter().map(|&c| c.to_owned()).collect();
    let table = built.read(model).await.only(&columns);
    let cells: Vec<_> = columns.iter().map(|c| table.column(c)).collect();
    let row = |at: usize| {
        let row = cells.iter().map(|c| c[at].clone().unwrap_or_default());
        row.collect::<Vec<_>>().join(" ")
    };
    (0..table.len()).map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn drawn_contacts_are_as_plain_loops_see_them() {
    for seed in 0..4 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut text = "id,contact_id,source,timestamp\n".to_owned();
        let (mut paths, mut types) = (Vec::new(), Vec::new());
        for contact in ["a", "b", "a-b", "product-a"] {
            let events = drawn(&mut random);
            for (id, source, _, t) in &events {
                let time = DateTime::from_timestamp_millis(*t).unwrap().to_rfc3339();
                writeln!(text, "{id},{contact},{source},{time}").unwrap();
            }
            let of_contact = expected(contact, &events);
            paths.extend(of_contact.0);
            types.extend(of_contact.1);
        }
        let lake = tempfile::tempdir().unwrap();
        fs::write(lake.path().join("events.csv"), text).unwrap();
        let variable = "cross_property_events_table";
        let built = Build::of("cross_property", variable, lake.path());
        let built = built.run().await;
        let named = ["session_id", "source_type", "session_number"];
        let names = rows(&built, "property_sessions", &named).await;
        let names: BTreeMap<_, _> = names
            .iter()
            .map(|row| row.split_once(' ').unwrap())
            .map(|(id, name)| (id, name.replace(' ', "-")))
            .collect();
        let mut columns = vec!["contact_id", "session_number", "path"];
        columns.extend(["product_session_id", "prompted_by"]);
        let ours = rows(&built, "cross_property_sessions", &columns).await;
        let named = |row: &String| {
            let words = row.split(' ');
            let words = words.map(|word| names.get(word).map_or(word, String::as_str));
            words.collect::<Vec<_>>().join(" ")
        };
        let mut ours: Vec<_> = ours.iter().map(named).collect();
        ours.sort();
        paths.sort();
        assert_eq!(ours, paths, "seed {seed}");
        let columns = ["contact_id", "session_number", "session_type"];
        let mut ours = rows(&built, "product_session_types", &columns).await;
        ours.sort();
        types.sort();
        assert_eq!(ours, types, "seed {seed}");
    }
}
