//! Whole small projects in a temporary folder, and every kind of mistake in one.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::runner::error::{ErrorKind, RunnerError};

struct Folder(TempDir);

/// A project of these files; `dbt_project.yml` is there unless given.
fn folder(files: &[(&str, &str)]) -> Folder {
    let folder = Folder(tempfile::tempdir().unwrap());
    folder.write("dbt_project.yml", "name: shop\n");
    for (path, text) in files {
        folder.write(path, text);
    }
    folder
}

impl Folder {
    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn options(&self) -> LoadOptions {
        LoadOptions {
            project_dir: self.root(),
            current_dir: self.root().join("elsewhere"),
            ..LoadOptions::default()
        }
    }

    fn load(&self) -> Project {
        load(&self.options()).unwrap()
    }

    fn error(&self) -> RunnerError {
        load(&self.options()).unwrap_err()
    }
}

/// `file:line:column message (hint)`.
fn shown(error: &RunnerError) -> String {
    let place = error.location().map_or_else(String::new, |at| {
        format!("{}:{}:{} ", at.file.display(), at.line, at.column)
    });
    let hint = error.hint().map_or_else(String::new, |h| format!(" ({h})"));
    format!("{place}{}{hint}", error.message())
}

/// The error of a project with these files.
fn wrong(files: &[(&str, &str)]) -> String {
    shown(&folder(files).error())
}

/// The error of a project with one model `visits` and this property file.
fn wrong_properties(text: &str) -> String {
    wrong(&[("models/visits.sql", "select 1"), ("models/p.yml", text)])
}

fn values(config: &ConfigMap) -> Value {
    Value::Object(config.values.clone())
}

#[test]
fn a_whole_project_is_read() {
    let folder = folder(&[
        (
            "dbt_project.yml",
            "name: shop\nversion: 1.0\nconfig-version: 2\nprofile: shop\n\
             vars:\n  gap: 30\n  empty:\n  shop:\n    gap: 60\n    own: [1, 2]\n\
             models:\n  +materialized: view\n  shop:\n    +tags: all\n    staging:\n      \
             +materialized: table\n      tags: [raw]\n      +meta: {owner: me}\n",
        ),
        (
            "profiles.yml",
            "shop:\n  target: dev\n  outputs:\n    dev:\n      type: sessionize\n      \
             schema: web\n      threads: 2\n      location: out/tables\n      memory_limit: 1GB\n",
        ),
        ("models/staging/visits.sql", "select 1"),
        ("models/top.sql", "select 2"),
        (
            "models/staging/p.yml",
            "version: 2\nmodels:\n  - name: visits\n    description: all visits\n    config:\n      \
             tags: [daily, raw]\n      meta: {level: 1}\n    columns:\n      - name: id\n        \
             data_type: bigint\n        data_tests: [unique, {not_null: {where: id > 0}}]\n",
        ),
        ("seeds/geo/countries.csv", "a,b\n1,2\n"),
        ("macros/m.sql", "{% macro m() %}{% endmacro %}"),
        ("tests/no_bots.sql", "select 1"),
        ("tests/generic/even.sql", "{% test even() %}{% endtest %}"),
        (".hidden/x.sql", ""),
        ("models/.x.sql", ""),
    ]);
    let mut options = folder.options();
    options.vars.insert("gap".into(), json!(90));
    let project = load(&options).unwrap();
    assert_eq!(project.name, "shop");
    assert_eq!(project.version.as_deref(), Some("1.0"));
    assert_eq!(
        Value::Object(project.vars.clone()),
        json!({"gap": 90, "empty": null, "own": [1, 2]})
    );
    assert_eq!(project.cli_vars, ["gap"]);
    assert_eq!(project.target.threads, 2);
    assert_eq!(project.target.schema, "web");
    assert_eq!(project.target.memory_limit.as_deref(), Some("1GB"));
    let out = folder.root().join("out/tables");
    assert_eq!(project.target.location, out.display().to_string());
    let [visits, top] = project.models.as_slice() else {
        panic!("{:?}", project.models)
    };
    assert_eq!(visits.fqn, ["shop", "staging", "visits"]);
    assert_eq!(
        values(&visits.config),
        json!({"materialized": "table", "tags": ["all", "raw", "daily"],
               "meta": {"owner": "me", "level": 1}})
    );
    assert_eq!(visits.config.locations["materialized"].line, 16);
    assert_eq!(visits.properties.description, "all visits");
    let column = &visits.properties.columns[0];
    assert_eq!(column.data_type.as_deref(), Some("bigint"));
    assert_eq!(column.data_tests[0].test, "unique");
    assert_eq!(
        values(&column.data_tests[1].config),
        json!({"where": "id > 0"})
    );
    assert_eq!(
        values(&top.config),
        json!({"materialized": "view", "tags": ["all"]})
    );
    assert_eq!(project.seeds[0].fqn, ["shop", "geo", "countries"]);
    assert_eq!(project.macros.len(), 2);
    assert_eq!(project.singular_tests[0].name, "no_bots");
    assert!(project.warnings.is_empty(), "{:?}", project.warnings);
}

#[test]
fn without_profiles_there_is_a_default_target() {
    let folder = folder(&[]);
    let target = folder.load().target;
    assert_eq!((target.name.as_str(), target.threads), ("dev", 4));
    let tables = folder.root().join("target/tables");
    assert_eq!(target.location, tables.display().to_string());
}

#[test]
fn unknown_keys_are_errors_with_a_place_and_a_suggestion() {
    assert_eq!(
        wrong(&[("dbt_project.yml", "name: shop\nmodel-pathes: [models]\n")]),
        "dbt_project.yml:2:1 unknown key `model-pathes` in `dbt_project.yml` \
         (did you mean `model-paths`?)"
    );
    assert_eq!(
        wrong_properties("models:\n  - name: visits\n    descripton: x\n"),
        "models/p.yml:3:5 unknown key `descripton` in model `visits` \
         (did you mean `description`?)"
    );
    assert_eq!(
        wrong_properties(
            "models:\n  - name: visits\n    config: {materialised: table}\n"
        ),
        "models/p.yml:3:14 unknown key `materialised` in the `config` of model `visits` \
         (did you mean `materialized`?)"
    );
}

#[test]
fn wrong_types_are_errors_with_a_place() {
    assert_eq!(
        wrong_properties("models:\n  - name: visits\n    columns: id\n"),
        "models/p.yml:3:14 `columns` must be a list, found the string `id`"
    );
    assert_eq!(
        wrong_properties("models:\n  visits:\n    description: x\n"),
        "models/p.yml:2:3 `models` must be a list, found a map"
    );
    assert_eq!(
        wrong_properties("models:\n  - name: visits\n    config: {enabled: soon}\n"),
        "models/p.yml:3:23 `enabled` must be true or false, found the string `soon`"
    );
    assert_eq!(
        wrong_properties("models:\n  - description: x\n"),
        "models/p.yml:2:5 a model needs `name`"
    );
}

#[test]
fn broken_yaml_names_its_line() {
    let error = wrong_properties("models:\n  - name: \"visits\n");
    assert!(error.starts_with("models/p.yml:"), "{error}");
    assert!(error.contains("not valid YAML"), "{error}");
    assert_eq!(
        wrong_properties("models:\n  - name: visits\n    name: other\n"),
        "models/p.yml:3:5 `name` is written twice in the same map"
    );
    assert_eq!(
        wrong_properties("version: 2\n---\nversion: 2\n"),
        "models/p.yml:2:1 found a second YAML document, expected one to a file"
    );
}

#[test]
fn the_place_is_counted_in_characters_and_marks_the_key() {
    let files = [("models/p.yml", "# ü\nmodels: [{name: é, wat: 1}]\n")];
    let error = folder(&files).error();
    let at = error.location().unwrap();
    assert_eq!((at.line, at.column, at.length), (2, 20, 3));
    assert_eq!(&*at.text, files[0].1);
}

#[test]
fn scalars_have_the_types_that_dbt_gives_them() {
    let text = "name: shop\nvars: {a: yes, b: y, c: 12e34, d: 1.5, e: 007, f: '1', \
                g: 2024-03-01, h: null, i: 30 * 60, j: 9999999999e9999, k: -3}\n";
    let vars = folder(&[("dbt_project.yml", text)]).load().vars;
    assert_eq!(
        Value::Object(vars),
        json!({"a": true, "b": "y", "c": "12e34", "d": 1.5, "e": "007", "f": "1",
               "g": "2024-03-01", "h": null, "i": "30 * 60", "j": "9999999999e9999",
               "k": -3})
    );
}

#[test]
fn a_mark_and_windows_line_ends_are_no_mistake() {
    let folder = folder(&[("models/visits.sql", "\u{feff}select 1\r\nfrom x\r\n")]);
    folder.write(
        "models/p.yml",
        "\u{feff}models:\r\n- name: visits\r\n  wat: 1\r\n",
    );
    assert_eq!(
        shown(&folder.error()).split(' ').next(),
        Some("models/p.yml:3:3")
    );
    folder.write("models/p.yml", "\r\n");
    assert_eq!(&*folder.load().models[0].file.text, "select 1\nfrom x\n");
}

#[test]
fn a_file_that_is_not_text_is_named() {
    let folder = folder(&[]);
    folder.write("models/visits.sql", b"select '\xff'");
    assert_eq!(
        shown(&folder.error()),
        "`models/visits.sql` is not UTF-8 text (byte 8) (save the file as UTF-8)"
    );
}

#[test]
fn a_folder_without_a_project_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let options = LoadOptions {
        project_dir: empty.path().to_owned(),
        ..LoadOptions::default()
    };
    let error = shown(&load(&options).unwrap_err());
    assert!(
        error.contains("there is no `dbt_project.yml` in"),
        "{error}"
    );
    assert!(error.contains("sessionize init"), "{error}");
}

#[test]
fn what_dbt_has_and_this_has_not_is_refused_by_name() {
    let cases = [
        (
            "on-run-end: ['select 1']",
            "2:1 `on-run-end` in `dbt_project.yml`",
        ),
        (
            "query-comment: x",
            "2:1 `query-comment` in `dbt_project.yml`",
        ),
        (
            "dispatch: [{macro_namespace: x}]",
            "2:1 `dispatch` in `dbt_project.yml`",
        ),
        (
            "quoting: {identifier: false}",
            "2:23 `identifier: false` in `quoting`",
        ),
        (
            "flags: {full_refresh: true}",
            "2:9 `full_refresh` in `flags`",
        ),
        (
            "models: {+pre-hook: x}",
            "2:10 `pre-hook` in the configuration of `models`",
        ),
        ("models: {vars: {a: 1}}", "2:10 `vars` in `models`"),
    ];
    for (line, expected) in cases {
        let text = format!("name: shop\n{line}\n");
        let error = wrong(&[("dbt_project.yml", &text)]);
        let expected = format!("dbt_project.yml:{expected} is not supported");
        assert!(error.starts_with(&expected), "{error}");
    }
    let nothing = "name: shop\non-run-end: []\nquery-comment:\nflags: {}\n\
                   models: {+contract: {enforced: false}, +pre-hook: ''}\n";
    assert!(
        folder(&[("dbt_project.yml", nothing)])
            .load()
            .models
            .is_empty()
    );
}

#[test]
fn resources_that_are_not_supported_are_refused_by_name() {
    let cases = [
        ("metrics: [{name: x}]", "1:1 `metrics` in `models/p.yml`"),
        (
            "models: [{name: a, versions: [{v: 1}]}]",
            "1:20 `versions` in model `a`",
        ),
        (
            "models: [{name: a, constraints: [{type: x}]}]",
            "1:20 `constraints` in model `a`",
        ),
        (
            "models: [{name: a, data_tests: [{unique: {store_failures: true}}]}]",
            "1:43 `store_failures` in test `unique` of model `a`",
        ),
        (
            "sources: [{name: s, tables: [{name: t, external: {location: x}}]}]",
            "1:40 `external` in source table `t`",
        ),
    ];
    for (text, expected) in cases {
        let error = wrong_properties(text);
        let expected = format!("models/p.yml:{expected} is not supported");
        assert!(error.starts_with(&expected), "{error}");
    }
    let snapshot = wrong(&[("snapshots/s.sql", "{% snapshot s %}")]);
    assert!(
        snapshot.starts_with("snapshots/s.sql:1:1 `snapshots/s.sql`: snapshots are not"),
        "{snapshot}"
    );
    let python = wrong(&[("models/m.py", "")]);
    assert!(
        python.starts_with("`models/m.py` is a Python model"),
        "{python}"
    );
}

#[test]
fn only_built_in_packages_are_accepted() {
    let utils = "packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.1.1\n";
    let loaded = folder(&[("packages.yml", utils)]);
    // the rest of a package's keys changes nothing
    assert!(load(&loaded.options()).is_ok());
    let other = "packages:\n  - package: dbt-labs/codegen\n    version: 1.0.0\n";
    let error = wrong(&[("packages.yml", other)]);
    assert!(
        error
            .starts_with("packages.yml:2:14 package `dbt-labs/codegen` is not supported"),
        "{error}"
    );
}

#[test]
fn names_are_unique_among_models_and_seeds() {
    let error = wrong(&[("models/a/x.sql", ""), ("seeds/x.csv", "a\n")]);
    assert!(
        error.starts_with(
            "two files have the name `x`: `models/a/x.sql` and `seeds/x.csv`"
        ),
        "{error}"
    );
    let error = wrong(&[("models/a b.sql", "")]);
    assert!(
        error.starts_with("`models/a b.sql`: `a b` cannot be a name"),
        "{error}"
    );
    let error = wrong_properties("models: [{name: visits}, {name: visits}]");
    assert!(
        error.contains("`visits` is described twice, first in `models/p.yml` line 1")
    );
}

#[test]
fn what_describes_nothing_is_a_warning() {
    let folder = folder(&[
        (
            "dbt_project.yml",
            "name: shop\nclean-targets: [target, models, ..]\n\
             models:\n  shop:\n    stagin: {+tags: x}\n",
        ),
        ("models/staging/visits.sql", ""),
        ("models/p.yml", "models: [{name: visit}]"),
    ]);
    let project = folder.load();
    let warnings: Vec<String> = project.warnings.iter().map(|w| shown(w)).collect();
    assert_eq!(
        warnings,
        [
            "dbt_project.yml:2:16 `clean` leaves `models` alone: it holds files of the project",
            "dbt_project.yml:2:16 `clean` leaves `..` alone: it lies outside the project",
            "dbt_project.yml:5:5 `stagin` in `models` configures nothing (did you mean `staging`?)",
            "models/p.yml:1:10 model `visit` is described but does not exist \
             (did you mean `visits`?)",
        ]
    );
    assert_eq!(project.clean_targets, [folder.root().join("target")]);
}

const PROFILES: &str = "shop:\n  target: dev\n  outputs:\n    dev: {type: sessionize}\n    \
                        prod: {type: duckdb, path: data/x.duckdb, extensions: [httpfs]}\n";

fn with_profiles(profiles: &str) -> Folder {
    folder(&[
        ("dbt_project.yml", "name: shop\nprofile: shop\n"),
        ("profiles.yml", profiles),
    ])
}

#[test]
fn a_profile_that_is_not_there_is_an_error() {
    assert_eq!(
        wrong(&[
            ("dbt_project.yml", "name: a\nprofile: shopp\n"),
            ("profiles.yml", PROFILES)
        ]),
        "dbt_project.yml:2:10 there is no profile `shopp` in `profiles.yml` \
         (did you mean `shop`?)"
    );
    let error = wrong(&[("dbt_project.yml", "name: a\nprofile: shop\n")]);
    assert!(
        error.starts_with("dbt_project.yml:2:10 there is no `profiles.yml` in"),
        "{error}"
    );
    let folder = with_profiles(PROFILES);
    let mut options = folder.options();
    options.target = Some("production".into());
    let error = load(&options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(
        shown(&error),
        "profiles.yml:4:5 there is no target `production` in the profile's `outputs` \
         (targets there: `dev`, `prod`)"
    );
}

#[test]
fn the_command_line_wins_over_the_profile() {
    let folder = with_profiles(PROFILES);
    let mut options = folder.options();
    options.target = Some("prod".into());
    let target = load(&options).unwrap().target;
    assert_eq!(
        target.location,
        folder.root().join("data").display().to_string()
    );
    assert_eq!(target.raw["extensions"], json!(["httpfs"]));
    options.location = Some("out".into());
    options.threads = Some(7);
    let target = load(&options).unwrap().target;
    let out = folder.root().join("elsewhere/out");
    assert_eq!(
        (target.location, target.threads),
        (out.display().to_string(), 7)
    );
    options.location = Some("s3://bucket/x".into());
    assert_eq!(load(&options).unwrap().target.location, "s3://bucket/x");
}

#[test]
fn a_target_is_checked() {
    let error = |output: &str| {
        let text = format!("shop:\n  target: dev\n  outputs:\n    dev: {output}\n");
        shown(&with_profiles(&text).error())
    };
    assert_eq!(
        error("{type: sessionize, shema: x}"),
        "profiles.yml:4:29 unknown key `shema` in target `dev` (did you mean `schema`?)"
    );
    assert_eq!(
        error("{type: sessionize, threads: none}"),
        "profiles.yml:4:38 `threads` must be a whole number from 1, found the string `none`"
    );
    assert!(error("{type: postgres}").starts_with(
        "profiles.yml:4:17 `type: postgres` is not supported (expected `sessionize`"
    ));
    assert_eq!(
        error("{schema: x}"),
        "profiles.yml:4:10 target `dev` needs `type`"
    );
}

#[test]
fn sources_inherit_and_override() {
    let text = "sources:\n  - name: web\n    schema: raw\n    tags: [a]\n    \
                meta: {external_location: 'data/{name}.parquet', owner: me}\n    \
                freshness: {warn_after: {count: 1, period: day}}\n    tables:\n      \
                - name: pages\n        tags: [b]\n      - name: clicks\n        \
                identifier: clicks_v2\n        config: {external_location: other.csv, format: csv}\n";
    let folder = folder(&[
        (
            "dbt_project.yml",
            "name: shop\nsources: {shop: {+tags: [z], +enabled: false}}\n",
        ),
        ("models/s/p.yml", text),
    ]);
    let project = folder.load();
    let [pages, clicks] = project.sources.as_slice() else {
        panic!("{:?}", project.sources)
    };
    assert_eq!(pages.fqn, ["shop", "s", "web", "pages"]);
    let location = pages.external_location.clone().unwrap();
    assert_eq!(location.value, "data/{name}.parquet");
    assert_eq!((location.location.line, location.location.column), (5, 31));
    assert_eq!(pages.config.values["tags"], json!(["z", "a", "b"]));
    assert_eq!(pages.config.values["enabled"], json!(false));
    assert_eq!(pages.config.values["schema"], json!("raw"));
    assert_eq!(clicks.identifier, "clicks_v2");
    assert_eq!(clicks.external_location.clone().unwrap().value, "other.csv");
    assert_eq!(clicks.config.values["format"], json!("csv"));
    let warnings: Vec<String> = project.warnings.iter().map(|w| shown(w)).collect();
    assert_eq!(
        warnings,
        ["models/s/p.yml:6:16 `freshness` of source `web` is not checked"]
    );
}

#[test]
fn data_tests_are_read_in_every_form() {
    let text = "models:\n  - name: visits\n    tests:\n      - unique_pair: {columns: [a, b]}\n    \
                columns:\n      - name: id\n        data_tests:\n          - not_null\n          \
                - accepted_values:\n              name: known\n              \
                arguments: {values: [1, 2]}\n              severity: warn\n              \
                config: {limit: 5}\n          - {name: long, test_name: relationships, to: x}\n";
    let folder = folder(&[
        (
            "dbt_project.yml",
            "name: shop\ndata_tests: {shop: {+severity: error, +tags: t}}\n",
        ),
        ("models/visits.sql", ""),
        ("models/p.yml", text),
    ]);
    let project = folder.load();
    let properties = &project.models[0].properties;
    let pair = &properties.data_tests[0];
    assert_eq!((pair.test.as_str(), pair.location.line), ("unique_pair", 4));
    let [not_null, values_test, long] = properties.columns[0].data_tests.as_slice()
    else {
        panic!("{properties:?}")
    };
    assert_eq!(
        values(&not_null.config),
        json!({"severity": "error", "tags": ["t"]})
    );
    assert_eq!(values_test.name.as_deref(), Some("known"));
    assert_eq!(values_test.arguments["values"], json!([1, 2]));
    assert_eq!(
        values(&values_test.config),
        json!({"severity": "warn", "tags": ["t"], "limit": 5})
    );
    assert_eq!(
        (long.test.as_str(), long.name.as_deref()),
        ("relationships", Some("long"))
    );
    assert_eq!(long.arguments["to"], json!("x"));
    assert_eq!(
        wrong_properties("models: [{name: visits, tests: [{unique:, config: {}}]}]"),
        "models/p.yml:1:33 a test of model `visits` must have one name \
         (write `- name: {argument: value}`; arguments are indented below the name)"
    );
}

#[test]
fn unit_tests_are_read_in_every_format() {
    let text = "unit_tests:\n  - name: counts\n    model: visits\n    given:\n      \
                - input: ref('a')\n        rows: [{x: 1}, {y: '2'}]\n      \
                - input: source('s', 't')\n        format: csv\n        fixture: rows\n      \
                - input: this\n        format: sql\n        rows: select 1\n    \
                expect: {rows: []}\n    overrides:\n      vars: {v: 1}\n      \
                macros: {is_incremental: true}\n";
    let files = [
        ("models/visits.sql", ""),
        ("models/a/p.yml", text),
        ("tests/fixtures/deep/rows.csv", "a,b\n1,2\n"),
    ];
    let test = folder(&files).load().unit_tests.remove(0);
    assert_eq!(test.fqn, ["shop", "a", "visits", "counts"]);
    let [dict, csv, sql] = test.given.as_slice() else {
        panic!("{test:?}")
    };
    assert!(matches!(&dict.rows, UnitTestRows::Dict(rows)
        if json!(rows) == json!([{"x": 1}, {"y": "2"}])));
    assert!(matches!(&csv.rows, UnitTestRows::Csv(text) if text == "a,b\n1,2\n"));
    assert!(matches!(&sql.rows, UnitTestRows::Sql(text) if text == "select 1"));
    assert_eq!(test.macros["is_incremental"], json!(true));
    let wrong_test = |body: &str| {
        let text = format!("unit_tests:\n- name: t\n  model: {body}\n");
        wrong_properties(&text)
    };
    assert_eq!(
        wrong_test("visit\n  expect: {}"),
        "models/p.yml:2:3 unit test `t` is of model `visit`, which does not exist \
         (did you mean `visits`?)"
    );
    assert_eq!(
        wrong_test("visits\n  expect: {format: cvs}"),
        "models/p.yml:4:20 unknown format `cvs` (expected one of `csv`, `dict`, `sql`)"
    );
    let missing = wrong_test("visits\n  expect: {format: csv, fixture: no}");
    assert!(
        missing.starts_with("models/p.yml:4:34 there is no fixture `no.csv`"),
        "{missing}"
    );
}

#[test]
fn the_pack_is_a_project_of_this_kind() {
    let options = LoadOptions {
        project_dir: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sql"),
        ..LoadOptions::default()
    };
    let project = load(&options).unwrap();
    assert!(project.warnings.is_empty(), "{:?}", project.warnings);
    assert!(project.models.iter().any(|m| m.name == "sessions"));
}
