//! Committed tables as another engine sees them: `deltalake` and `polars`, run by the Python
//! that `SESSIONIZE_TEST_PYTHON` names. Without it the test says that it is skipped.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Command;

const TABLES: [&str; 7] = [
    "referrer_mapping",
    "user_stitching",
    "page_views__sessionized",
    "page_views__rejected",
    "sessions__initial",
    "sessions__stitched",
    "sessions",
];

#[test]
fn another_engine_reads_what_our_query_exports() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    sessionize(folder.path(), &["init", "project"]);
    sessionize(&project, &["seed", "--location", "../tables"]);
    // two runs, so that tables have several files; then these are joined
    let lake = project.join("data/segment");
    let second = lake.join("dt=2024-01-13");
    fs::rename(&second, folder.path().join("later")).unwrap();
    sessionize(&project, &["run", "--location", "../tables"]);
    fs::rename(folder.path().join("later"), &second).unwrap();
    sessionize(&project, &["run", "--location", "../tables"]);
    let optimized = sessionize(&project, &["optimize", "--location", "../tables"]);
    assert!(
        optimized.contains("sessions: ") && optimized.contains(" -> 1 file ("),
        "{optimized}"
    );
    compare(&python, folder.path(), &TABLES);
}

const EVOLVED: &str = "
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='POLICY') }}
{% if is_incremental() %}
select t.k, cast(t.k as varchar) as g, t.k * 1.5 as w from (values (3), (4)) as t(k)
{% else %}
select t.k, t.k * 10 as g, 'x' as gone from (values (1), (2)) as t(k)
{% endif %}
";

#[test]
fn another_engine_reads_tables_whose_columns_have_changed() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    fs::create_dir_all(project.join("models")).unwrap();
    let profiles = "p: {outputs: {dev: {type: sessionize, location: ../tables}}}";
    let write = |name: &str, text: &str| fs::write(project.join(name), text).unwrap();
    write("dbt_project.yml", "{name: p, profile: p}");
    write("profiles.yml", profiles);
    let tables = ["append_new_columns", "sync_all_columns"];
    for policy in tables {
        let file = format!("models/{policy}.sql");
        write(&file, &EVOLVED.replace("POLICY", policy));
    }
    sessionize(&project, &["run"]);
    sessionize(&project, &["run"]);
    compare(&python, folder.path(), &tables);
}

/// The Python of the tests; nothing, and a word on it, if there is none.
pub(crate) fn python() -> Option<OsString> {
    let python = std::env::var_os("SESSIONIZE_TEST_PYTHON");
    if python.is_none() {
        // past the capture of the test's output, so that nobody takes it for a pass
        let told = "\nSKIPPED: no other engine reads the tables; set SESSIONIZE_TEST_PYTHON \
                    to a Python with `deltalake` and `polars`\n";
        std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
    }
    python
}

/// Exports the tables below `tables/` and compares them with what the other engine reads.
pub(crate) fn compare(python: &OsStr, folder: &Path, tables: &[&str]) {
    fs::create_dir(folder.join("exports")).unwrap();
    let project = folder.join("project");
    for table in tables {
        let query = format!("select * from {table}");
        let output = format!("../exports/{table}.parquet");
        sessionize(
            &project,
            &[
                "query",
                &query,
                "--location",
                "../tables",
                "--format",
                "parquet",
                "--output",
                &output,
            ],
        );
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/other_engine.py");
    let mut compare = Command::new(python);
    let told = succeeds(compare.arg(script).current_dir(folder).args(tables));
    for table in tables {
        assert!(
            told.contains(&format!("{table}: same")),
            "{table} in: {told}"
        );
    }
}

pub(crate) fn sessionize(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessionize"));
    succeeds(command.current_dir(folder).args(arguments).arg("--quiet"))
}

/// What the command prints; it must succeed.
fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}{errors}");
    told
}
