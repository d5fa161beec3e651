//! Errors that people can act on: file, line, column, excerpt, hint, exit code.

use std::fs;

use crate::support::{Project, assert_output};

#[test]
fn no_project() {
    let project = Project::empty();
    fs::remove_file(project.path("dbt_project.yml")).expect("it is there");
<<<<<<< HEAD
    assert_output!(project.run(&["ls"]), @"");
=======
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: there is no `dbt_project.yml` in `[DIR]/`
    hint: name the project's folder with `--project-dir`, or make one with `sessionize init`
    "#);
>>>>>>> main
}

#[test]
fn an_unknown_key() {
    let project = Project::empty().with(
        "dbt_project.yml",
        "name: shop\nprofile: shop\nmodel-path: [models]\n",
    );
<<<<<<< HEAD
    assert_output!(project.run(&["ls"]), @"");
=======
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `model-path` in `dbt_project.yml`
     ,-[dbt_project.yml:3:1]
     2 | profile: shop
     3 | model-path: [models]
     : ^^^^^^^^^^
     `----
    hint: did you mean `model-paths`?
    "#);
>>>>>>> main
}

#[test]
fn an_unknown_key_of_a_column() {
    let project = Project::small().with(
        "models/schema.yml",
        "models:\n  - name: totals\n    columns:\n      - name: orders\n        descripton: how many\n",
    );
<<<<<<< HEAD
    assert_output!(project.run(&["ls"]), @"");
}

#[test]
fn a_missing_ref() {
    let project = Project::small().with(
        "models/wrong.sql",
        "select *\nfrom {{ ref('large_order') }}\n",
    );
    assert_output!(project.run(&["ls"]), @"");
}

#[test]
fn a_missing_ref_in_json() {
    let project = Project::small().with(
        "models/wrong.sql",
        "select *\nfrom {{ ref('large_order') }}\n",
    );
    assert_output!(project.run(&["ls", "--log-format", "json"]), @"");
}

#[test]
fn a_cycle() {
    let project = Project::empty()
        .with("models/a.sql", "select * from {{ ref('b') }}\n")
        .with("models/b.sql", "select * from {{ ref('c') }}\n")
        .with("models/c.sql", "select * from {{ ref('a') }}\n");
    assert_output!(project.run(&["ls"]), @"");
}

#[test]
fn a_wrong_column() {
    let project = Project::small().with(
        "models/wrong.sql",
        "{{ config(materialized='table') }}\nselect\n  id,\n  amuont\nfrom {{ ref('orders') }}\n",
    );
    assert_output!(project.run(&["build", "-s", "+wrong"]), @"");
}

#[test]
fn a_typo_in_sql() {
    let project = Project::small().with(
        "models/wrong.sql",
        "{{ config(materialized='table') }}\nselect id,\nfrom {{ ref('orders') }}\nwhre id = 1\n",
    );
    assert_output!(project.run(&["build", "-s", "+wrong"]), @"");
}

#[test]
fn a_typo_in_a_query() {
    assert_output!(Project::small().run(&["query", "selec 1"]), @"");
}

#[test]
fn a_template_that_does_not_end() {
    let project = Project::small().with("models/wrong.sql", "select 1\n{% if x %}\n");
    assert_output!(project.run(&["ls"]), @"");
}

#[test]
fn a_missing_file() {
    let project = Project::small();
    fs::remove_file(project.path("data/events.csv")).expect("it is there");
    assert_output!(project.run(&["query", "select * from {{ source('raw', 'events') }}"]), @"");
}

#[test]
fn an_unreadable_parquet_file() {
    let project = Project::small()
        .with("data/events.parquet", "this is not Parquet at all")
        .with(
            "models/schema.yml",
            "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n          external_location: data/events.parquet\n",
        );
    assert_output!(project.run(&["query", "select * from {{ source('raw', 'events') }}"]), @"");
=======
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `descripton` in column `orders`
     ,-[models/schema.yml:5:9]
     4 |       - name: orders
     5 |         descripton: how many
     :         ^^^^^^^^^^
     `----
    hint: did you mean `description`?
    "#);
>>>>>>> main
}

#[test]
fn vars_of_the_wrong_shape() {
<<<<<<< HEAD
    assert_output!(Project::small().run(&["ls", "--vars", "[1, 2]"]), @"");
    assert_output!(Project::small().run(&["ls", "--vars", "lowest"]), @"");
=======
    assert_output!(Project::small().run(&["ls", "--vars", "[1, 2]"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `--vars` must be a mapping of names to values, found a list of 2 items
    hint: write a mapping, for example `--vars '{name: value}'`
    "#);
    assert_output!(Project::small().run(&["ls", "--vars", "lowest"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `--vars` must be a mapping of names to values, found the text `lowest`
    hint: write a mapping, for example `--vars '{name: value}'`
    "#);
>>>>>>> main
}

#[test]
fn a_memory_limit_of_the_wrong_shape() {
<<<<<<< HEAD
    assert_output!(Project::small().run(&["ls", "--memory-limit", "much"]), @"");
}

#[test]
fn an_empty_selection() {
    assert_output!(Project::small().run(&["build", "-s", "totls"]), @"");
    assert_output!(Project::small().run(&["ls", "-s", "totals", "--exclude", "totals"]), @"");
=======
    assert_output!(Project::small().run(&["ls", "--memory-limit", "much"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `much` is not a size
    hint: write a number of bytes or a unit: `256MB`, `512MiB`, `1GB`, `1.5GiB`
    "#);
>>>>>>> main
}

#[test]
fn an_unknown_target() {
<<<<<<< HEAD
    assert_output!(Project::small().run(&["ls", "-t", "prod"]), @"");
=======
    assert_output!(Project::small().run(&["ls", "-t", "prod"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: there is no target `prod` in the profile's `outputs`
     ,-[profiles.yml:4:5]
     3 |   outputs:
     4 |     dev:
     :     ^
     5 |       type: sessionize
     `----
    hint: targets there: `dev`
    "#);
>>>>>>> main
}
