//! Files, folders, YAML as such and `dbt_project.yml`.

use super::*;

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
        "models/p.yml:3:1 found a second YAML document, expected one to a file"
    );
}

#[test]
fn jinja_without_quotes_is_explained() {
    assert_eq!(
        wrong(&[("dbt_project.yml", "name: shop\nvars: {a: 1, b: {{ x }}}\n")]),
        "dbt_project.yml:2:18 a key must be text, found a map \
         (a value that starts with `{{` needs quotes)"
    );
    let vars = "name: shop\nvars: {1: a, true: b, ~: c}\n";
    let vars = folder(&[("dbt_project.yml", vars)]).load().vars;
    assert_eq!(
        Value::Object(vars),
        json!({"1": "a", "true": "b", "~": "c"})
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
            "2:10 `+pre-hook` in the configuration of `models`",
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
