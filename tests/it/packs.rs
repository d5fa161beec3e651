//! The packs, end to end through the runner, against tables that others worked out: here
//! the segment pack, the others in a module each.

mod bucketed;
pub(crate) mod build;
mod cross_property;
mod events;
mod growing;
pub(crate) mod lake;
mod metrics;
mod naive_contacts;
mod table;

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use datafusion_sessionize::SessionizeExt;
use serde_json::{Value, json};

use build::Build;
use lake::Shape;
use table::Rows;

pub(crate) const MODELS: [&str; 6] = [
    "page_views",
    "user_stitching",
    "page_views__sessionized",
    "sessions__initial",
    "sessions__stitched",
    "sessions",
];

pub(crate) fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path)
}

/// The rules of the released dbt package, over `pages`.
fn as_released(pages: impl Into<PathBuf>) -> Build {
    Build::new(pages)
        .mapping(fixture("golden/referrer_mapping.csv"))
        .vars(&json!({"segment_boundary": "more_than", "segment_granularity": "second"}))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_equal_the_released_package() {
    let built = as_released(fixture("golden/pages.parquet"))
        .with_tests()
        .run()
        .await;
    for model in MODELS {
        let golden = fixture(&format!("golden/full/segment_web_{model}.parquet"));
        let (ours, golden) = (built.read(model).await, Rows::of_parquet(&golden));
        assert_eq!(ours.columns, golden.columns, "columns of `{model}`");
        ours.assert_same(&golden, model);
    }
    assert_eq!(built.read("page_views__rejected").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_arrived_earlier_gives_the_sessions_of_then() {
    let cuts = [
        ("prefix1", "2024-01-04 11:58:47.464000"),
        ("prefix2", "2024-01-20 15:14:52.293678"),
        ("prefix3", "2024-02-10 11:43:38.791000"),
    ];
    for (folder, cut) in cuts {
        let query = format!("select * from pages where received_at <= timestamp '{cut}'");
        let pages = lake::golden(&query, Shape::OneFile).await;
        let built = as_released(pages.path()).run().await;
        let golden = fixture(&format!("golden/{folder}/segment_web_sessions.parquet"));
        built
            .read("sessions")
            .await
            .assert_same(&Rows::of_parquet(&golden), folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_gives_its_number_of_sessions() {
    let cases = [
        (json!({}), 1_304),
        (json!({"segment_boundary": "more_than"}), 1_267),
        (
            json!({"segment_boundary": "more_than", "segment_granularity": "second"}),
            1_238,
        ),
    ];
    for (vars, sessions) in cases {
        let build = Build::new(fixture("golden/pages.parquet")).vars(&vars);
        assert_eq!(
            build.run().await.read("sessions").await.len(),
            sessions,
            "{vars}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_views_worked_out_by_hand() {
    let built = Build::new(fixture("by_hand/pages.csv"))
        .mapping(fixture("by_hand/referrer_mapping.csv"))
        .with_tests()
        .run()
        .await;
    for table in ["page_views__sessionized", "sessions", "user_stitching"] {
        let expected = Rows::of_csv(&fixture(&format!("by_hand/{table}.csv")));
        let ours = built.read(table).await.only(&expected.columns);
        ours.assert_same(&expected, table);
    }
    let expected = Rows::of_csv(&fixture("by_hand/page_views__rejected.csv"));
    let ours = built
        .read("page_views__rejected")
        .await
        .only(&expected.columns);
    ours.assert_same(&expected, "page_views__rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_worked_out_by_hand() {
    let vars = json!({
        "stitching": "graph",
        "segment_pass_through_columns": ["email"],
        "segment_identity_columns": ["email"],
        "segment_identity_max_users": 2,
        "segment_identity_max_visitors": 3,
    });
    let build = Build::new(fixture("identity/pages.csv")).vars(&vars);
    let built = build.with_tests().run().await;
    for table in ["identities", "identity_audit", "sessions"] {
        let expected = Rows::of_csv(&fixture(&format!("identity/{table}.csv")));
        let ours = built.read(table).await.only(&expected.columns);
        ours.assert_same(&expected, table);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_files_and_their_order_change_nothing() {
    let whole = as_released(fixture("golden/pages.parquet")).run().await;
    let shuffled = lake::golden("select * from pages", Shape::Shuffled(7)).await;
    let many = lake::golden("select * from pages", Shape::Shuffled(300)).await;
    for (name, build) in [
        (
            "one thread",
            as_released(fixture("golden/pages.parquet")).threads(1),
        ),
        (
            "eight threads",
            as_released(fixture("golden/pages.parquet")).threads(8),
        ),
        ("seven files", as_released(shuffled.path())),
        ("300 files", as_released(many.path())),
    ] {
        let built = build.run().await;
        for model in MODELS {
            let (ours, first) = (built.read(model).await, whole.read(model).await);
            ours.assert_same(&first, &format!("`{model}` with {name}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_shapes_give_the_same_sessions() {
    let whole = as_released(fixture("golden/pages.parquet")).run().await;
    let whole = whole.read("sessions").await;
    for query in [
        "select * except (title, sent_at, context_ip) from pages",
        "select *, 7 as extra, array[1, 2] as more from pages",
        "select * replace (
            arrow_cast(anonymous_id, 'Dictionary(Int32, Utf8)') as anonymous_id,
            arrow_cast(url, 'LargeUtf8') as url,
            arrow_cast(referrer, 'Utf8View') as referrer) from pages",
        "select * replace (
            arrow_cast(arrow_cast(\"timestamp\", 'Timestamp(Nanosecond, Some(\"UTC\"))'),
                'Timestamp(Nanosecond, Some(\"+02:00\"))') as \"timestamp\",
            to_char(received_at, '%Y-%m-%dT%H:%M:%S%.6fZ') as received_at) from pages",
        "select * replace (to_char(\"timestamp\", '%Y-%m-%dT%H:%M:%S%.6f+00:00')
            as \"timestamp\") from pages",
    ] {
        let pages = lake::golden(query, Shape::OneFile).await;
        let built = as_released(pages.path()).run().await;
        built.read("sessions").await.assert_same(&whole, query);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_cut_to_seconds_give_the_same_sessions_by_the_second() {
    let columns = [
        "session_id",
        "page_views",
        "duration_in_s",
        "session_number",
    ];
    let columns = columns.map(str::to_owned);
    let whole = as_released(fixture("golden/pages.parquet")).run().await;
    let whole = whole.read("sessions").await;
    for unit in ["Millisecond, Some(\"UTC\")", "Second, None"] {
        let query = format!(
            "select * replace (arrow_cast(\"timestamp\", 'Timestamp({unit})')
                as \"timestamp\") from pages"
        );
        let pages = lake::golden(&query, Shape::OneFile).await;
        let ours = as_released(pages.path()).run().await.read("sessions").await;
        ours.only(&columns).assert_same(&whole.only(&columns), unit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_passed_through_or_filled_with_nulls() {
    let query = "select *, context_ip as network from pages";
    let pages = lake::golden(query, Shape::OneFile).await;
    let built = as_released(pages.path())
        .vars(&json!({"segment_pass_through_columns": ["network", "absent"]}))
        .run()
        .await;
    let views = built.read("page_views").await;
    let after_device: Vec<_> = views.columns.iter().skip(21).cloned().collect();
    assert_eq!(
        after_device,
        ["device", "network", "absent", "device_category"]
    );
    assert_eq!(views.column("network"), views.column("ip"));
    assert!(views.column("absent").iter().all(Option::is_none));
    let sessions = built.read("sessions").await;
    let passed: Vec<_> = sessions.columns.iter().skip(23).take(5).cloned().collect();
    let expected = [
        "first_network",
        "last_network",
        "first_absent",
        "last_absent",
        "duration_in_s",
    ];
    assert_eq!(passed, expected);
    assert!(sessions.column("last_network").iter().any(Option::is_some));
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_the_file_do_not_get_in_the_way() {
    // names that models use inside, and a column that is passed through in another case
    let query = "select *, context_ip as \"Network\", 'x' as device, 'x' as page_view_id,
        'x' as reason, 'x' as tstamp from pages";
    let pages = lake::golden(query, Shape::OneFile).await;
    let built = as_released(pages.path())
        .vars(&json!({"segment_pass_through_columns": ["network", "title"]}))
        .run()
        .await;
    let views = built.read("page_views").await;
    assert_eq!(views.column("network"), views.column("ip"));
    assert_eq!(views.column("title"), views.column("page_title"));
    let whole = as_released(fixture("golden/pages.parquet")).run().await;
    let whole = whole.read("sessions").await;
    let ours = built.read("sessions").await.only(&whole.columns);
    ours.assert_same(&whole, "sessions");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_context_reads_the_models_after_one_call() {
    let built = as_released(fixture("golden/pages.parquet")).run().await;
    let context = SessionContext::new().with_sessionize();
    let catalog = built.engine().catalog();
    catalog.register(&context, "sessionize").unwrap();
    for (sql, expected) in [
        (
            "select count(*) from sessionize.segment.sessions",
            "| 1238 ",
        ),
        ("select count(*) from sessions", "| 1238 "),
        ("select count(*) from segment.page_views", "| 6071 "),
    ] {
        let shown = context.sql(sql).await.unwrap().to_string().await.unwrap();
        assert!(shown.contains(expected), "{sql}: {shown}");
    }
    // a committed table, too, is read by column
    let some = scanned(&context, "select page_views from sessions").await;
    let all = scanned(&context, "select * from sessions").await;
    assert!(0 < some && some * 10 < all, "{some} of {all} bytes");
}

/// The bytes that a query reads from data files.
async fn scanned(context: &SessionContext, sql: &str) -> usize {
    fn bytes(plan: &dyn ExecutionPlan) -> usize {
        let own = plan.metrics().and_then(|m| m.sum_by_name("bytes_scanned"));
        let below = plan.children().into_iter().map(|p| bytes(p.as_ref()));
        own.map_or(0, |m| m.as_usize()) + below.sum::<usize>()
    }
    let plan = context.sql(sql).await.unwrap();
    let plan = plan.create_physical_plan().await.unwrap();
    let task = context.task_ctx();
    collect(Arc::clone(&plan), task).await.unwrap();
    bytes(plan.as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_required_column_is_one_clear_error() {
    let query = "select * except (received_at) from pages";
    let pages = lake::golden(query, Shape::OneFile).await;
    let error = Build::new(pages.path()).try_run().await.unwrap_err();
    for part in ["`received_at`", "part-0.parquet", "`anonymous_id`"] {
        assert!(error.contains(part), "no {part} in: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_variables_are_refused() {
    let wrong: [(Value, &str); 6] = [
        (
            json!({"segment_inactivity_cutoff": 0}),
            "at least 1; found `0`",
        ),
        (
            json!({"segment_inactivity_cutoff": "1800"}),
            "a whole number of seconds",
        ),
        (
            json!({"segment_boundary": "atleast"}),
            "`at_least` or `more_than`",
        ),
        (
            json!({"segment_granularity": "minute"}),
            "`exact` or `second`",
        ),
        (
            json!({"segment_pass_through_columns": ["referrer"]}),
            "has already",
        ),
        (
            json!({
                "segment_pass_through_columns": ["a:b"],
                "segment_identity_columns": ["a:b"],
            }),
            "without a colon in their names; found `a:b`",
        ),
    ];
    for (vars, expected) in wrong {
        let build = Build::new(fixture("golden/pages.parquet")).vars(&vars);
        let error = build.try_run().await.unwrap_err();
        assert!(error.contains(expected), "{vars}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_builds_and_passes_its_tests() {
    let sample = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/segment");
    let built = Build::new(sample).with_tests().run().await;
    let rejected = built.read("page_views__rejected").await;
    let mut reasons = rejected.column("reason");
    reasons.sort();
    let reasons: Vec<_> = reasons.into_iter().flatten().collect();
    let expected = [
        "anonymous_id is null",
        "id is null",
        "id is null",
        "timestamp is null",
    ];
    assert_eq!(reasons, expected);
    assert!(built.read("sessions").await.len() > 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn little_memory_spills_and_changes_nothing() {
    // the sample's rows take several times as much in one sort
    let sample = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/segment");
    let all = Build::new(sample()).run().await;
    let little = Build::new(sample()).memory_limit(8 << 20).run().await;
    for model in MODELS {
        let (little, all) = (little.read(model).await, all.read(model).await);
        little.assert_same(&all, model);
    }
}
