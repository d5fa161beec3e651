//! The rules of `traffic_source` that a project brings: the lines of a seed.

use std::sync::Arc;

use serde_json::Value;

use super::files::read_text;
use super::types::SeedFile;
use crate::functions::{TrafficSourceRules, TrafficSourceRulesError};
use crate::runner::error::{ErrorKind, Location, Result, RunnerError};

/// The seed whose lines are the rules.
const SEED: &str = "traffic_source_rules";

/// The rules among `seeds`, if they are there, and a warning if they leave visits without any.
pub(super) fn read(
    seeds: &[SeedFile],
    warnings: &mut Vec<Arc<RunnerError>>,
) -> Result<Option<TrafficSourceRules>> {
    let disabled = Some(&Value::Bool(false));
    let is_rules =
        |s: &&SeedFile| s.name == SEED && s.config.values.get("enabled") != disabled;
    let Some(seed) = seeds.iter().find(is_rules) else {
        return Ok(None);
    };
    let file = read_text(&seed.absolute_path, &seed.path)?;
    let rules = TrafficSourceRules::parse(&file.text)
        .map_err(|e| wrong_line(seed, &file.text, e))?;
    if !rules.decide_every_visit() {
        warnings.push(Arc::new(without_last_rule(seed)));
    }
    Ok(Some(rules))
}

fn without_last_rule(seed: &SeedFile) -> RunnerError {
    let message = format!(
        "seed `{}`: no line holds for every visit; a visit that none fits gets the source \
         `(not set)`",
        seed.path.display()
    );
    RunnerError::new(ErrorKind::Project, message).with_hint(
        "end it with a line that has no pattern: id `direct`, source `(direct)`, medium \
         `(none)`, confidence `low`",
    )
}

fn wrong_line(
    seed: &SeedFile,
    text: &Arc<str>,
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
            text: Arc::clone(text),
        })
        .with_hint("each line of this seed is a rule of `traffic_source`")
        .with_source(error)
}
