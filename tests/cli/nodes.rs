//! Running: which nodes, in which order, what is said of them.

use crate::support::{Project, assert_output};

#[test]
fn build() {
    let project = Project::small();
    assert_output!(project.run(&["build"]), @r#"
    exit: 0
    --- stdout
    [1/4] OK    seed main.orders: 3 rows, [SIZE], [TIME]
    [2/4] OK    view main.large_orders: [TIME]
    [3/4] PASS  test unique_large_orders_id: [TIME]
    [4/4] OK    table main.totals: 1 row, [SIZE], [TIME]
    PASS=4 WARN=0 ERROR=0 SKIP=0 TOTAL=4 in [TIME]
    --- stderr
    "#);
}

#[test]
fn run_test_seed() {
    let project = Project::small();
    assert_output!(project.run(&["seed"]), @r#"
    exit: 0
    --- stdout
    [1/1] OK    seed main.orders: 3 rows, [SIZE], [TIME]
    PASS=1 WARN=0 ERROR=0 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    "#);
    assert_output!(project.run(&["run"]), @r#"
    exit: 0
    --- stdout
    [1/2] OK    view main.large_orders: [TIME]
    [2/2] OK    table main.totals: 1 row, [SIZE], [TIME]
    PASS=2 WARN=0 ERROR=0 SKIP=0 TOTAL=2 in [TIME]
    --- stderr
    "#);
    assert_output!(project.run(&["test"]), @r#"
    exit: 0
    --- stdout
    [1/1] PASS  test unique_large_orders_id: [TIME]
    PASS=1 WARN=0 ERROR=0 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    "#);
}

#[test]
fn a_test_waits_for_a_table_that_was_not_selected() {
    let properties = "version: 2\nmodels:\n  - name: first\n    columns:\n      - name: id\n        \
        data_tests:\n          - relationships: {to: ref('second'), field: id}\n";
    let project = Project::empty()
        .with(
            "dbt_project.yml",
            "name: shop\nversion: '1.0'\nprofile: shop\n",
        )
        .with(
            "models/first.sql",
            "{{ config(materialized='table') }} select 1 as id",
        )
        .with(
            "models/second.sql",
            "{{ config(materialized='table') }} select 1 as id",
        )
        .with("models/_models.yml", properties);
    let at = ["--location", "tables"];
    let built = project.run(&[&["build", "-s", "first"][..], &at].concat());
    assert!(built.starts_with("exit: 0"), "{built}");
    assert!(built.contains("`second` has not been built yet"), "{built}");
    assert!(
        built.contains("PASS=1 WARN=0 ERROR=0 SKIP=1 TOTAL=2"),
        "{built}"
    );
    let built = project.run(&[&["build"][..], &at].concat());
    assert!(
        built.contains("PASS=3 WARN=0 ERROR=0 SKIP=0 TOTAL=3"),
        "{built}"
    );
    // nothing is there: that is an error, not a wait
    let tested = project.run(&["test", "--location", "elsewhere"]);
    assert!(tested.starts_with("exit: 1"), "{tested}");
    assert!(tested.contains("ERROR=1"), "{tested}");
}

#[test]
fn quiet_is_quiet_unless_something_fails() {
    let project = Project::small();
    assert_output!(project.run(&["build", "--quiet"]), @r#"
    exit: 0
    --- stdout
    --- stderr
    "#);
}

#[test]
fn a_failed_test_skips_what_reads_its_model() {
    let project = Project::small().with("seeds/orders.csv", "id,amount\n2,20\n2,30\n");
    assert_output!(project.run(&["build"]), @r#"
    exit: 1
    --- stdout
    [1/4] OK    seed main.orders: 2 rows, [SIZE], [TIME]
    [2/4] OK    view main.large_orders: [TIME]
    [3/4] FAIL  test unique_large_orders_id: 1 row failed, [TIME], Got 1 result, configured to fail if != 0
    [4/4] SKIP  table main.totals: `test.shop.unique_large_orders_id.354cb178f7` failed
    PASS=2 WARN=0 ERROR=1 SKIP=1 TOTAL=4 in [TIME]
    --- stderr
    "#);
}

#[test]
fn other_branches_go_on_unless_fail_fast() {
    let project = Project::small()
        .with("models/a_broken.sql", "{{ config(materialized='table') }}\nselect nope\nfrom {{ source('raw', 'events') }}\n")
        .with("models/b_other.sql", "select 1 as a\n");
    let selected = ["run", "-q", "-s", "a_broken", "b_other"];
    assert_output!(project.run(&selected), @r#"
    exit: 1
    --- stdout
    [1/2] ERROR table main.a_broken: [TIME]
    PASS=1 WARN=0 ERROR=1 SKIP=0 TOTAL=2 in [TIME]
    --- stderr
    error: there is no column `nope`; found `id`, `kind`
     ,-[models/a_broken.sql:2:8]
     1 | {{ config(materialized='table') }}
     2 | select nope
     :        ^^^^
     3 | from {{ source('raw', 'events') }}
     `----
    "#);
    assert_output!(project.run(&[&selected[..], &["--fail-fast"]].concat()), @r#"
    exit: 1
    --- stdout
    [1/2] ERROR table main.a_broken: [TIME]
    PASS=0 WARN=0 ERROR=1 SKIP=1 TOTAL=2 in [TIME]
    --- stderr
    error: there is no column `nope`; found `id`, `kind`
     ,-[models/a_broken.sql:2:8]
     1 | {{ config(materialized='table') }}
     2 | select nope
     :        ^^^^
     3 | from {{ source('raw', 'events') }}
     `----
    "#);
}

#[test]
fn a_dry_run_touches_nothing() {
    let project = Project::small();
    assert_output!(project.run(&["build", "--dry-run"]), @r#"
    exit: 0
    --- stdout
    seed main.orders
      reads  seeds/orders.csv
      writes [DIR]/tables/orders
    view main.large_orders
      reads  seed main.orders
    test unique_large_orders_id
      reads  view main.large_orders
    table main.totals
      reads  view main.large_orders
      writes [DIR]/tables/totals
    --- stderr
    nothing was read or written: this was a dry run
    "#);
    assert_output!(project.run(&["query", "select * from orders"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `main.orders` has not been built yet: there is no table at `file://[DIR]/tables/orders`
     ,-[<inline>:1:15]
     1 | select * from orders
     :               ^^^^^^
     `----
    hint: build it first: `sessionize build --select +orders`
    "#);
}

#[test]
fn compile() {
    let project = Project::small();
    assert_output!(project.run(&["compile"]), @r#"
    exit: 0
    --- stdout
    -- model.shop.large_orders
    select id, amount
    from "shop"."main"."orders"
    where id >= 2

    -- model.shop.totals
    select count(*) as orders, sum(amount) as amount
    from "shop"."main"."large_orders"

    -- test.shop.unique_large_orders_id.354cb178f7
    select "id" as unique_field, count(*) as n_records from "shop"."main"."large_orders" where "id" is not null group by "id" having count(*) > 1

    --- stderr
    "#);
    assert_output!(project.run(&["compile", "-s", "totals"]), @r#"
    exit: 0
    --- stdout
    select count(*) as orders, sum(amount) as amount
    from "shop"."main"."large_orders"
    --- stderr
    "#);
    assert_output!(project.run(&["compile", "--inline", "select * from {{ ref('totals') }}"]), @r#"
    exit: 0
    --- stdout
    select * from "shop"."main"."totals"
    --- stderr
    "#);
}

#[test]
fn debug() {
    let project = Project::small();
    assert_output!(project.run(&["debug"]), @r#"
    exit: 0
    --- stdout
    sessionize [VERSION]
    datafusion [VERSION]
    project dir  [DIR]/
    project      shop
    profile      shop
    target       dev (sessionize)
    threads      1
    location     [DIR]/tables
    writable     yes (the folder will be made)
    compiled     2 models
    source       raw.events ([DIR]/data/events.csv): 2 columns
    all checks passed
    --- stderr
    "#);
}

#[test]
fn clean() {
    let project = Project::small();
    assert_output!(project.run(&["compile", "-q", "-s", "totals"]), @r#"
    exit: 0
    --- stdout
    select count(*) as orders, sum(amount) as amount
    from "shop"."main"."large_orders"
    --- stderr
    "#);
    assert_output!(project.run(&["clean", "--dry-run"]), @r#"
    exit: 0
    --- stdout
    would remove `target`
    --- stderr
    "#);
    assert_output!(project.run(&["clean"]), @r#"
    exit: 0
    --- stdout
    removed `target`
    --- stderr
    "#);
    assert_output!(project.run(&["clean"]), @r#"
    exit: 0
    --- stdout
    --- stderr
    "#);
}

#[test]
fn clean_keeps_tables() {
    let project = Project::small().with(
        "profiles.yml",
        "shop:\n  target: dev\n  outputs:\n    dev: {type: sessionize, location: target/deep/tables}\n",
    );
    let built = project.run(&["build", "-q", "-s", "+totals"]);
    assert!(built.starts_with("exit: 0"), "{built}");
    let removed = "removed `target`, but the tables in `target/deep/tables`";
    let cleaned = project.run(&["clean"]);
    assert!(cleaned.contains(removed), "{cleaned}");
    assert!(!project.path("target/manifest.json").exists());
    let shown = project.run(&["show", "totals"]);
    assert!(shown.starts_with("exit: 0"), "{shown}");
}

#[test]
fn json_lines() {
    let text = Project::small().run(&["build", "--log-format", "json", "-s", "+totals"]);
    let (_, text) = text.split_once("--- stdout\n").expect("both streams");
    let (stdout, stderr) = text.split_once("--- stderr").expect("both streams");
    let events: Vec<serde_json::Value> = stdout
        .lines()
        .chain(stderr.lines())
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_str(l).expect("one JSON object a line"))
        .collect();
    let names: Vec<&str> = events
        .iter()
        .map(|e| e["info"]["name"].as_str().expect("a name"))
        .collect();
    let finished = "NodeFinished";
    assert_eq!(
        names,
        [finished, finished, finished, finished, "RunFinished"]
    );
    let last = &events[4]["data"];
    assert_eq!((&last["pass"], &last["total"]), (&4.into(), &4.into()));
    assert_eq!(events[0]["data"]["rows"], 3);
}

#[test]
fn threads_and_full_refresh_change_no_row() {
    let project = Project::small();
    for arguments in [
        &["--threads", "8"][..],
        &["--threads", "1", "--full-refresh"],
    ] {
        let built = project.run(&[&["build", "-q"], arguments].concat());
        assert!(built.starts_with("exit: 0"), "{built}");
        let rows = project.run(&["query", "select * from totals", "--format", "csv"]);
        assert!(rows.contains("orders,amount\n2,50\n"), "{rows}");
    }
}

#[test]
fn a_new_project_builds() {
    let project = Project::empty();
    let made = project.run(&["init", "new"]);
    assert!(made.starts_with("exit: 0"), "{made}");
    let listed = project.run(&[
        "ls",
        "--project-dir",
        "new",
        "-s",
        "segment",
        "--resource-type",
        "model",
        "--output",
        "name",
    ]);
    assert_output!(listed, @r#"
    exit: 0
    --- stdout
    page_views
    page_views__sessionized
    page_views__rejected
    sessions__initial
    user_stitching
    sessions__stitched
    sessions
    --- stderr
    "#);
    let built = project.run(&["seed", "-q", "--project-dir", "new"]);
    assert!(built.starts_with("exit: 0"), "{built}");
    let again = project.run(&["init", "new"]);
    assert!(again.starts_with("exit: 2"), "{again}");
}
