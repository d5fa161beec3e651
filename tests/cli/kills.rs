//! Runs that are killed at any time, and runs that meet: tables are their old or their new
//! version, whole, and the next run gives what a full refresh gives.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::Project;

const KILLS: u32 = 50;
const RACES: u32 = 20;

/// A model by key over a lake, one over that, and a table that is built whole.
fn shop() -> Project {
    Project::empty()
        .with(
            "models/schema.yml",
            "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n          external_location: lake\n",
        )
        .with(
            "models/totals.sql",
            "{{ config(materialized='incremental', unique_key='visitor') }}\n\
             select visitor, count(*) as events, sum(amount) as amount\n\
             from {{ source('raw', 'events') }} group by visitor\n",
        )
        .with(
            "models/regulars.sql",
            "{{ config(materialized='incremental', unique_key='visitor') }}\n\
             select visitor, events from {{ ref('totals') }} where events > 1\n",
        )
        .with(
            "models/summary.sql",
            "{{ config(materialized='table') }}\n\
             select count(*) as visitors, sum(amount) as amount from {{ ref('totals') }}\n",
        )
        .with("lake/a.csv", "visitor,amount\nada,1\nbob,2\nada,3\neve,4\n")
}

const NEW: &str = "visitor,amount\nbob,5\ncyd,6\nbob,7\n";

const ROWS: &str = "
    select 'totals ' || visitor || ' ' || events || ' ' || amount as line from totals
    union all select 'regulars ' || visitor || ' ' || events from regulars
    union all select 'summary ' || visitors || ' ' || amount from summary
    order by line";

/// The rows of every table.
type Tables = BTreeMap<String, Vec<String>>;

fn read(project: &Project) -> Tables {
    let text = project.run(&["query", "-q", ROWS, "--format", "csv"]);
    assert!(text.starts_with("exit: 0"), "{text}");
    let mut tables = Tables::new();
    for line in text.lines().filter(|l| l.contains(' ')) {
        let Some((table, row)) = line.trim_matches('"').split_once(' ') else {
            continue;
        };
        if ["totals", "regulars", "summary"].contains(&table) {
            let rows = tables.entry(table.to_owned()).or_default();
            rows.push(row.to_owned());
        }
    }
    tables
}

fn built(project: &Project) -> String {
    let text = project.run(&["run"]);
    assert!(text.starts_with("exit: 0"), "{text}");
    text
}

fn started(project: &Project, arguments: &[&str]) -> Child {
    project
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

/// A first version of all tables, and the files for a second one.
struct Case {
    project: Project,
    old: Tables,
    new: Tables,
    length: Duration,
}

impl Case {
    fn new() -> Self {
        let project = shop();
        built(&project);
        copy(&project.path("tables"), &project.path("saved"));
        let old = read(&project);
        let project = project.with("lake/b.csv", NEW);
        let since = Instant::now();
        let text = built(&project);
        let length = since.elapsed();
        assert!(text.contains("updated by key"), "{text}");
        let new = read(&project);
        assert_ne!(old["totals"], new["totals"]);
        assert_ne!(old["regulars"], new["regulars"]);
        Self {
            project,
            old,
            new,
            length,
        }
    }

    fn reset(&self) {
        fs::remove_dir_all(self.project.path("tables")).expect("it is there");
        copy(&self.project.path("saved"), &self.project.path("tables"));
    }

    /// Whether nothing of the killed run was seen.
    fn killed_after(&self, delay: Duration) -> bool {
        self.reset();
        let mut child = started(&self.project, &["run"]);
        sleep(delay);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let found = read(&self.project);
        for (table, rows) in &found {
            let whole = *rows == self.old[table] || *rows == self.new[table];
            assert!(whole, "`{table}` after {delay:?}: {rows:?}");
        }
        built(&self.project);
        assert_eq!(read(&self.project), self.new, "after {delay:?}");
        found == self.old
    }
}

/// Delays that are spread over the length of a run, dealt out to two projects side by side.
#[test]
fn a_kill_at_any_time_leaves_whole_tables() {
    let deal = |first: u32| {
        let case = Case::new();
        let delays = (first..KILLS).step_by(2);
        let delays = delays.map(|number| case.length * number / (KILLS - 1));
        let ends: Vec<_> = delays.map(|delay| case.killed_after(delay)).collect();
        // otherwise the kills came too late, or too early, to say anything
        assert!(ends.iter().any(|old| *old), "{ends:?}");
        assert!(ends.iter().any(|old| !*old), "{ends:?}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| deal(0));
        scope.spawn(|| deal(1));
    });
}

/// What a run that was overtaken may say; it names the model and what to do.
fn excusable(output: &Output) -> bool {
    let told = String::from_utf8_lossy(&output.stderr);
    let named = ["`totals`", "`regulars`", "`summary`"]
        .iter()
        .any(|name| told.contains(name));
    output.status.code() == Some(1) && named && told.contains("run it again")
}

#[test]
fn two_runs_at_once_end_as_one() {
    let case = Case::new();
    for round in 0..RACES {
        match round % 2 {
            0 => case.reset(),
            _ => fs::remove_dir_all(case.project.path("tables")).expect("it is there"),
        }
        let runs = [0, 1].map(|_| started(&case.project, &["run"]));
        let ended = runs.map(|run| run.wait_with_output().expect("it ends"));
        let good = ended.iter().filter(|o| o.status.success()).count();
        assert!(good >= 1, "round {round}: {ended:?}");
        for output in ended.iter().filter(|o| !o.status.success()) {
            assert!(excusable(output), "round {round}: {output:?}");
        }
        assert_eq!(read(&case.project), case.new, "round {round}");
        let text = built(&case.project);
        assert_eq!(text.matches("NO-OP").count(), 3, "round {round}: {text}");
    }
}
