//! The bucketed pack.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::build::{Build, Built};
use super::fixture;
use super::growing::Growing;
use super::table::Rows;

const VARIABLE: &str = "bucketed_events_table";
const MODELS: [&str; 6] = [
    "bucketed_events",
    "bucketed_events__rejected",
    "event_sessions__initial",
    "event_sessions",
    "sources",
    "bucket_edges",
];

fn by_hand() -> Build {
    Build::of("bucketed", VARIABLE, fixture("bucketed/events.ndjson"))
}

fn growing() -> Growing {
    let text = fs::read_to_string(fixture("bucketed/events.ndjson")).unwrap();
    Growing {
        pack: "bucketed",
        variable: VARIABLE,
        vars: json!({}),
        extension: "ndjson",
        header: String::new(),
        lines: text.lines().map(str::to_owned).collect(),
        models: &MODELS,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_worked_out_by_hand() {
    let built = by_hand().with_tests().run().await;
    for model in [
        "event_sessions",
        "sources",
        "bucket_edges",
        "bucketed_events__rejected",
    ] {
        let expected = Rows::of_csv(&fixture(&format!("bucketed/{model}.csv")));
        let ours = built.read(model).await.only(&expected.columns);
        ours.assert_same(&expected, model);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_columns_are_those_of_the_contract() {
    let built = by_hand().run().await;
    let expected = "project_id session_id anonymous_id user_id started_at ended_at duration_s \
        event_count pageview_count entry_source entry_medium entry_campaign entry_url \
        entry_path entry_referrer country device_type browser os";
    let columns = built.read("event_sessions").await.columns;
    assert_eq!(columns.join(" "), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_threads_and_order_change_nothing() {
    growing().assert_order_is_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_follow_new_files_by_session() {
    let by_key = ["event_sessions__initial", "event_sessions", "sources"];
    growing().assert_follows(&by_key).await;
}

/// The session of each event.
async fn sessions(built: &Built) -> BTreeMap<(String, String), String> {
    let events = built.read("bucketed_events").await;
    let column = |name| events.column(name).into_iter().flatten();
    let events = column("project_id").zip(column("event_id"));
    events.zip(column("session_id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gives_the_ids_that_were_given_live() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/bucketed");
    let replayed = Build::of("bucketed", VARIABLE, &sample).with_tests().run();
    let replayed = sessions(&replayed.await).await;
    let mut days: Vec<PathBuf> = fs::read_dir(&sample)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    days.sort();
    let mut live = 0;
    for day in days {
        let built = Build::of("bucketed", VARIABLE, day).run().await;
        for (event, session) in sessions(&built).await {
            // one event of the sample comes again days later with another session: the
            // first delivery counts
            if session != "late" {
                assert_eq!(replayed.get(&event), Some(&session), "{event:?}");
                live += 1;
            }
        }
    }
    assert!(live > 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_variables_are_refused() {
    for (vars, expected) in [
        (json!({"bucketed_width": 0}), "at least 1; found `0`"),
        (
            json!({"bucketed_width": "30 minutes"}),
            "a whole number of seconds",
        ),
        (
            json!({"bucketed_pageview_events": "pageview"}),
            "a list of names of events",
        ),
        (
            json!({"bucketed_pageview_events": []}),
            "at least one; found `[]`",
        ),
    ] {
        let error = by_hand().vars(&vars).try_run().await.unwrap_err();
        assert!(error.contains(expected), "{vars}: {error}");
    }
}
