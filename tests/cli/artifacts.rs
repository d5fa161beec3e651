//! `manifest.json` and `run_results.json` against dbt's published schemas, by a parser that
//! takes no field the schemas do not have.

use std::process::Command;

use crate::support::Project;

const PARSE: &str = "\
import json, sys
from dbt_artifacts_parser.parser import parse_manifest_v12, parse_run_results_v6
manifest = parse_manifest_v12(json.load(open('target/manifest.json')))
results = parse_run_results_v6(json.load(open('target/run_results.json')))
nodes = set(manifest.nodes) | set(manifest.unit_tests)
assert {r.unique_id for r in results.results} <= nodes, 'a result of no node'
print(' '.join(sorted({r.status.value for r in results.results})))
";

/// A Python that has `dbt_artifacts_parser`.
fn python() -> Option<String> {
    let python = std::env::var("SESSIONIZE_TEST_PYTHON").ok()?;
    let found = Command::new(&python)
        .args(["-c", "import dbt_artifacts_parser"])
        .output();
    found.is_ok_and(|o| o.status.success()).then_some(python)
}

fn parsed(project: &Project, python: &str) -> String {
    let output = Command::new(python)
        .args(["-c", PARSE])
        .current_dir(project.path(""))
        .output()
        .expect("Python runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn artifacts_have_the_published_schemas() {
    let Some(python) = python() else {
        eprintln!(
            "SKIPPED: artifacts are not parsed: set SESSIONIZE_TEST_PYTHON to a Python with \
             the package `dbt-artifacts-parser`"
        );
        return;
    };
    let project = Project::small()
        .with(
            "macros/cents.sql",
            "{% macro cents(a) %}{{ a }} * 100{% endmacro %}\n",
        )
        .with("tests/none.sql", "select 1 as a where false\n")
        .with(
            "models/off.sql",
            "{{ config(enabled=false) }}\nselect 1 as a\n",
        )
        .with(
            "models/unit.yml",
            "unit_tests:\n\
             \x20 - name: only_large_ones\n\
             \x20   model: large_orders\n\
             \x20   given:\n\
             \x20     - input: ref('orders')\n\
             \x20       rows: [{id: 1, amount: 2}, {id: 2, amount: 3}]\n\
             \x20   expect:\n\
             \x20     rows: [{id: 2, amount: 3}]\n",
        )
        .with(
            "models/seen.sql",
            "select * from {{ source('raw', 'events') }}\n",
        );
    let built = project.run(&["build"]);
    assert!(built.starts_with("exit: 0"), "{built}");
    assert_eq!(parsed(&project, &python), "pass success");
    let project = project.with("seeds/orders.csv", "id,amount\n2,1\n2,2\n");
    let built = project.run(&["build"]);
    assert!(built.starts_with("exit: 1"), "{built}");
    assert_eq!(parsed(&project, &python), "fail pass skipped success");
    let project = project.with(
        "models/seen.sql",
        "select nope from {{ source('raw', 'events') }}\n",
    );
    let built = project.run(&["build"]);
    assert!(built.starts_with("exit: 1"), "{built}");
    assert_eq!(parsed(&project, &python), "error fail pass skipped success");
}
