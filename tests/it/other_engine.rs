//! Committed tables as another engine sees them: `deltalake` and `polars`, run by the Python
//! that `SESSIONIZE_TEST_PYTHON` names. Without it the test says that it is skipped.

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
    let Some(python) = std::env::var_os("SESSIONIZE_TEST_PYTHON") else {
        // past the capture of the test's output, so that nobody takes it for a pass
        let told = "\nSKIPPED: no other engine reads the tables; set SESSIONIZE_TEST_PYTHON \
                    to a Python with `deltalake` and `polars`\n";
        std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
        return;
    };
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
    fs::create_dir(folder.path().join("exports")).unwrap();
    for table in TABLES {
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
    let compare = compare.arg(script).current_dir(folder.path()).args(TABLES);
    let told = succeeds(compare);
    for table in TABLES {
        assert!(
            told.contains(&format!("{table}: same")),
            "{table} in: {told}"
        );
    }
}

fn sessionize(folder: &Path, arguments: &[&str]) -> String {
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
