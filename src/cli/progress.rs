//! A run's progress: one line a node, live bars on a terminal, JSON events when asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use datafusion_sessionize::runner::compile::{Materialized, Node, NodeId, NodeKind};
use datafusion_sessionize::runner::error::{ErrorKind, RunnerError};
use datafusion_sessionize::runner::run::{NodeResult, RunObserver, RunResults, Status};

use super::printer::{Level, Printer};

/// Prints what a run does.
#[derive(Debug)]
pub(crate) struct Progress {
    printer: Arc<Printer>,
    bars: Mutex<HashMap<NodeId, ProgressBar>>,
}

impl Progress {
    /// Progress that goes to `printer`.
    pub(crate) fn new(printer: Arc<Printer>) -> Self {
        Self {
            printer,
            bars: Mutex::default(),
        }
    }

    fn bars(&self) -> MutexGuard<'_, HashMap<NodeId, ProgressBar>> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunObserver for Progress {
    fn started(&self, node: &Node, index: usize, total: usize) {
        let Some(bars) = self.printer.bars() else {
            return;
        };
        let bar = bars.add(ProgressBar::new_spinner());
        let style = ProgressStyle::with_template("{spinner} {prefix} {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(format!("[{}] {}", place(index, total), title(node)));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bars().insert(NodeId::clone(&node.id), bar);
    }

    fn progress(&self, node: &Node, rows: u64) {
        if let Some(bar) = self.bars().get(&node.id) {
            bar.set_message(count(rows, "row"));
        }
    }

    fn finished(&self, result: &NodeResult, index: usize, total: usize) {
        let bar = self.bars().remove(&result.node.id);
        if let (Some(bar), Some(bars)) = (bar, self.printer.bars()) {
            bar.finish_and_clear();
            bars.remove(&bar);
        }
        let text = format!("[{}] {}", place(index, total), line(result));
        let data = json!({
            "unique_id": &*result.node.id,
            "name": result.node.name,
            "status": format!("{:?}", result.status).to_lowercase(),
            "index": index,
            "total": total,
            "execution_time": result.duration.as_secs_f64(),
            "rows": result.rows,
            "bytes": result.bytes,
            "message": result.message,
            "error": result.error.as_ref().map(super::errors::json),
        });
        self.printer
            .progress(level(result.status), "NodeFinished", &text, &data);
    }
}

/// The errors of a run, and its closing line.
pub(crate) fn summary(printer: &Printer, results: &RunResults) {
    for result in &results.results {
        let own = |e: &&RunnerError| e.kind() != ErrorKind::Interrupted;
        if let Some(error) = result.error.as_ref().filter(own) {
            printer.error(error);
        }
    }
    let tally = Tally::of(results);
    let level = if tally.error > 0 {
        Level::Error
    } else {
        Level::Info
    };
    let text = format!("{} in {}", tally.text(), seconds(results.elapsed));
    let data = json!({
        "pass": tally.pass,
        "warn": tally.warn,
        "error": tally.error,
        "skip": tally.skip,
        "total": tally.total,
        "elapsed": results.elapsed.as_secs_f64(),
        "interrupted": results.interrupted,
    });
    printer.progress(level, "RunFinished", &text, &data);
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    pass: usize,
    warn: usize,
    error: usize,
    skip: usize,
    total: usize,
}

impl Tally {
    fn of(results: &RunResults) -> Self {
        let mut tally = Self::default();
        for result in &results.results {
            tally.total += 1;
            match result.status {
                Status::Success | Status::Pass => tally.pass += 1,
                Status::Warn => tally.warn += 1,
                Status::Error | Status::Fail => tally.error += 1,
                Status::Skipped => tally.skip += 1,
            }
        }
        tally
    }

    fn text(&self) -> String {
        let Self {
            pass,
            warn,
            error,
            skip,
            total,
        } = self;
        format!("PASS={pass} WARN={warn} ERROR={error} SKIP={skip} TOTAL={total}")
    }
}

fn level(status: Status) -> Level {
    match status {
        Status::Success | Status::Pass | Status::Skipped => Level::Info,
        Status::Warn => Level::Warn,
        Status::Error | Status::Fail => Level::Error,
    }
}

fn line(result: &NodeResult) -> String {
    let word = match result.status {
        Status::Success => "OK   ",
        Status::Pass => "PASS ",
        Status::Error => "ERROR",
        Status::Fail => "FAIL ",
        Status::Warn => "WARN ",
        Status::Skipped => "SKIP ",
    };
    let mut text = format!("{word} {}", title(&result.node));
    let mut facts = Vec::new();
    match (result.status, result.rows) {
        (Status::Success, Some(rows)) => facts.push(count(rows, "row")),
        (Status::Fail | Status::Warn, Some(rows)) => {
            facts.push(format!("{} failed", count(rows, "row")));
        }
        _ => {}
    }
    facts.extend(result.bytes.map(bytes));
    if result.status != Status::Skipped {
        facts.push(seconds(result.duration));
    }
    facts.extend(result.message.clone());
    if let Some(ErrorKind::Interrupted) = result.error.as_ref().map(RunnerError::kind) {
        facts.push("interrupted".to_owned());
    }
    if let Some(culprit) = &result.skipped_by {
        facts.push(format!("`{culprit}` failed"));
    }
    if !facts.is_empty() {
        text.push_str(": ");
        text.push_str(&facts.join(", "));
    }
    text
}

/// What a node is, and its name.
pub(crate) fn title(node: &Node) -> String {
    let name = match &node.relation {
        Some(relation) => format!("{}.{}", relation.schema, relation.name),
        None => node.name.clone(),
    };
    format!("{} {name}", kind(node))
}

fn kind(node: &Node) -> &'static str {
    match (&node.kind, node.config.materialized) {
        (NodeKind::Source(_), _) => "source",
        (NodeKind::Seed(_), _) => "seed",
        (NodeKind::DataTest { .. } | NodeKind::SingularTest, _) => "test",
        (NodeKind::UnitTest { .. }, _) => "unit test",
        (NodeKind::Model, Materialized::View) => "view",
        (NodeKind::Model, Materialized::Ephemeral) => "ephemeral model",
        (NodeKind::Model, Materialized::Incremental) => "incremental table",
        (NodeKind::Model, Materialized::External) => "external file",
        (NodeKind::Model, Materialized::Table | Materialized::Seed) => "table",
    }
}

fn place(index: usize, total: usize) -> String {
    let width = total.to_string().len();
    format!("{index:>width$}/{total}")
}

/// `1 row`, `2,000 rows`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let plural = if number == 1 { "" } else { "s" };
    format!("{text} {noun}{plural}")
}

/// `999 B`, `84.1 kB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

fn seconds(duration: Duration) -> String {
    format!("{:.2}s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(1_234_567, "row"), "1,234,567 rows");
        assert_eq!(count(100, "row"), "100 rows");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(84_130), "84.1 kB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(place(3, 19), " 3/19");
    }

    #[test]
    fn a_run_of_nothing_counts_nothing() {
        let results = RunResults {
            results: Vec::new(),
            elapsed: Duration::ZERO,
            interrupted: false,
        };
        assert_eq!(Tally::of(&results), Tally::default());
    }
}
