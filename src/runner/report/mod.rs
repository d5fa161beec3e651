//! RunResults -> text and JSON. Formatting only: everything here returns strings.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::runner::compile::Dag;
use crate::runner::run::RunResults;

/// What artifacts say of the invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// `invocation_id`.
    pub id: String,
    /// `generated_at`.
    pub generated_at: DateTime<Utc>,
    /// The command's arguments, for `run_results.json`.
    pub args: Value,
}

/// `run_results.json` in dbt's published schema v6.
pub fn run_results_json(results: &RunResults, dag: &Dag, invocation: &Invocation) -> Value {
    let _ = (results, dag, invocation);
    Value::Null
}

/// `manifest.json` in dbt's published schema v12.
pub fn manifest_json(dag: &Dag, invocation: &Invocation) -> Value {
    let _ = (dag, invocation);
    Value::Null
}
