//! What a run leaves behind that is stopped: by a signal, or without one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Project;

/// A table of `n` rows, after one that is ready at once; each run of `1e12` takes for ever.
fn endless() -> Project {
    Project::empty()
        .with("tmp/.keep", "")
        .with(
            "models/a_quick.sql",
            "{{ config(materialized='table') }}\nselect 1 as a\n",
        )
        .with(
            "models/numbers.sql",
            "{{ config(materialized='table') }}\n\
             select value + (select min(a) from {{ ref('a_quick') }}) as n\n\
             from generate_series(1, {{ var('n', 10) }})\n\
             {{ var('suffix', '') }}\n",
        )
}

const FOR_EVER: &str = "n: 1000000000000";

/// Starts a run and waits until `ready` says so or a second has passed after the first model.
fn started(
    project: &Project,
    vars: &str,
    more: &[&str],
    ready: fn(&Project) -> bool,
) -> Child {
    let vars = format!("{{{vars}}}");
    let arguments = [&["run", "--vars", &vars][..], more].concat();
    let mut child = project
        .command(&arguments)
        .env("TMPDIR", project.path("tmp"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let output = child.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(output).lines();
    let first = lines.next().expect("a line").expect("a line");
    assert!(first.contains("a_quick"), "{first}");
    let since = Instant::now();
    while !ready(project) {
        let patient = since.elapsed() < Duration::from_secs(60);
        assert!(patient, "the run did not come so far");
        sleep(Duration::from_millis(20));
    }
    std::thread::spawn(move || lines.for_each(drop));
    child
}

/// Sends the signal and waits: exit code, and how long it took.
fn stopped(mut child: Child, signal: &str) -> (Option<i32>, Duration) {
    let since = Instant::now();
    let id = child.id().to_string();
    let sent = Command::new("kill").args([signal, &id]).status();
    assert!(sent.expect("`kill` runs").success());
    let status = child.wait().expect("it ends");
    (status.code(), since.elapsed())
}

/// The files below a folder whose names are not those of whole files.
fn leftovers(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            found.extend(leftovers(&path));
        }
        if name.starts_with('.') && name != ".keep"
            || name.contains('#')
            || name.ends_with(".tmp")
        {
            found.push(name);
        }
    }
    found
}

fn statuses(project: &Project) -> Vec<(String, String)> {
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(project.path(name)).expect("the artifact");
        serde_json::from_str(&text).expect("JSON")
    };
    assert_eq!(
        read("target/manifest.json")["metadata"]["project_name"],
        "shop"
    );
    let results = read("target/run_results.json");
    let text = |v: &Value| v.as_str().expect("text").to_owned();
    let results = results["results"].as_array().expect("results").iter();
    let pairs = results.map(|r| (text(&r["unique_id"]), text(&r["status"])));
    pairs.collect()
}

fn rows(project: &Project, table: &str) -> String {
    let sql = format!("select count(*) as n from {table}");
    project.run(&["query", &sql, "--format", "csv"])
}

fn parts(project: &Project, table: &str) -> usize {
    let folder = fs::read_dir(project.path(&format!("tables/{table}")));
    let names = folder
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name());
    names
        .filter(|n| n.to_string_lossy().starts_with("part-"))
        .count()
}

fn building(project: &Project) -> bool {
    let log = |model: &str| project.path(&format!("tables/{model}/_delta_log")).is_dir();
    fs::read_dir(project.path("tables/numbers")).is_ok_and(|d| d.count() > 2)
        || (log("a_quick") && !log("numbers"))
}

fn assert_stopped(project: &Project, ended: (Option<i32>, Duration)) {
    assert_eq!(ended.0, Some(130));
    assert!(ended.1 < Duration::from_millis(2500), "{:?}", ended.1);
    assert_eq!(leftovers(&project.path("")), Vec::<String>::new());
    let spilled = fs::read_dir(project.path("tmp")).expect("the folder");
    assert_eq!(spilled.count(), 1, "only the file that was there before");
}

#[test]
fn a_signal_leaves_the_version_before_and_says_what_became_of_each() {
    let project = endless();
    assert!(project.run(&["run"]).starts_with("exit: 0"));
    for signal in ["-INT", "-TERM"] {
        let child = started(&project, FOR_EVER, &[], building);
        assert_stopped(&project, stopped(child, signal));
        let expected = [
            ("model.shop.a_quick", "success"),
            ("model.shop.numbers", "error"),
        ];
        let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(statuses(&project), expected);
        assert!(rows(&project, "numbers").contains("\n10\n"));
        assert_eq!(parts(&project, "numbers"), 1, "no file of the stopped run");
    }
    assert!(
        project
            .run(&["run", "--vars", "{n: 12}"])
            .starts_with("exit: 0")
    );
    assert!(rows(&project, "numbers").contains("\n12\n"));
}

#[test]
fn spilled_rows_are_removed() {
    let spilling = |p: &Project| leftovers_of_spill(p) > 0;
    let project = endless();
    let sorted = "n: 1000000000, suffix: 'order by -value'";
    let child = started(&project, sorted, &["--memory-limit", "48MB"], spilling);
    assert_stopped(&project, stopped(child, "-TERM"));
    assert!(!project.path("tables/numbers/_delta_log").exists());
}

fn leftovers_of_spill(project: &Project) -> usize {
    let entries = fs::read_dir(project.path("tmp")).expect("the folder");
    let folders = entries.flatten().filter(|e| e.path().is_dir());
    folders
        .map(|f| fs::read_dir(f.path()).map_or(0, Iterator::count))
        .sum()
}

/// Each model keeps a worker of the runtime busy for minutes without a pause, so that
/// nothing that relies on the runtime is heard.
#[test]
fn queries_that_never_pause_do_not_delay_it() {
    let mut project = endless();
    for name in ["b", "c", "d", "e"] {
        project = project.with(
            &format!("models/{name}.sql"),
            "{{ config(materialized='table') }}\n\
             select sum(levenshtein(repeat('a', 20000), repeat(cast(value as varchar), 9000)))\n\
             \x20 + (select min(a) from {{ ref('a_quick') }}) as n\n\
             from generate_series(1, 100000)\n",
        );
    }
    let select = ["--threads", "8", "--exclude", "numbers"];
    let child = started(&project, "n: 1", &select, |p| {
        let ready = p.path("tables/a_quick/_delta_log").is_dir();
        sleep(Duration::from_millis(500));
        ready
    });
    assert_stopped(&project, stopped(child, "-INT"));
    let statuses = statuses(&project);
    let errors = statuses
        .iter()
        .filter(|(_, status)| status == "error")
        .count();
    assert_eq!((statuses.len(), errors), (5, 4), "{statuses:?}");
}

#[test]
fn a_killed_run_leaves_the_version_before() {
    let project = endless();
    assert!(project.run(&["run"]).starts_with("exit: 0"));
    let child = started(&project, FOR_EVER, &[], building);
    assert_eq!(stopped(child, "-KILL").0, None);
    assert!(rows(&project, "numbers").contains("\n10\n"));
    assert!(
        project
            .run(&["run", "--vars", "{n: 12}"])
            .starts_with("exit: 0")
    );
    assert!(rows(&project, "numbers").contains("\n12\n"));
}
