//! `traffic_source` with rules of the project's own, as the command line shows it.

use crate::support::{Project, assert_output};

const CALL: &str = "traffic_source(null, referrer, null, null, null)['source']";

/// A table by key and one in full that call the function, and one that does not.
fn project() -> Project {
    let model = |config: &str, column: &str| {
        format!(
            "{{{{ config({config}) }}}}\nselect id, {column} as source from \
             {{{{ source('raw', 'visits') }}}}\n"
        )
    };
    let by_key = "materialized='incremental', unique_key='id'";
    Project::empty()
        .with(
            "data/visits.csv",
            "id,referrer\n1,https://wiki.example/\n2,https://www.bing.com/\n",
        )
        .with(
            "models/sources.yml",
            "sources:\n  - name: raw\n    tables:\n      - name: visits\n        config:\n\
             \x20         external_location: data/visits.csv\n",
        )
        .with("models/visits_by_key.sql", &model(by_key, CALL))
        .with("models/visits_in_full.sql", &model("materialized='table'", CALL))
        .with("models/without.sql", &model(by_key, "referrer"))
}

const RULES: &str = "seeds/traffic_source_rules.csv";

#[test]
fn other_rules_rebuild_the_tables_that_call_the_function() {
    let project = project();
    project.run(&["run"]);
    assert_output!(project.run(&["run"]), @r#"
    exit: 0
    --- stdout
    [1/3] OK    incremental table main.visits_by_key: [TIME], NO-OP: nothing new
    [2/3] OK    table main.visits_in_full: [TIME], NO-OP: nothing new
    [3/3] OK    incremental table main.without: [TIME], NO-OP: nothing new
    PASS=3 WARN=0 ERROR=0 SKIP=0 TOTAL=3 in [TIME]
    --- stderr
    "#);
    let project = project.with(
        RULES,
        "id,referrer,source,medium,confidence\nwiki,wiki.example,Wiki,docs,high\n\
         rest,,elsewhere,(none),low\n",
    );
    assert_output!(project.run(&["run"]), @r#"
    exit: 0
    --- stdout
    [1/3] OK    incremental table main.visits_by_key: 2 rows, [SIZE], [TIME], rebuilt in full: the rules of `traffic_source` have changed
    [2/3] OK    table main.visits_in_full: 2 rows, [SIZE], [TIME]
    [3/3] OK    incremental table main.without: [TIME], NO-OP: nothing new
    PASS=3 WARN=0 ERROR=0 SKIP=0 TOTAL=3 in [TIME]
    --- stderr
    "#);
    assert_output!(project.run(&["run"]), @r#"
    exit: 0
    --- stdout
    [1/3] OK    incremental table main.visits_by_key: [TIME], NO-OP: nothing new
    [2/3] OK    table main.visits_in_full: [TIME], NO-OP: nothing new
    [3/3] OK    incremental table main.without: [TIME], NO-OP: nothing new
    PASS=3 WARN=0 ERROR=0 SKIP=0 TOTAL=3 in [TIME]
    --- stderr
    "#);
    let rows = "select * from visits_by_key union all select * from visits_in_full order by 1, 2";
    assert_output!(project.run(&["query", "--format", "csv", rows]), @r#"
    exit: 0
    --- stdout
    id,source
    1,wiki
    1,wiki
    2,elsewhere
    2,elsewhere
    --- stderr
    "#);
}

#[test]
fn rules_that_leave_visits_without_any_are_warned_of() {
    let project = project().with(
        RULES,
        "id,referrer,source,medium,confidence\nwiki,wiki.example,Wiki,docs,high\n",
    );
    assert_output!(project.run(&["run", "--select", "visits_in_full"]), @r#"
    exit: 0
    --- stdout
    [1/1] OK    table main.visits_in_full: 2 rows, [SIZE], [TIME]
    PASS=1 WARN=0 ERROR=0 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    warning: seed `seeds/traffic_source_rules.csv`: no line holds for every visit; a visit that none fits gets the source `(not set)`
    hint: end it with a line that has no pattern: id `direct`, source `(direct)`, medium `(none)`, confidence `low`
    "#);
}

#[test]
fn a_strategy_of_dbt_says_that_its_older_rows_have_other_rules() {
    let model = format!(
        "{{{{ config(materialized='incremental', incremental_strategy='append') }}}}\n\
         select id, {CALL} as source from {{{{ source('raw', 'visits') }}}}\n"
    );
    let project = project().with("models/visits_by_key.sql", &model);
    project.run(&["run", "--select", "visits_by_key"]);
    let project = project
        .with(RULES, "id,source,medium,confidence\nall,us,house,low\n")
        .with("data/visits.csv", "id,referrer\n1,https://wiki.example/\n");
    assert_output!(project.run(&["run", "--select", "visits_by_key"]), @r#"
    exit: 0
    --- stdout
    [1/1] OK    incremental table main.visits_by_key: 1 row, [SIZE], [TIME], appended: 1 row in; the rules of `traffic_source` have changed since version 0: `--full-refresh` rebuilds it
    PASS=1 WARN=0 ERROR=0 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    "#);
}

#[test]
fn a_wrong_line_is_shown() {
    let project = project().with(
        RULES,
        "id,referrer,source,medium,confidence\nwiki,wiki.example,wiki,docs,sure\n",
    );
    assert_output!(project.run(&["run"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: seed `seeds/traffic_source_rules.csv`, line 2, column `confidence`: found `sure`; expected one of high, medium, low
     ,-[seeds/traffic_source_rules.csv:2:1]
     1 | id,referrer,source,medium,confidence
     2 | wiki,wiki.example,wiki,docs,sure
     : ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
     `----
    hint: each line of this seed is a rule of `traffic_source`
    "#);
    let disabled =
        "seeds:\n  - name: traffic_source_rules\n    config:\n      enabled: false\n";
    let project = project.with("seeds/seeds.yml", disabled);
    assert_output!(project.run(&["run", "--select", "without"]), @r#"
    exit: 0
    --- stdout
    [1/1] OK    incremental table main.without: 2 rows, [SIZE], [TIME]
    PASS=1 WARN=0 ERROR=0 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    "#);
}
