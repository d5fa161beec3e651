//! One line a node, and the closing line.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::runner::compile::{Materialized, Node, NodeKind};
use crate::runner::materialization::materialization;
use crate::runner::run::{NodeResult, RunResults, Status};

/// How many nodes ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Built, or a test that found nothing.
    pub pass: usize,
    /// Tests that warn.
    pub warn: usize,
    /// Not built, or a test that failed.
    pub error: usize,
    /// Skipped.
    pub skip: usize,
}

impl Totals {
    /// Counts the results of a run.
    pub fn of(results: &RunResults) -> Self {
        let mut totals = Self::default();
        for result in &results.results {
            match result.status {
                Status::Success | Status::Pass => totals.pass += 1,
                Status::Warn => totals.warn += 1,
                Status::Error | Status::Fail => totals.error += 1,
                Status::Skipped => totals.skip += 1,
            }
        }
        totals
    }

    /// All of them.
    pub fn total(&self) -> usize {
        self.pass + self.warn + self.error + self.skip
    }
}

/// `1 of 7 START table model segment.sessions`.
pub fn start_line(node: &Node, index: usize, total: usize) -> String {
    format!("{index} of {total} START {}", subject(node))
}

/// `1 of 7 OK created table model segment.sessions ... [12,345 rows, 1.2 MB in 0.43s]`.
pub fn result_line(result: &NodeResult, index: usize, total: usize) -> String {
    let seconds = format!("{:.2}s", result.duration.as_secs_f64());
    let numbers = match (result.status, result.rows) {
        (Status::Skipped, _) => match (&result.skipped_by, &result.message) {
            (Some(by), _) => format!("because of {by}"),
            (None, Some(message)) => message.clone(),
            (None, None) => "not started".to_owned(),
        },
        (Status::Success, Some(rows)) => match result.bytes {
            Some(size) => format!("{} rows, {} in {seconds}", grouped(rows), bytes(size)),
            None => format!("{} rows in {seconds}", grouped(rows)),
        },
        (Status::Fail | Status::Warn, Some(rows)) => {
            format!("{} in {seconds}", plural(rows, "result"))
        }
        _ => format!("in {seconds}"),
    };
    let word = word(result);
    let mut line = format!("{index} of {total} {word} {} ", subject(&result.node));
    while line.chars().count() < 70 {
        line.push('.');
    }
    line.push_str(&format!(" [{numbers}]"));
    if let (Status::Success, Some(message)) = (result.status, &result.message) {
        line.push_str(&format!(" {message}"));
    }
    line
}

/// `Done. PASS=7 WARN=0 ERROR=0 SKIP=0 TOTAL=7`.
pub fn summary_line(results: &RunResults) -> String {
    let t = Totals::of(results);
    format!(
        "Done. PASS={} WARN={} ERROR={} SKIP={} TOTAL={}",
        t.pass,
        t.warn,
        t.error,
        t.skip,
        t.total()
    )
}

/// One JSON object a line, for `--log-format json`.
pub fn log_line(
    time: DateTime<Utc>,
    level: &str,
    event: &str,
    message: &str,
    data: &Map<String, Value>,
) -> String {
    json!({
        "ts": time.to_rfc3339(),
        "level": level,
        "event": event,
        "msg": message,
        "data": data,
    })
    .to_string()
}

/// A node's result as a JSON log line.
pub fn result_log(
    time: DateTime<Utc>,
    result: &NodeResult,
    index: usize,
    total: usize,
) -> String {
    let level = match result.status {
        Status::Error | Status::Fail => "error",
        Status::Warn => "warn",
        _ => "info",
    };
    let data = json!({
        "unique_id": &*result.node.id,
        "index": index,
        "total": total,
        "status": status(result.status),
        "rows": result.rows,
        "bytes": result.bytes,
        "seconds": result.duration.as_secs_f64(),
        "message": result.message,
        "error": result.error.as_ref().map(ToString::to_string),
        "skipped_by": result.skipped_by.as_deref(),
    });
    let line = result_line(result, index, total);
    log_line(time, level, "node_finished", &line, &object(data))
}

/// The closing line as a JSON log line.
pub fn summary_log(time: DateTime<Utc>, results: &RunResults) -> String {
    let t = Totals::of(results);
    let data = json!({
        "pass": t.pass,
        "warn": t.warn,
        "error": t.error,
        "skip": t.skip,
        "total": t.total(),
        "seconds": results.elapsed.as_secs_f64(),
        "interrupted": results.interrupted,
    });
    let level = if t.error > 0 { "error" } else { "info" };
    log_line(
        time,
        level,
        "run_finished",
        &summary_line(results),
        &object(data),
    )
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// dbt's word for a status.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Error => "error",
        Status::Skipped => "skipped",
        Status::Pass => "pass",
        Status::Fail => "fail",
        Status::Warn => "warn",
    }
}

fn word(result: &NodeResult) -> &'static str {
    let seed = matches!(result.node.kind, NodeKind::Seed(_));
    match result.status {
        Status::Success if seed => "OK loaded",
        Status::Success => "OK created",
        Status::Error => "ERROR",
        Status::Skipped => "SKIP",
        Status::Pass => "PASS",
        Status::Fail => "FAIL",
        Status::Warn => "WARN",
    }
}

fn subject(node: &Node) -> String {
    let name = match &node.relation {
        Some(r) => format!("{}.{}", r.schema, r.name),
        None => node.name.clone(),
    };
    match &node.kind {
        NodeKind::Model => {
            let kind = materialization(node.config.materialized).word();
            format!("{kind} model {name}")
        }
        NodeKind::Seed(_) => {
            format!("{} file {name}", materialization(Materialized::Seed).word())
        }
        NodeKind::Source(_) => format!("source {name}"),
        NodeKind::UnitTest { .. } => format!("unit test {name}"),
        NodeKind::DataTest { .. } | NodeKind::SingularTest => format!("test {name}"),
    }
}

fn plural(n: u64, word: &str) -> String {
    format!("{} {word}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// `1234567` as `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that leaves one to three digits before the point.
fn bytes(n: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in units {
        if n >= unit {
            return format!("{:.1} {name}", n as f64 / unit as f64);
        }
    }
    format!("{n} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_234_567), "1.2 MB");
    }
}
