//! Errors that people can act on: file, line, column, excerpt, hint, exit code.

mod data;
mod models;
mod project;
mod selection;
mod templates;

use std::fs;

use crate::support::{Project, assert_output};

#[test]
fn no_project() {
    let project = Project::empty();
    fs::remove_file(project.path("dbt_project.yml")).expect("it is there");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: there is no `dbt_project.yml` in `[DIR]/`
    hint: name the project's folder with `--project-dir`, or make one with `sessionize init`
    "#);
}

#[test]
fn an_unknown_key() {
    let project = Project::empty().with(
        "dbt_project.yml",
        "name: shop\nprofile: shop\nmodel-path: [models]\n",
    );
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
}

#[test]
fn an_unknown_key_of_a_column() {
    let project = Project::small().with(
        "models/schema.yml",
        "models:\n  - name: totals\n    columns:\n      - name: orders\n        descripton: how many\n",
    );
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
}

#[test]
fn vars_of_the_wrong_shape() {
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
}

#[test]
fn a_memory_limit_of_the_wrong_shape() {
    assert_output!(Project::small().run(&["ls", "--memory-limit", "much"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `much` is not a size
    hint: write a number of bytes or a unit: `256MB`, `512MiB`, `1GB`, `1.5GiB`
    "#);
}

#[test]
fn an_unknown_target() {
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
}
