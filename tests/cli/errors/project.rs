//! Mistakes in the project's YAML files.

use crate::support::{Project, assert_output};

#[test]
fn an_unknown_key_of_a_target() {
    let project = Project::small()
        .with("profiles.yml", "shop:\n  target: dev\n  outputs:\n    dev:\n      type: sessionize\n      location: tables\n      thread: 1\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `thread` in target `dev`
     ,-[profiles.yml:7:7]
     6 |       location: tables
     7 |       thread: 1
     :       ^^^^^^
     `----
    hint: did you mean `threads`?
    "#);
}

#[test]
fn an_unknown_type_of_target() {
    let project = Project::small()
        .with("profiles.yml", "shop:\n  target: dev\n  outputs:\n    dev:\n      type: postgres\n      location: tables\n      threads: 1\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `type: postgres` is not supported
     ,-[profiles.yml:5:13]
     4 |     dev:
     5 |       type: postgres
     :             ^^^^^^^^
     6 |       location: tables
     `----
    hint: expected `sessionize`; `duckdb` is read for the sake of existing projects
    "#);
}

#[test]
fn a_value_of_the_wrong_type() {
    let project = Project::small()
        .with("profiles.yml", "shop:\n  target: dev\n  outputs:\n    dev:\n      type: sessionize\n      location: tables\n      threads: many\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `threads` must be a whole number from 1, found the string `many`
     ,-[profiles.yml:7:16]
     6 |       location: tables
     7 |       threads: many
     :                ^^^^
     `----
    "#);
}

#[test]
fn a_profile_that_is_not_there() {
    let project = Project::small().with(
        "dbt_project.yml",
        "name: shop\nversion: '1.0'\nprofile: shp\n",
    );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: there is no profile `shp` in `profiles.yml`
     ,-[dbt_project.yml:3:10]
     2 | version: '1.0'
     3 | profile: shp
     :          ^^^
     `----
    hint: did you mean `shop`?
    "#);
}

#[test]
fn an_unknown_configuration_in_the_project() {
    let project = Project::small()
        .with("dbt_project.yml", "name: shop\nversion: '1.0'\nprofile: shop\nmodels:\n  shop:\n    +materialised: table\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `materialised` in the configuration of `models`
     ,-[dbt_project.yml:6:5]
     5 |   shop:
     6 |     +materialised: table
     :     ^^^^^^^^^^^^^
     `----
    hint: did you mean `materialized`?
    "#);
}

#[test]
fn yaml_that_does_not_parse() {
    let project = Project::small().with(
        "dbt_project.yml",
        "name: shop\nversion: '1.0'\nprofile: shop\nmodels: [\n",
    );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: not valid YAML: unclosed bracket '['
     ,-[dbt_project.yml:4:9]
     3 | profile: shop
     4 | models: [
     :         ^
     `----
    "#);
}

#[test]
fn an_unknown_key_of_a_property_file() {
    let project = Project::small().with(
        "models/schema.yml",
        "version: 2\nmodel:\n  - name: totals\n",
    );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `model` in `models/schema.yml`
     ,-[models/schema.yml:2:1]
     1 | version: 2
     2 | model:
     : ^^^^^
     3 |   - name: totals
     `----
    hint: did you mean `models`?
    "#);
}

#[test]
fn an_unknown_key_of_the_configuration_of_a_source() {
    let project = Project::small().with(
        "models/schema.yml",
        "version: 2\n\
         sources:\n\
         \x20 - name: raw\n\
         \x20   tables:\n\
         \x20     - name: events\n\
         \x20       config: {external_location: data/events.csv, flaten: true}\n",
    );
    let printed = project.run(&["ls"]);
    assert!(printed.starts_with("exit: 2"), "{printed}");
    assert!(printed.contains("unknown key `flaten`"), "{printed}");
    assert!(printed.contains("did you mean `flatten`?"), "{printed}");
}

#[test]
fn an_unknown_key_of_a_source() {
    let project = Project::small()
        .with("models/schema.yml", "sources:\n  - name: raw\n    table:\n      - name: events\n        config:\n          external_location: data/events.csv\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `table` in source `raw`
     ,-[models/schema.yml:3:5]
     2 |   - name: raw
     3 |     table:
     :     ^^^^^
     4 |       - name: events
     `----
    hint: did you mean `tables`?
    "#);
}

#[test]
fn an_unknown_key_of_a_source_table() {
    let project = Project::small()
        .with("models/schema.yml", "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n          external_locaton: data/events.csv\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `external_locaton` in the `config` of source table `events`
     ,-[models/schema.yml:6:11]
     5 |         config:
     6 |           external_locaton: data/events.csv
     :           ^^^^^^^^^^^^^^^^
     `----
    hint: did you mean `external_location`?
    "#);
}

#[test]
fn an_unknown_data_test() {
    let project = Project::small()
        .with("models/schema.yml", "version: 2\nmodels:\n  - name: large_orders\n    columns:\n      - name: id\n        data_tests:\n          - uniqe\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown data test `uniqe`
     ,-[models/schema.yml:7:13]
     6 |         data_tests:
     7 |           - uniqe
     :             ^^^^^
     `----
    hint: did you mean `unique`?
    "#);
}

#[test]
fn an_unknown_argument_of_a_data_test() {
    let project = Project::small()
        .with("models/schema.yml", "version: 2\nmodels:\n  - name: large_orders\n    columns:\n      - name: id\n        data_tests:\n          - accepted_values:\n              valus: [1]\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: data test `accepted_values` has no argument `valus`
     ,-[models/schema.yml:7:13]
     6 |         data_tests:
     7 |           - accepted_values:
     :             ^^^^^^^^^^^^^^^
     8 |               valus: [1]
     `----
    hint: did you mean `values`?
    "#);
}

#[test]
fn an_unknown_key_of_a_data_test() {
    let project = Project::small()
        .with("models/schema.yml", "version: 2\nmodels:\n  - name: large_orders\n    columns:\n      - name: id\n        data_tests:\n          - not_null:\n              config:\n                severty: warn\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `severty` in the `config` of test `not_null` of column `id`
     ,-[models/schema.yml:9:17]
     8 |               config:
     9 |                 severty: warn
     :                 ^^^^^^^
     `----
    hint: did you mean `severity`?
    "#);
}

#[test]
fn an_unknown_key_of_a_unit_test() {
    let project = Project::small()
        .with("models/unit.yml", "unit_tests:\n  - name: t\n    model: totals\n    gven: []\n    expect: {rows: []}\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `gven` in unit test `t`
     ,-[models/unit.yml:4:5]
     3 |     model: totals
     4 |     gven: []
     :     ^^^^
     5 |     expect: {rows: []}
     `----
    hint: did you mean `given`?
    "#);
}

#[test]
fn a_unit_test_of_no_model() {
    let project = Project::small()
        .with("models/unit.yml", "unit_tests:\n  - name: t\n    model: totls\n    given: []\n    expect: {rows: []}\n");
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unit test `t` is of model `totls`, which does not exist
     ,-[models/unit.yml:2:5]
     1 | unit_tests:
     2 |   - name: t
     :     ^
     3 |     model: totls
     `----
    hint: did you mean `totals`?
    "#);
}

#[test]
fn an_unknown_key_of_a_seed() {
    let project = Project::small().with(
        "seeds/seeds.yml",
        "seeds:\n  - name: orders\n    config:\n      column_type: {id: int}\n",
    );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `column_type` in the `config` of seed `orders`
     ,-[seeds/seeds.yml:4:7]
     3 |     config:
     4 |       column_type: {id: int}
     :       ^^^^^^^^^^^
     `----
    hint: did you mean `column_types`?
    "#);
}

#[test]
fn an_unknown_type_of_a_seeds_column() {
    let project = Project::small().with(
        "seeds/seeds.yml",
        "seeds:\n  - name: orders\n    config:\n      column_types: {id: inteegr}\n",
    );
    assert_output!(project.run(&["seed", "-q"]), @r#"
    exit: 1
    --- stdout
    [1/1] ERROR seed main.orders: [TIME]
    PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    error: seed `seeds/orders.csv`, `column_types` of `id`: `inteegr` is not a type that is known
    `-> This feature is not implemented: Unsupported SQL type inteegr
     ,-[seeds/seeds.yml:2:5]
     1 | seeds:
     2 |   - name: orders
     :     ^
     3 |     config:
     `----
    "#);
}

#[test]
fn an_unknown_key_of_a_macro() {
    let project = Project::small().with(
        "macros/macros.yml",
        "macros:\n  - name: m\n    descripton: x\n",
    );
    assert_output!(project.run(&["ls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unknown key `descripton` in macro `m`
     ,-[macros/macros.yml:3:5]
     2 |   - name: m
     3 |     descripton: x
     :     ^^^^^^^^^^
     `----
    hint: did you mean `description`?
    "#);
}

#[test]
fn a_described_model_that_is_not_there_is_a_warning() {
    let project =
        Project::small().with("models/schema.yml", "models:\n  - name: large_ordrs\n");
    assert_output!(project.run(&["ls", "-s", "totals"]), @r#"
    exit: 0
    --- stdout
    shop.totals
    --- stderr
    warning: model `large_ordrs` is described but does not exist
     ,-[models/schema.yml:2:5]
     1 | models:
     2 |   - name: large_ordrs
     :     ^
     `----
    hint: did you mean `large_orders`?
    "#);
}
