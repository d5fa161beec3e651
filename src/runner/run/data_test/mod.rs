//! Data tests: a query that counts as many failures as it returns rows.

mod proof;

use std::collections::BTreeSet;

use datafusion::common::DataFusionError;

use super::Status;
use super::task::Outcome;
use crate::runner::compile::{Dag, Node};
use crate::runner::engine::{Engine, has_table};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::{execution_error, store_error};

/// Runs the test. One that compares tables of which a selection has built some and another was
/// never built is skipped: there is nothing to compare with yet.
pub(super) async fn run_or_skip(
    engine: &Engine,
    dag: &Dag,
    node: &Node,
) -> Result<Outcome> {
    let ended = run(engine, node).await;
    match ended {
        Err(error) if error.message().contains(" has not been built yet") => {
            let (built, missing) = inputs(engine, dag, node).await?;
            match missing.first() {
                Some(missing) if built > 0 => Ok(Outcome {
                    message: Some(format!("`{missing}` has not been built yet")),
                    ..Outcome::skipped()
                }),
                _ => Err(error),
            }
        }
        ended => ended,
    }
}

/// How many of the tables that a test reads, through views too, are there, and the names of
/// those that are not.
async fn inputs(engine: &Engine, dag: &Dag, node: &Node) -> Result<(usize, Vec<String>)> {
    let mut waiting: Vec<&str> = node.depends_on.iter().map(AsRef::as_ref).collect();
    let mut seen = BTreeSet::new();
    let (mut built, mut missing) = (0, Vec::new());
    while let Some(id) = waiting.pop() {
        let Some(input) = dag.node(id).filter(|_| seen.insert(id)) else {
            continue;
        };
        if !has_table(input) {
            waiting.extend(input.depends_on.iter().map(AsRef::as_ref));
        } else if engine.table(input)?.exists().await.map_err(store_error)? {
            built += 1;
        } else {
            missing.push(input.name.clone());
        }
    }
    Ok((built, missing))
}

/// Runs the test and holds its failures against `error_if` and `warn_if`.
async fn run(engine: &Engine, node: &Node) -> Result<Outcome> {
    let config = &node.config;
    let error_if = Threshold::parse("error_if", config.error_if.as_deref())?;
    let warn_if = Threshold::parse("warn_if", config.warn_if.as_deref())?;
    let limit = match config.limit.map(usize::try_from) {
        Some(limit) => Some(limit.map_err(|e| {
            RunnerError::new(ErrorKind::Project, format!("`limit` is too large: {e}"))
        })?),
        None => None,
    };
    let rows = engine.plan(node).await?;
    let count = async {
        if proof::is_empty(&rows).await {
            return Ok(0);
        }
        rows.limit(0, limit)?.count().await
    };
    let failures = count
        .await
        .map_err(|e: DataFusionError| execution_error(e))?;
    let failures = failures as u64;
    Ok(judge(failures, config.warn_only, &error_if, &warn_if))
}

fn judge(
    failures: u64,
    warn_only: bool,
    error_if: &Threshold,
    warn_if: &Threshold,
) -> Outcome {
    let results = if failures == 1 { "result" } else { "results" };
    let (status, message) = if !warn_only && error_if.holds(failures) {
        let text = format!("Got {failures} {results}, configured to fail if {error_if}");
        (Status::Fail, Some(text))
    } else if warn_if.holds(failures) {
        let text = format!("Got {failures} {results}, configured to warn if {warn_if}");
        (Status::Warn, Some(text))
    } else {
        (Status::Pass, None)
    };
    Outcome {
        rows: Some(failures),
        message,
        ..Outcome::new(status)
    }
}

/// A condition on the number of failures: `!= 0`, `> 10`, `between 1 and 5`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Threshold {
    text: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Compare(&'static str, u64),
    Between(u64, u64),
}

impl Threshold {
    fn parse(key: &str, text: Option<&str>) -> Result<Self> {
        let text = text.unwrap_or("!= 0").trim();
        let test = Test::parse(text).ok_or_else(|| {
            let message = format!(
                "`{key}`: expected a comparison such as `!= 0` or `> 10`, found `{text}`"
            );
            RunnerError::new(ErrorKind::Project, message)
        })?;
        Ok(Self {
            text: text.to_owned(),
            test,
        })
    }

    fn holds(&self, n: u64) -> bool {
        match self.test {
            Test::Compare("!=" | "<>", m) => n != m,
            Test::Compare(">=", m) => n >= m,
            Test::Compare("<=", m) => n <= m,
            Test::Compare(">", m) => n > m,
            Test::Compare("<", m) => n < m,
            Test::Compare(_, m) => n == m,
            Test::Between(low, high) => (low..=high).contains(&n),
        }
    }
}

impl Test {
    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        if let Some(rest) = lower.strip_prefix("between ") {
            let (low, high) = rest.split_once(" and ")?;
            return Some(Self::Between(
                low.trim().parse().ok()?,
                high.trim().parse().ok()?,
            ));
        }
        let sign = ["!=", "<>", ">=", "<=", "==", ">", "<", "="]
            .into_iter()
            .find(|s| text.starts_with(s))?;
        let number = text.get(sign.len()..)?.trim().parse().ok()?;
        Some(Self::Compare(sign, number))
    }
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(text: &str) -> Threshold {
        Threshold::parse("error_if", Some(text)).unwrap()
    }

    #[test]
    fn comparisons_hold_where_they_say() {
        for (text, yes, no) in [
            ("!= 0", 3, 0),
            (">10", 11, 10),
            (">= 10", 10, 9),
            ("< 2", 1, 2),
            ("= 4", 4, 5),
            ("between 2 and 3", 3, 4),
        ] {
            assert!(threshold(text).holds(yes), "{text} {yes}");
            assert!(!threshold(text).holds(no), "{text} {no}");
        }
    }

    #[test]
    fn what_is_no_comparison_is_refused() {
        let error = Threshold::parse("warn_if", Some("many")).unwrap_err();
        assert!(error.message().contains("found `many`"));
    }

    #[test]
    fn errors_win_over_warnings_and_severity_over_errors() {
        let (error, warn) = (threshold("> 10"), threshold("!= 0"));
        assert_eq!(judge(11, false, &error, &warn).status, Status::Fail);
        assert_eq!(judge(3, false, &error, &warn).status, Status::Warn);
        assert_eq!(judge(11, true, &error, &warn).status, Status::Warn);
        assert_eq!(judge(0, false, &error, &warn).status, Status::Pass);
        assert_eq!(
            judge(3, false, &warn, &warn).message.as_deref(),
            Some("Got 3 results, configured to fail if != 0")
        );
    }
}
