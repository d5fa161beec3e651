//! Property files.

use super::*;

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
        "models/p.yml:4:20 unknown format `cvs` (did you mean `csv`?)"
    );
    let missing = wrong_test("visits\n  expect: {format: csv, fixture: nope}");
    assert!(
        missing.starts_with("models/p.yml:4:34 there is no fixture `nope.csv`"),
        "{missing}"
    );
}
