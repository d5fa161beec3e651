//! Mistakes in models: references, SQL, configurations.

use crate::support::{Project, assert_output};

#[test]
fn a_missing_ref() {
    let project = Project::small()
        .with("models/totals.sql", "{{ config(materialized='table') }}\nselect count(*) as orders, sum(amount) as amount\nfrom {{ ref('large_order') }}\n");
    assert_output!(project.run(&["build"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `totals` refers to `large_order`, which is no model or seed
     ,-[models/totals.sql:3:9]
     2 | select count(*) as orders, sum(amount) as amount
     3 | from {{ ref('large_order') }}
     :         ^^^^^^^^^^^^^^^^^^
     `----
    hint: did you mean `large_orders`?
    "#);
}

#[test]
fn a_cycle_is_a_path() {
    let project = Project::small().with(
        "models/large_orders.sql",
        "select id, amount\nfrom {{ ref('totals') }}\n",
    );
    assert_output!(project.run(&["build"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: the models form a cycle: `large_orders -> totals -> large_orders`
     ,-[models/large_orders.sql:2:14]
     1 | select id, amount
     2 | from {{ ref('totals') }}
     :              ^^^^^^
     `----
    hint: an arrow points from a model to one it reads
    "#);
}

#[test]
fn a_disabled_ref() {
    let project = Project::small()
        .with(
            "models/off.sql",
            "{{ config(enabled=false) }}\nselect 1 as a\n",
        )
        .with("models/x.sql", "select *\nfrom {{ ref('off') }}\n");
    assert_output!(project.run(&["build"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `x` refers to `off`, which is disabled
     ,-[models/x.sql:2:9]
     1 | select *
     2 | from {{ ref('off') }}
     :         ^^^^^^^^^^
     `----
    "#);
}

/// The view that has it is named, not the model that reads the view.
#[test]
fn a_wrong_argument_in_a_view() {
    let sql = "select id, session_number(to_timestamp(id), gap => interval '1 month')\n\
               \x20 over (partition by kind order by id) as n\n\
               from {{ source('raw', 'events') }}\n";
    let project = Project::small()
        .with("models/numbered.sql", sql)
        .with("models/reader.sql", "select * from {{ ref('numbered') }}");
    let ended = project.run(&["run", "--select", "numbered+"]);
    assert!(ended.contains("ERROR view main.numbered"), "{ended}");
    assert!(ended.contains("SKIP  view main.reader"), "{ended}");
    assert!(ended.contains("argument `gap` is 1 mons"), "{ended}");
    assert!(ended.contains("[models/numbered.sql:1:1]"), "{ended}");
}

#[test]
fn a_missing_source() {
    let project = Project::small().with(
        "models/x.sql",
        "select *\nfrom {{ source('raw', 'event') }}\n",
    );
    assert_output!(project.run(&["build"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `x` reads source `raw.event`, which is not defined
     ,-[models/x.sql:2:9]
     1 | select *
     2 | from {{ source('raw', 'event') }}
     :         ^^^^^^^^^^^^^^^^^^^^^^
     `----
    hint: did you mean `raw.events`?
    "#);
}

#[test]
fn a_wrong_column() {
    let project = Project::small()
        .with("models/totals.sql", "{{ config(materialized='table') }}\nselect count(*) as orders, sum(amout) as amount\nfrom {{ ref('large_orders') }}\n");
    assert_output!(project.run(&["build"]), @r#"
    exit: 1
    --- stdout
    [1/4] OK    seed main.orders: 3 rows, [SIZE], [TIME]
    [2/4] OK    view main.large_orders: [TIME]
    [3/4] PASS  test unique_large_orders_id: [TIME]
    [4/4] ERROR table main.totals: [TIME]
    PASS=3 WARN=0 ERROR=1 SKIP=0 TOTAL=4 in [TIME]
    --- stderr
    error: there is no column `amout`; found `id`, `amount`
     ,-[models/totals.sql:2:32]
     1 | {{ config(materialized='table') }}
     2 | select count(*) as orders, sum(amout) as amount
     :                                ^^^^^
     3 | from {{ ref('large_orders') }}
     `----
    hint: did you mean `amount`?
    "#);
}

#[test]
fn a_typo_in_sql() {
    let project = Project::small()
        .with("models/totals.sql", "{{ config(materialized='table') }}\nselect count(*) as orders, sum(amount) as amount\nfrm {{ ref('large_orders') }}\n");
    assert_output!(project.run(&["build", "--quiet"]), @r#"
    exit: 1
    --- stdout
    [4/4] ERROR table main.totals: [TIME]
    PASS=3 WARN=0 ERROR=1 SKIP=0 TOTAL=4 in [TIME]
    --- stderr
    error: expected: end of statement, found: frm
     ,-[models/totals.sql:3:1]
     2 | select count(*) as orders, sum(amount) as amount
     3 | frm {{ ref('large_orders') }}
     : ^^^
     `----
    "#);
}

#[test]
fn a_wrong_function() {
    let project = Project::small()
        .with("models/totals.sql", "{{ config(materialized='table') }}\nselect count(*) as orders, summ(amount) as amount\nfrom {{ ref('large_orders') }}\n");
    assert_output!(project.run(&["build", "--quiet"]), @r#"
    exit: 1
    --- stdout
    [4/4] ERROR table main.totals: [TIME]
    PASS=3 WARN=0 ERROR=1 SKIP=0 TOTAL=4 in [TIME]
    --- stderr
    error: invalid function 'summ'
     ,-[models/totals.sql:2:28]
     1 | {{ config(materialized='table') }}
     2 | select count(*) as orders, summ(amount) as amount
     :                            ^^^^
     3 | from {{ ref('large_orders') }}
     `----
    hint: did you mean `sum`?
    "#);
}

#[test]
fn types_that_do_not_go_together() {
    let project = Project::small()
        .with("models/x.sql", "{{ config(materialized='table') }}\n\nselect id\nfrom {{ source('raw', 'events') }}\nwhere id > [1]\n");
    assert_output!(project.run(&["run", "-q", "-s", "x"]), @r#"
    exit: 1
    --- stdout
    [1/1] ERROR table main.x: [TIME]
    PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    error: Cannot infer common argument type for comparison operation Int64 > List(Int64)
     ,-[models/x.sql:3:1]
     2 |
     3 | select id
     : ^^^^^^^^^
     4 | from {{ source('raw', 'events') }}
     `----
    "#);
}

#[test]
fn a_value_that_cannot_be_cast() {
    let project = Project::small()
        .with("models/x.sql", "{{ config(materialized='table') }}\n\nselect cast(kind as int) as kind\nfrom {{ source('raw', 'events') }}\n");
    assert_output!(project.run(&["run", "-q", "-s", "x"]), @r#"
    exit: 1
    --- stdout
    [1/1] ERROR table main.x: [TIME]
    PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    error: Cannot cast string 'click' to value of Int32 type
     ,-[models/x.sql:3:1]
     2 |
     3 | select cast(kind as int) as kind
     : ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
     4 | from {{ source('raw', 'events') }}
     `----
    "#);
}

#[test]
fn an_unknown_configuration() {
    let project = Project::small().with(
        "models/x.sql",
        "{{ config(materialised='table') }}\nselect 1 as a\n",
    );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown configuration `materialised`
     ,-[models/x.sql:1:4]
     1 | {{ config(materialised='table') }}
     :    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
     2 | select 1 as a
     `----
    hint: did you mean `materialized`?
    "#);
}

#[test]
fn an_unknown_materialization() {
    let project = Project::small().with(
        "models/x.sql",
        "{{ config(materialized='tabel') }}\nselect 1 as a\n",
    );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown value for `materialized`: `tabel`
     ,-[models/x.sql:1:4]
     1 | {{ config(materialized='tabel') }}
     :    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
     2 | select 1 as a
     `----
    hint: did you mean `table`?
    "#);
}

#[test]
fn two_models_of_one_name() {
    let project = Project::small().with("models/deep/totals.sql", "select 1 as a\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: two files have the name `totals`: `models/deep/totals.sql` and `models/totals.sql`
    hint: rename one of them: `ref` could mean either
    "#);
}
