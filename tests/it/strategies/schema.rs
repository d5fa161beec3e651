//! `on_schema_change`, in both directions.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use insta::assert_snapshot;

use super::project::{Cells, Project};

const SELECT: &str = "select * from {{ source('raw', 'new') }}";

fn numbers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn small(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// `1 a -`: the cells of a row; `-` is null.
fn rows(texts: &[&str]) -> Cells {
    let cell = |word: &str| (word != "-").then(|| word.to_owned());
    let row = |text: &&str| text.split(' ').map(cell).collect();
    let mut rows: Cells = texts.iter().map(row).collect();
    rows.sort();
    rows
}

/// A table with the columns `k` (Int64), `v` (Int32) and two rows.
async fn project(strategy: &str, policy: &str) -> Project {
    let config = format!("{strategy}, on_schema_change='{policy}'");
    let project = Project::new(&config, SELECT);
    project.deliver(vec![("k", numbers(&[1, 2])), ("v", small(&[10, 20]))]);
    project.run().await;
    project
}

const APPEND: &str = "incremental_strategy='append'";
const MERGE: &str = "incremental_strategy='merge', unique_key='k'";
const REPLACE: &str = "incremental_strategy='delete+insert', unique_key='k'";

#[tokio::test(flavor = "multi_thread")]
async fn ignored_columns_are_not_written() {
    let project = project(APPEND, "ignore").await;
    // by name, whatever the order; the table's types hold
    project.deliver(vec![
        ("w", texts(&["x"])),
        ("v", numbers(&[30])),
        ("K", numbers(&[3])),
    ]);
    let done = project.run().await;
    assert_snapshot!(done.message, @"appended: 1 row in");
    assert_eq!(done.rows().await, rows(&["1 10", "2 20", "3 30"]));
    assert_eq!(project.log().columns, ["k long", "v integer"]);
    let before = project.log();
    project.deliver(vec![("k", numbers(&[4]))]);
    assert_snapshot!(project.try_run().await.err().unwrap(), @r"
    `m` no longer gives columns that its table has: `v`
    hint: select them (`null as …` will do), or let the table change with `on_schema_change: sync_all_columns` or `--full-refresh`
    ");
    project.deliver(vec![("k", numbers(&[4])), ("v", numbers(&[1 << 40]))]);
    let error = project.try_run().await.err().unwrap();
    assert!(error.contains("column `v`"), "{error}");
    assert_eq!(project.log(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_lists_what_differs() {
    for strategy in [APPEND, "unique_key='v'"] {
        let project = project(strategy, "fail").await;
        let before = project.log();
        project.deliver(vec![("v", texts(&["x"])), ("w", numbers(&[1]))]);
        let error = project.try_run().await.err().unwrap();
        insta::allow_duplicates! {
            assert_snapshot!(error, @r"
            the columns of `m` are not those of its table: added `w` Int64; missing `k` Int64; retyped `v` Int32 to Utf8
            hint: `--full-refresh` rebuilds the table; `on_schema_change: append_new_columns` or `sync_all_columns` lets it change
            ");
        }
        assert_eq!(project.log(), before);
        let project = project.full_refresh(true);
        assert_eq!(project.run().await.rows().await, rows(&["x 1"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_key_new_columns_mean_a_rebuild() {
    for policy in ["ignore", "append_new_columns", "sync_all_columns"] {
        let project = project("unique_key='k'", policy).await;
        project.deliver(vec![("k", numbers(&[1])), ("w", texts(&["x"]))]);
        let done = project.run().await;
        assert_eq!(done.message, "rebuilt in full: its columns have changed");
        assert_eq!(done.rows().await, rows(&["1 x"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_columns_are_null_in_older_rows() {
    for (strategy, then) in [
        (APPEND, ["1 10 -", "2 20 -", "2 - x"].as_slice()),
        // what a new row does not give stays
        (MERGE, &["1 10 -", "2 20 x"]),
        (REPLACE, &["1 10 -", "2 - x"]),
    ] {
        let project = project(strategy, "append_new_columns").await;
        let files = project.log().files;
        project.deliver(vec![("w", texts(&["x"])), ("k", numbers(&[2]))]);
        let done = project.run().await;
        assert!(
            done.message.ends_with("; columns: added `w` Utf8"),
            "{}",
            done.message
        );
        assert_eq!(done.rows().await, rows(then), "{strategy}");
        let log = project.log();
        assert!(log.schema_changes);
        assert_eq!(log.columns, ["k long", "v integer", "w string"]);
        if strategy == APPEND {
            assert!(files.is_subset(&log.files), "older files stay");
        }
        project.deliver(vec![
            ("k", numbers(&[9])),
            ("v", small(&[90])),
            ("w", texts(&["y"])),
        ]);
        let mut then: Vec<&str> = then.to_vec();
        then.push("9 90 y");
        assert_eq!(project.run().await.rows().await, rows(&then));
        assert!(!project.log().schema_changes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn synced_columns_come_go_and_change() {
    for (strategy, then) in [
        (APPEND, ["1 -", "2 -", "2 x"].as_slice()),
        (MERGE, &["1 -", "2 x"]),
        (REPLACE, &["1 -", "2 x"]),
    ] {
        let change = "; columns: added `w` Utf8; missing `v` Int32";
        synced(strategy, numbers, "k long", change, then).await;
        let change = format!("{change}; retyped `k` Int64 to Int32");
        let narrow = |values: &[i64]| {
            small(
                &values
                    .iter()
                    .map(|v| i32::try_from(*v).unwrap())
                    .collect::<Vec<_>>(),
            )
        };
        synced(strategy, narrow, "k integer", &change, then).await;
    }
}

async fn synced(
    strategy: &str,
    k: impl Fn(&[i64]) -> ArrayRef,
    column: &str,
    change: &str,
    then: &[&str],
) {
    let project = project(strategy, "sync_all_columns").await;
    project.deliver(vec![("k", k(&[2])), ("w", texts(&["x"]))]);
    let done = project.run().await;
    assert!(done.message.ends_with(change), "{}", done.message);
    assert_eq!(done.rows().await, rows(then), "{strategy}");
    assert_eq!(project.log().columns, [column, "w string"]);
    // a dropped column does not bring old values back
    project.deliver(vec![
        ("k", k(&[3])),
        ("w", texts(&["y"])),
        ("v", small(&[30])),
    ]);
    let mut then: Vec<_> = then.iter().map(|row| format!("{row} -")).collect();
    then.push("3 y 30".to_owned());
    let then: Vec<&str> = then.iter().map(String::as_str).collect();
    assert_eq!(project.run().await.rows().await, rows(&then), "{strategy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_a_new_type_cannot_hold_stop_the_run() {
    let project = project(APPEND, "sync_all_columns").await;
    project.deliver(vec![("k", texts(&["x"])), ("v", small(&[1]))]);
    project.run().await;
    let before = project.log();
    project.deliver(vec![("k", numbers(&[1])), ("v", small(&[1]))]);
    let error = project.try_run().await.err().unwrap();
    assert!(error.contains("column `k`"), "{error}");
    assert_eq!(project.log(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_increment_without_rows_changes_no_columns() {
    let project = project(APPEND, "sync_all_columns").await;
    let before = project.log();
    project.deliver(vec![("k", numbers(&[])), ("w", texts(&[]))]);
    assert_snapshot!(project.run().await.message, @"NO-OP: nothing new");
    assert_eq!(project.log(), before);
}
