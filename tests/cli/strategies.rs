//! Incremental strategies as the command line shows them.

use crate::support::{Project, assert_output};

const MODEL: &str = "\
{{ config(materialized='incremental', incremental_strategy='merge', unique_key='id') }}
select id, id * {{ var('times', 1) }} as v from {{ ref('orders') }}
{% if is_incremental() %}
where id >= (select max(id) from {{ this }})
{% endif %}
";

fn project(model: &str) -> Project {
    Project::empty()
        .with("seeds/orders.csv", "id,amount\n1,10\n2,20\n")
        .with("models/orders_seen.sql", model)
}

#[test]
fn increments_say_what_they_did() {
    let project = project(MODEL);
    assert_output!(project.run(&["build"]), @r#"
    exit: 0
    --- stdout
    [1/2] OK    seed main.orders: 2 rows, [SIZE], [TIME]
    [2/2] OK    incremental table main.orders_seen: 2 rows, [SIZE], [TIME]
    PASS=2 WARN=0 ERROR=0 SKIP=0 TOTAL=2 in [TIME]
    --- stderr
    "#);
    let project = project.with("seeds/orders.csv", "id,amount\n1,10\n2,20\n3,30\n");
    let vars = "{times: 2}";
    assert_output!(project.run(&["build", "--vars", vars]), @r#"
    exit: 0
    --- stdout
    [1/2] OK    seed main.orders: 3 rows, [SIZE], [TIME]
    [2/2] OK    incremental table main.orders_seen: 2 rows, [SIZE], [TIME], merged: 1 row inserted, 1 updated; its SQL or a variable has changed since version 0: `--full-refresh` rebuilds it
    PASS=2 WARN=0 ERROR=0 SKIP=0 TOTAL=2 in [TIME]
    --- stderr
    "#);
    let rows = "select * from orders_seen order by id";
    assert_output!(project.run(&["query", "--format", "csv", rows]), @r#"
    exit: 0
    --- stdout
    id,v
    1,1
    2,4
    3,6
    --- stderr
    "#);
    assert_output!(project.run(&["build", "--vars", vars, "--full-refresh"]), @r#"
    exit: 0
    --- stdout
    [1/2] OK    seed main.orders: 3 rows, [SIZE], [TIME]
    [2/2] OK    incremental table main.orders_seen: 3 rows, [SIZE], [TIME]
    PASS=2 WARN=0 ERROR=0 SKIP=0 TOTAL=2 in [TIME]
    --- stderr
    "#);
}

#[test]
fn strategies_that_cannot_be_are_shown_in_their_place() {
    let unknown = project(&MODEL.replace("merge", "megre"));
    assert_output!(unknown.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown value for `incremental_strategy`: `megre`
     ,-[models/orders_seen.sql:1:4]
     1 | {{ config(materialized='incremental', incremental_strategy='megre', unique_key='id') }}
     :    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
     2 | select id, id * {{ var('times', 1) }} as v from {{ ref('orders') }}
     `----
    hint: did you mean `merge`? supported: `keys`, `append`, `merge`, `delete+insert`, `insert_overwrite`
    "#);
    let keyless = MODEL.replace("merge', unique_key='id", "delete+insert");
    assert_output!(project(&keyless).run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `orders_seen` has the strategy `delete+insert` and no `unique_key`
     ,-[models/orders_seen.sql:1:39]
     1 | {{ config(materialized='incremental', incremental_strategy='delete+insert') }}
     :                                       ^^^^^^^^^^^^^^^^^^^^
     2 | select id, id * {{ var('times', 1) }} as v from {{ ref('orders') }}
     `----
    hint: name the columns by which rows are replaced; `append` adds rows alone
    "#);
}
