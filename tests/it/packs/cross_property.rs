//! The cross_property pack.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::build::{Build, Built};
use super::fixture;
use super::growing::Growing;
use super::table::Rows;

const VARIABLE: &str = "cross_property_events_table";
const MODELS: [&str; 7] = [
    "property_events__rejected",
    "property_events__sessionized",
    "property_sessions__initial",
    "property_sessions",
    "cross_property_sessions",
    "product_session_types",
    "contact_lifecycle",
];

fn by_hand() -> Build {
    let events = fixture("cross_property/events.csv");
    Build::of("cross_property", VARIABLE, events)
}

fn sample() -> Build {
    let events = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/cross_property");
    Build::of("cross_property", VARIABLE, events)
}

fn growing() -> Growing {
    let text = fs::read_to_string(fixture("cross_property/events.csv")).unwrap();
    let (header, lines) = text.split_once('\n').unwrap();
    Growing {
        pack: "cross_property",
        variable: VARIABLE,
        vars: json!({}),
        extension: "csv",
        header: format!("{header}\n"),
        lines: lines.lines().map(str::to_owned).collect(),
        models: &MODELS,
    }
}

async fn assert_table(built: &Built, model: &str, file: &str) {
    let expected = Rows::of_csv(&fixture(&format!("cross_property/{file}.csv")));
    let ours = built.read(model).await.only(&expected.columns);
    ours.assert_same(&expected, file);
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_worked_out_by_hand() {
    let built = by_hand().with_tests().run().await;
    for model in [
        "property_events__rejected",
        "property_sessions",
        "cross_property_sessions",
        "product_session_types",
        "contact_lifecycle",
    ] {
        assert_table(&built, model, model).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lifecycle_of_an_earlier_day_knows_nothing_later() {
    let vars = json!({"cross_property_as_of": "2024-05-12"});
    let built = by_hand().vars(&vars).run().await;
    let file = "contact_lifecycle__as_of_2024-05-12";
    assert_table(&built, "contact_lifecycle", file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_threads_and_order_change_nothing() {
    growing().assert_order_is_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_follow_new_files_by_contact() {
    let by_key = [
        "property_events__sessionized",
        "property_sessions__initial",
        "product_session_types",
    ];
    growing().assert_follows(&by_key).await;
}

/// Start, end and cross-property session, of the sessions of one contact.
type Sessions = Vec<(i64, i64, String)>;

/// Joins sessions while less than 30 minutes lie between the end of one and the next start.
fn joined(mut sessions: Sessions) -> Vec<(i64, i64, BTreeSet<String>)> {
    sessions.sort();
    let mut joined: Vec<(i64, i64, BTreeSet<String>)> = Vec::new();
    for (start, end, id) in sessions {
        match joined.last_mut() {
            Some(last) if start - last.1 < 30 * 60 * 1_000_000 => {
                last.1 = last.1.max(end);
                last.2.insert(id);
            }
            _ => joined.push((start, end, BTreeSet::from([id]))),
        }
    }
    joined
}

#[tokio::test(flavor = "multi_thread")]
async fn sliding_over_events_joins_what_a_loop_over_sessions_joins() {
    let built = sample().with_tests().run().await;
    let sessions = built.read("property_sessions").await;
    let number = |name| {
        let cells = sessions.column(name).into_iter();
        cells.map(|c| c.unwrap().parse::<i64>().unwrap())
    };
    let ids = sessions.column("cross_property_session_id").into_iter();
    let mut contacts = BTreeMap::<_, Sessions>::new();
    for (((contact, start), end), id) in sessions
        .column("contact_id")
        .into_iter()
        .zip(number("session_start_tstamp"))
        .zip(number("session_end_tstamp"))
        .zip(ids)
    {
        let of_contact = contacts.entry(contact.unwrap()).or_default();
        of_contact.push((start, end, id.unwrap()));
    }
    let mut expected = Vec::new();
    for (contact, sessions) in contacts {
        for (start, end, ids) in joined(sessions) {
            assert_eq!(ids.len(), 1, "{contact}: {ids:?}");
            expected.extend(ids.into_iter().map(|id| (id, start, end)));
        }
    }
    let ours = built.read("cross_property_sessions").await;
    let ids = ours.column("session_id").into_iter().flatten();
    let time = |name| ours.column(name).into_iter().flatten();
    let mut ours: Vec<_> = ids
        .zip(time("session_start_tstamp"))
        .zip(time("session_end_tstamp"))
        .map(|((id, start), end)| (id, start.parse().unwrap(), end.parse().unwrap()))
        .collect();
    expected.sort();
    ours.sort();
    assert!(ours.len() > 200);
    assert_eq!(ours, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_variables_are_refused() {
    for (vars, expected) in [
        (
            json!({"cross_property_inactivity_cutoff": 0}),
            "at least 1; found `0`",
        ),
        (
            json!({"cross_property_active_days": "30"}),
            "a whole number of days",
        ),
        (
            json!({"cross_property_as_of": "yesterday"}),
            "a day such as `2024-05-31`",
        ),
        (
            json!({"cross_property_as_of": "2024-13-01"}),
            "newest event; found `2024-13-01`",
        ),
        (
            json!({"cross_property_as_of": "2023-02-29"}),
            "newest event; found `2023-02-29`",
        ),
        (
            json!({"cross_property_time_zone": ""}),
            "the name of a time zone",
        ),
        (
            json!({"cross_property_time_zone": "Mars/North"}),
            "variable `cross_property_time_zone` must be the name of a time zone",
        ),
    ] {
        let error = by_hand().vars(&vars).try_run().await.unwrap_err();
        assert!(error.contains(expected), "{vars}: {error}");
    }
}
