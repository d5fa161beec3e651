//! Whole small projects in a temporary folder, and every kind of mistake in one.

mod files;
mod profiles;
mod properties;

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

/// A project with something of everything.
fn shop() -> Folder {
    folder(&[
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
    ])
}

#[test]
fn a_whole_project_is_read() {
    let folder = shop();
    let mut options = folder.options();
    options.vars.insert("gap".into(), json!(90));
    let project = load(&options).unwrap();
    assert_eq!(project.name, "shop");
    assert_eq!(project.version.as_deref(), Some("1.0"));
    assert_eq!(
        Value::Object(project.vars.clone()),
        json!({"gap": 90, "empty": null, "own": [1, 2]})
    );
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
fn the_pack_is_a_project_of_this_kind() {
    let options = LoadOptions {
        project_dir: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sql"),
        ..LoadOptions::default()
    };
    let project = load(&options).unwrap();
    assert!(project.warnings.is_empty(), "{:?}", project.warnings);
    assert!(project.models.iter().any(|m| m.name == "sessions"));
}
