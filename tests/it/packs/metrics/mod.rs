//! The metrics pack: a user's own events against tables worked out by hand, the golden page
//! views against plain loops.

mod naive;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::build::{Build, Built};
use super::fixture;
use super::growing::Growing;
use super::table::Rows;
use naive::Event;

const MODELS: [&str; 11] = [
    "metrics_events__rejected",
    "metrics_events__sessionized",
    "metrics_sessions__initial",
    "metrics_sessions",
    "metrics_session_values",
    "session_metrics_daily",
    "session_values_daily",
    "entry_pages",
    "exit_pages",
    "next_pages",
    "funnel",
];

fn own_events() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/metrics/events.csv")
}

/// What files laid out like the sample of a user's own events need.
fn variables() -> Value {
    json!({
        "metrics_columns": {
            "event_id": "id", "visitor_id": "person", "tstamp": "at", "platform": "app",
            "event_name": "name", "url": "link", "referrer": "referred_by",
            "utm_source": "source", "utm_medium": "medium", "utm_campaign": "campaign",
            "user_agent": "agent", "amount": "price", "currency": "money"
        },
        "metrics_time_zone": "Europe/Berlin",
        "metrics_conversions": [{"event": "purchase"}],
        "metrics_currencies": ["EUR", "USD"],
        "metrics_funnel_steps": [
            {"name": "shoes", "page": "/shoes"},
            {"name": "cart", "page": "/cart"},
            {"name": "purchase", "event": "purchase"}
        ]
    })
}

/// The pack over files laid out like that.
fn over(events: impl Into<PathBuf>) -> Build {
    Build::of("metrics", "metrics_events_table", events).vars(&variables())
}

fn growing() -> Growing {
    let text = fs::read_to_string(own_events()).unwrap();
    let (header, lines) = text.split_once('\n').unwrap();
    // every file has this row: a column that is empty throughout has no type, and a table
    // is rebuilt once its input has another one
    let full = "f0,full,2024-03-20T08:00:00.000Z,web,purchase,https://shop.example/,\
                https://x.example/,s,m,c,agent,100,EUR";
    Growing {
        pack: "metrics",
        variable: "metrics_events_table",
        vars: variables(),
        extension: "csv",
        header: format!("{header}\n{full}\n"),
        lines: lines.lines().map(str::to_owned).collect(),
        models: &MODELS,
    }
}

/// The pack over the golden page views, which bring the sessions of the segment pack.
fn over_golden(vars: &Value) -> Build {
    let pages = fixture("golden/pages.parquet");
    Build::of("metrics", "segment_page_views_table", pages).vars(vars)
}

async fn assert_equals(built: &Built, model: &str, file: &str) {
    let expected = Rows::of_csv(&fixture(&format!("metrics/{file}.csv")));
    let ours = built.read(model).await.only(&expected.columns);
    ours.assert_same(&expected, file);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_events_worked_out_by_hand() {
    let built = over(own_events()).with_tests().run().await;
    for model in [
        "metrics_events__rejected",
        "metrics_sessions",
        "session_metrics_daily",
        "session_values_daily",
        "entry_pages",
        "exit_pages",
        "next_pages",
        "funnel",
    ] {
        assert_equals(&built, model, model).await;
    }
    let within = json!({"metrics_funnel_within": 1});
    let built = over(own_events()).vars(&within).run().await;
    assert_equals(&built, "funnel", "funnel_within_a_day").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_counted_by_day_and_platform_too() {
    let split = json!({"metrics_split_by": ["session_date", "platform"]});
    let built = over(own_events()).vars(&split).with_tests().run().await;
    assert_equals(&built, "exit_pages", "exit_pages_by_day_and_platform").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_follow_new_files_by_their_keys() {
    let by_key = [
        "metrics_events__sessionized",
        "metrics_sessions__initial",
        "metrics_session_values",
    ];
    growing().assert_follows(&by_key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_ones_own_bring_no_visits() {
    let folder = tempfile::tempdir().unwrap();
    let referrers = [
        // below a domain that is named, whatever the case
        (
            "https://pay.partner.test/back",
            "(direct)",
            "pay.partner.test",
        ),
        ("https://www.partner.test/", "(direct)", "partner.test"),
        // below the page's own domain
        ("https://blog.shop.co.uk/post", "(direct)", "(direct)"),
        // only spelled alike
        (
            "https://mypartner.test/",
            "mypartner.test",
            "mypartner.test",
        ),
        (
            "https://partner.test.evil.test/",
            "partner.test.evil.test",
            "partner.test.evil.test",
        ),
        ("https://other.co.uk/", "other.co.uk", "other.co.uk"),
    ];
    let mut text = "id,person,at,link,referred_by\n".to_owned();
    for (at, (referrer, ..)) in referrers.iter().enumerate() {
        let link = "https://www.shop.co.uk/";
        text += &format!("{at},p{at},2024-03-01T10:00:00Z,{link},{referrer}\n");
    }
    let file = folder.path().join("events.csv");
    fs::write(&file, text).unwrap();
    let columns = json!({
        "event_id": "id", "visitor_id": "person", "tstamp": "at", "url": "link",
        "referrer": "referred_by"
    });
    for named in [true, false] {
        let own = if named {
            json!(["WWW.Partner.test"])
        } else {
            json!([])
        };
        let vars = json!({"metrics_columns": columns, "own_domains": own});
        let built = over(&file).vars(&vars).run().await;
        let sessions = built.read("metrics_sessions").await;
        let sessions = sessions
            .column("visitor_id")
            .into_iter()
            .zip(sessions.column("source"));
        let mut found: Vec<_> = sessions.collect();
        found.sort();
        let found = found.into_iter().map(|(_, source)| source.unwrap());
        let expected =
            referrers.map(|(_, with, without)| if named { with } else { without });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{own}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_events_give_no_rows_and_an_empty_funnel() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(own_events()).unwrap();
    let (head, _) = text.split_once('\n').unwrap();
    let file = folder.path().join("events.csv");
    fs::write(&file, format!("{head}\n")).unwrap();
    let built = over(&file).with_tests().run().await;
    for model in MODELS {
        let rows = if model == "funnel" { 3 } else { 0 };
        assert_eq!(built.read(model).await.len(), rows, "{model}");
    }
    let reached = built.read("funnel").await.column("reached");
    assert_eq!(reached, vec![Some("0".to_owned()); 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_change_nothing() {
    let one = over_golden(&json!({})).threads(1).run().await;
    let eight = over_golden(&json!({})).threads(8).run().await;
    for model in MODELS {
        let (one, eight) = (one.read(model).await, eight.read(model).await);
        one.assert_same(&eight, model);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_made_here_are_those_of_the_segment_pack() {
    let given = over_golden(&json!({})).run().await;
    let made = json!({"metrics_columns": {"session_id": null}});
    let made = over_golden(&made).run().await;
    for model in ["metrics_sessions", "session_metrics_daily", "next_pages"] {
        let (made, given) = (made.read(model).await, given.read(model).await);
        made.assert_same(&given, model);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_loop_agrees() {
    for within in [json!("session"), json!(1), json!(7)] {
        let vars = json!({
            "metrics_funnel_within": within,
            "metrics_conversions": [{"page": "/search"}],
            "metrics_funnel_steps": [
                {"name": "a", "page_like": "/products/2%"},
                {"name": "b", "page_like": "/products/%"},
                {"name": "c", "page": "/search"}
            ]
        });
        let built = over_golden(&vars).run().await;
        let events = Event::all(&built.read("metrics_events__sessionized").await);
        let expected = naive::funnel(&events, within.as_i64());
        assert!(expected.iter().all(|n| *n > 0), "{expected:?}");
        let funnel = built.read("funnel").await;
        assert_eq!(naive::numbers(&funnel, "reached"), expected, "{within}");
        if within == "session" {
            let paths = built.read("next_pages").await;
            assert_eq!(
                naive::transitions_of(&paths),
                naive::transitions(&events, 5)
            );
            let days = built.read("session_metrics_daily").await;
            assert_eq!(naive::days_of(&days), naive::days(&events));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_variables_are_refused() {
    let columns = |more: Value| {
        let mut columns =
            json!({"event_id": "id", "visitor_id": "person", "tstamp": "at"});
        let more = more.as_object().unwrap().clone();
        columns.as_object_mut().unwrap().extend(more);
        json!({"metrics_columns": columns})
    };
    let wrong = [
        (
            json!({"metrics_engaged_seconds": 0}),
            "at least 1; found `0`",
        ),
        (json!({"metrics_path_steps": "5"}), "a whole number"),
        (
            json!({"metrics_boundary": "x"}),
            "`at_least` or `more_than`",
        ),
        (
            json!({"metrics_inactivity_cutoff": -1}),
            "at least 1; found `-1`",
        ),
        (json!({"metrics_split_by": ["day"]}), "`session_date`"),
        (json!({"metrics_currencies": "EUR"}), "a list of currencies"),
        (
            json!({"metrics_funnel_within": 1.5}),
            "`session` or a whole number of days, at least 1",
        ),
        (json!({"metrics_funnel_steps": []}), "one step or more"),
        (json!({"metrics_funnel_steps": [{"page": "/"}]}), "a `name`"),
        (
            json!({"metrics_conversions": [{"event": "buy", "pages": "/"}]}),
            "found `pages",
        ),
        (
            json!({"metrics_clicks": ["click"]}),
            "`event`, `page` or `page_like`",
        ),
        (
            json!({"metrics_columns": {"event_id": "id"}}),
            "holds `visitor_id`",
        ),
        (columns(json!({"page_path": "link"})), "found `page_path`"),
        (
            columns(json!({"amount": "cents"})),
            "the column `cents` for `amount`",
        ),
        (
            columns(json!({"amount": "agent"})),
            "whole numbers of minor units",
        ),
    ];
    assert_refused(&wrong).await;
}

async fn assert_refused(wrong: &[(Value, &str)]) {
    for (vars, expected) in wrong {
        let error = over(own_events()).vars(vars).try_run().await.unwrap_err();
        assert!(error.contains(expected), "{vars}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused_by_the_variable() {
    let wrong = [
        (
            json!({"metrics_time_zone": "Europe/Nowhere"}),
            "variable `metrics_time_zone` must be the name of a time zone such as \
             `Europe/Berlin`; found `Europe/Nowhere`",
        ),
        (
            json!({"metrics_split_by": "channel"}),
            "variable `metrics_split_by` must be a list of some of `session_date`, ",
        ),
        (
            json!({"metrics_events_table": "nowhere.csv"}),
            "variable `metrics_events_table` must be a file, a folder or a glob; there \
             are no files at `nowhere.csv`",
        ),
        (
            json!({"metrics_events_table": null, "metrics_events_model": "nope"}),
            "`nope` (the value of the variable `metrics_events_model`), which is no model",
        ),
        (
            json!({
                "metrics_events_table": null,
                "metrics_events_model": "page_views",
                "metrics_columns": {},
            }),
            "`metrics_columns` must name the column of `page_views` that holds `event_id`",
        ),
    ];
    assert_refused(&wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_is_described_and_every_model_short() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/models/metrics");
    let properties = fs::read_to_string(folder.join("_metrics__models.yml")).unwrap();
    let none = json!({"metrics_currencies": []});
    let built = over(own_events()).vars(&none).run().await;
    for model in MODELS.iter().chain(&["metrics_events"]) {
        let (_, own) = properties
            .split_once(&format!("  - name: {model}\n"))
            .unwrap();
        let own = own.split("\n  - name: ").next().unwrap();
        let described = own.lines().filter_map(|l| l.strip_prefix("      - name: "));
        let described: Vec<_> = described.collect();
        assert_eq!(built.read(model).await.columns, described, "{model}");
        let sql = fs::read_to_string(folder.join(format!("{model}.sql"))).unwrap();
        assert!(sql.lines().count() < 60, "{model}");
    }
}
