//! `traffic_source` with the rules of the project's own seed.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use serde_json::Value;

use crate::functions::{
    TrafficSourceRules, TrafficSourceRulesError, traffic_source_with,
};
use crate::runner::error::{ErrorKind, Location, Result, RunnerError};
use crate::runner::project::{Project, SeedFile};

/// The seed whose lines are the rules.
const SEED: &str = "traffic_source_rules";

/// Registers the function with the rules of `project`, if it has that seed.
pub(super) fn register(context: &SessionContext, project: &Project) -> Result<()> {
    let disabled = Some(&Value::Bool(false));
    let is_rules =
        |s: &&SeedFile| s.name == SEED && s.config.values.get("enabled") != disabled;
    let Some(seed) = project.seeds.iter().find(is_rules) else {
        return Ok(());
    };
    let text = std::fs::read_to_string(&seed.absolute_path).map_err(|e| {
        let message = format!("seed `{}`: {e}", seed.path.display());
        RunnerError::new(ErrorKind::Project, message).with_source(e)
    })?;
    let rules =
        TrafficSourceRules::parse(&text).map_err(|e| wrong_line(seed, &text, e))?;
    context.register_udf(traffic_source_with(rules));
    Ok(())
}

fn wrong_line(
    seed: &SeedFile,
    text: &str,
    error: TrafficSourceRulesError,
) -> RunnerError {
    let line = text.lines().nth(error.line.saturating_sub(1)).unwrap_or("");
    let message = format!("seed `{}`, {error}", seed.path.display());
    RunnerError::new(ErrorKind::Project, message)
        .with_location(Location {
            file: seed.path.clone(),
            line: error.line,
            column: 1,
            length: line.chars().count().max(1),
            text: Arc::from(text),
        })
        .with_hint("each line of this seed is a rule of `traffic_source`")
        .with_source(error)
}
