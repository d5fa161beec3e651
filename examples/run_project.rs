//! Builds a project through the library and prints the report.
//!
//! `cargo run --example run_project -- [PROJECT_DIR] [LOCATION]`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use datafusion_sessionize::runner::compile::{CompileOptions, Node, Selection, compile};
use datafusion_sessionize::runner::engine::{Engine, EngineOptions};
use datafusion_sessionize::runner::error::RunnerError;
use datafusion_sessionize::runner::project::{LoadOptions, load};
use datafusion_sessionize::runner::report::{result_line, summary_line};
use datafusion_sessionize::runner::run::{NodeResult, RunContext, RunObserver, run};
use datafusion_sessionize::runner::schedule::{Command, schedule};
use tokio::sync::watch;

/// Prints a line for each node that ended.
struct Printer;

impl RunObserver for Printer {
    fn started(&self, _node: &Node, _index: usize, _total: usize) {}

    fn progress(&self, _node: &Node, _rows: u64) {}

    fn finished(&self, result: &NodeResult, index: usize, total: usize) {
        println!("{}", result_line(result, index, total));
        if let Some(error) = &result.error {
            println!("  {}", described(error));
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let current_dir = std::env::current_dir()?;
    let project_dir = arguments.next().unwrap_or_else(|| "sql".to_owned());
    let (location, temporary) = place(&current_dir, arguments.next());
    let failed = build(current_dir.join(project_dir), current_dir, location).await;
    if let Some(folder) = temporary {
        std::fs::remove_dir_all(folder).ok();
    }
    match failed {
        Ok(0) => Ok(()),
        Ok(n) => Err(format!("{n} nodes did not end well").into()),
        Err(error) => Err(described(&error).into()),
    }
}

/// The folder of the tables, and the one to remove afterwards.
fn place(current_dir: &Path, given: Option<String>) -> (String, Option<PathBuf>) {
    match given {
        Some(given) => (current_dir.join(given).display().to_string(), None),
        None => {
            let name = format!("run_project.{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            (folder.display().to_string(), Some(folder))
        }
    }
}

/// Loads, compiles, schedules and runs; says how many nodes did not end well.
async fn build(
    project_dir: PathBuf,
    current_dir: PathBuf,
    location: String,
) -> Result<usize, RunnerError> {
    let options = LoadOptions {
        project_dir,
        current_dir,
        location: Some(location),
        env: std::env::vars().collect(),
        ..LoadOptions::default()
    };
    let project = Arc::new(load(&options)?);
    let engine = Engine::try_new(Arc::clone(&project), &EngineOptions::default())?;
    let now = Utc::now();
    let compile_options = CompileOptions {
        run_started_at: now.to_rfc3339(),
        invocation_id: "run-project".to_owned(),
        command: "build".to_owned(),
        ..CompileOptions::default()
    };
    let threads = project.target.threads;
    let dag = Arc::new(compile(project, &compile_options, &engine).await?);
    engine.register(&dag)?;
    let (_keep, cancelled) = watch::channel(false);
    let context = RunContext {
        run_id: compile_options.invocation_id,
        started_at: now,
        threads,
        fail_fast: false,
        full_refresh: false,
        cancelled,
    };
    let tasks = schedule(dag, Command::Build, &Selection::default())?;
    let total = tasks.tasks.len();
    let results = run(tasks, engine, context, Arc::new(Printer)).await;
    println!("\n{}", summary_line(&results));
    let well = |r: &&NodeResult| {
        use datafusion_sessionize::runner::run::Status::{Pass, Success, Warn};
        matches!(r.status, Success | Pass | Warn)
    };
    Ok(total - results.results.iter().filter(well).count())
}

/// `file:line:column: message (hint)`.
fn described(error: &RunnerError) -> String {
    let place = error
        .location()
        .map(|l| format!("{}:{}:{}: ", l.file.display(), l.line, l.column));
    let hint = error.hint().map(|h| format!(" ({h})"));
    let (place, hint) = (place.unwrap_or_default(), hint.unwrap_or_default());
    format!("{place}{error}{hint}")
}
