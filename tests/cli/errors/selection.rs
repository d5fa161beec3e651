//! Mistakes on the command line: variables and selections.

use crate::support::{Project, assert_output};

#[test]
fn vars_that_are_no_yaml() {
    let project = Project::small();
    assert_output!(project.run(&["ls", "--vars", "{lowest: [1"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `--vars` is neither YAML nor JSON: unclosed bracket '['
     ,-[--vars:1:10]
     1 | {lowest: [1
     :          ^
     `----
    hint: write a mapping, for example `--vars '{name: value}'`
    "#);
}

#[test]
fn vars_of_the_wrong_type() {
    let project = Project::small();
    assert_output!(project.run(&["build", "-q", "--vars", "{lowest: abc}"]), @r#"
    exit: 1
    --- stdout
    [2/4] ERROR view main.large_orders: [TIME]
    PASS=1 WARN=0 ERROR=1 SKIP=2 TOTAL=4 in [TIME]
    --- stderr
    error: there is no column `abc`; found `id`, `amount`
     ,-[models/large_orders.sql:4:16]
     3 | from {{ ref('orders') }}
     4 | where id >= {{ var('lowest') }}
     :                ^^^^^^^^^^^^^
     `----
    "#);
}

#[test]
fn selections_of_nothing() {
    let project = Project::small();
    assert_output!(project.run(&["ls", "-s", "large_order"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `large_order` selects nothing
    hint: did you mean `large_orders`?
    "#);
    assert_output!(project.run(&["build", "-s", "nothing"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `nothing` selects nothing
    hint: `sessionize ls` shows what there is
    "#);
    assert_output!(project.run(&["ls", "-s", "tag:nightly"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `tag:nightly` selects nothing
    hint: `sessionize ls` shows what there is
    "#);
    assert_output!(project.run(&["ls", "-s", "path:modls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `path:modls` selects nothing
    hint: `sessionize ls` shows what there is
    "#);
    assert_output!(project.run(&["ls", "-s", "source:rw"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `source:rw` selects nothing
    hint: `sessionize ls` shows what there is
    "#);
    assert_output!(project.run(&["run", "-s", "events"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `events` selects nothing
    hint: did you mean `source:raw.events`?
    "#);
}

#[test]
fn selections_that_cannot_be_meant() {
    let project = Project::small();
    assert_output!(project.run(&["run", "-s", "orders"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `orders` selects nothing to do
    hint: `run` is for models
    "#);
    assert_output!(project.run(&["ls", "-s", "tga:x"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: selection method `tga:` is not supported
    hint: did you mean `tag`?
    "#);
    assert_output!(project.run(&["ls", "-s", "3+"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `3+` selects nothing: a name is missing
    "#);
}
