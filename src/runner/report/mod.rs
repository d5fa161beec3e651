//! RunResults -> text and JSON. Formatting only: everything here returns strings.

mod artifacts;
mod graph;
mod lines;
mod manifest;

use chrono::{DateTime, Utc};
use serde_json::Value;

pub use artifacts::run_results_json;
pub use graph::{graph_mermaid, graph_text};
pub use lines::{
    Totals, log_line, result_line, result_log, start_line, summary_line, summary_log,
};
pub use manifest::manifest_json;

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
