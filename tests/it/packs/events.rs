//! The events pack.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::build::Build;
use super::fixture;
use super::growing::Growing;
use super::table::Rows;

const VARIABLE: &str = "events_table";
const MODELS: [&str; 7] = [
    "resolved_events",
    "events__rejected",
    "events__sessionized",
    "event_timelines",
    "user_sessions__initial",
    "user_sessions",
    "sessions_per_user",
];

fn awkward() -> Build {
    Build::of("events", VARIABLE, fixture("events/awkward.ndjson"))
}

fn growing() -> Growing {
    let text = fs::read_to_string(fixture("events/awkward.ndjson")).unwrap();
    Growing {
        pack: "events",
        variable: VARIABLE,
        vars: json!({}),
        extension: "ndjson",
        header: String::new(),
        lines: text.lines().map(str::to_owned).collect(),
        models: &MODELS,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_gives_the_tables_of_the_notebook() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/events");
    let built = Build::of("events", VARIABLE, sample)
        .with_tests()
        .run()
        .await;
    for model in MODELS {
        if model == "events__rejected" || model == "user_sessions__initial" {
            continue;
        }
        let expected = Rows::of_csv(&fixture(&format!("events/{model}.csv")));
        let ours = built.read(model).await.only(&expected.columns);
        ours.assert_same(&expected, model);
    }
    assert_eq!(built.read("events__rejected").await.len(), 0);
    let further = [
        "traits.email",
        "traits.plan",
        "context.device.type",
        "properties.method",
        "properties.feature_name",
    ];
    let columns = built.read("events__sessionized").await.columns;
    assert_eq!(columns[columns.len() - further.len()..], further);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_worked_out_by_hand() {
    let built = awkward().with_tests().run().await;
    for model in ["user_sessions", "events__rejected"] {
        let expected = Rows::of_csv(&fixture(&format!("events/awkward__{model}.csv")));
        let ours = built.read(model).await.only(&expected.columns);
        ours.assert_same(&expected, model);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_and_lines_are_the_same_events() {
    let lines = growing().lines;
    let array = tempfile::tempdir().unwrap();
    let text = format!("[{}]", lines.join(",\n"));
    fs::write(array.path().join("events.json"), text).unwrap();
    let ours = Build::of("events", VARIABLE, array.path()).run().await;
    let whole = awkward().run().await;
    for model in MODELS {
        let (ours, whole) = (ours.read(model).await, whole.read(model).await);
        ours.assert_same(&whole, model);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_threads_and_order_change_nothing() {
    growing().assert_order_is_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_follow_new_files_by_user() {
    let by_key = ["events__sessionized", "user_sessions__initial"];
    growing().assert_follows(&by_key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_comes_later_gives_what_a_full_refresh_gives() {
    let (project, lake) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let build = || Build::of("events", VARIABLE, lake.path());
    let first = "{\"userId\": \"u\", \"timestamp\": \"2024-01-01T00:00:00Z\"}\n";
    fs::write(lake.path().join("1.json"), first).unwrap();
    let before = build().within(project.path()).run().await;
    let ids = before.read("resolved_events").await.column("event_id");
    let second = "[{\"userId\": \"u\", \"timestamp\": \"2024-01-01T00:01:00Z\",
        \"event_id\": 7, \"properties\": {\"it's\": [true]}}]";
    fs::write(lake.path().join("2.json"), second).unwrap();
    let after = build().within(project.path()).run().await;
    let whole = build().run().await;
    for model in MODELS {
        let (ours, whole) = (after.read(model).await, whole.read(model).await);
        ours.assert_same(&whole, model);
    }
    let events = after.read("events__sessionized").await;
    assert!(events.column("event_id").contains(&ids[0]));
    for (column, value) in [("source_event_id", "7"), ("properties.it's", "[true]")] {
        let values = events.column(column);
        let values: Vec<_> = values.iter().flatten().collect();
        assert_eq!(values, [value]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_another_case_and_mixed_types_are_read_alike_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.ndjson");
    let text = "{\"userid\":\"ada\",\"TIMESTAMP\":\"2024-05-01T12:00:00Z\",\"n\":1}\n\
        {\"userid\":7,\"TIMESTAMP\":\"2024-05-01T12:10:00Z\",\"n\":\"x\"}\n";
    fs::write(&file, text).unwrap();
    let tables = tempfile::tempdir().unwrap();
    let build = || Build::of("events", VARIABLE, &file).within(tables.path());
    for built in [build().run().await, build().run().await] {
        let rejected = built.read("events__rejected").await;
        assert_eq!(rejected.len(), 0);
        let users = built.read("resolved_events").await.column("resolved_user");
        let mut users: Vec<_> = users.into_iter().flatten().collect();
        users.sort();
        assert_eq!(users, ["7", "ada"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_at_all_gives_empty_tables() {
    let lake = tempfile::tempdir().unwrap();
    let nobody = "{\"timestamp\": null}";
    fs::write(lake.path().join("a.json"), nobody).unwrap();
    let built = Build::of("events", VARIABLE, lake.path())
        .with_tests()
        .run()
        .await;
    assert_eq!(built.read("user_sessions").await.len(), 0);
    assert_eq!(built.read("events__rejected").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_variables_and_files_are_refused() {
    let wrong: [(Value, &str); 4] = [
        (
            json!({"events_inactivity_cutoff": 0}),
            "at least 1; found `0`",
        ),
        (
            json!({"events_boundary": "atleast"}),
            "`at_least` or `more_than`",
        ),
        (json!({"events_granularity": "day"}), "`exact` or `second`"),
        (json!({"events_table": "nowhere/*.json"}), "no files match"),
    ];
    for (vars, expected) in wrong {
        let error = awkward().vars(&vars).try_run().await.unwrap_err();
        assert!(error.contains(expected), "{vars}: {error}");
    }
    let lake = tempfile::tempdir().unwrap();
    let text = "{\"timestamp\": \"2024-01-01T00:00:00Z\"}\n{\"timestamp\"\n";
    fs::write(lake.path().join("a.json"), text).unwrap();
    let build = Build::of("events", VARIABLE, lake.path());
    let error = build.try_run().await.unwrap_err();
    assert!(
        error.contains("line 2") && error.contains("a.json"),
        "{error}"
    );
}
