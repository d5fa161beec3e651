//! `run_results.json`, and what it has in common with `manifest.json`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::Invocation;
use super::lines::status;
use crate::runner::compile::{Dag, Materialized, Node, NodeKind, Relation};
use crate::runner::run::{NodeResult, RunResults};

/// `run_results.json` in dbt's published schema v6.
pub fn run_results_json(
    results: &RunResults,
    dag: &Dag,
    invocation: &Invocation,
) -> Value {
    let _ = dag;
    json!({
        "metadata": metadata("run-results/v6", invocation),
        "results": results.results.iter().map(run_result).collect::<Vec<_>>(),
        "elapsed_time": results.elapsed.as_secs_f64(),
        "args": invocation.args,
    })
}

fn run_result(result: &NodeResult) -> Value {
    let node = &result.node;
    let mut timing = Vec::new();
    if let Some(started) = result.started_at {
        let ended = started + result.duration;
        timing.push(json!({"name": "compile", "started_at": time(started), "completed_at": time(started)}));
        timing.push(json!({"name": "execute", "started_at": time(started), "completed_at": time(ended)}));
    }
    let message = result
        .error
        .as_ref()
        .map(ToString::to_string)
        .or_else(|| result.message.clone())
        .or_else(|| {
            result
                .skipped_by
                .as_ref()
                .map(|b| format!("skipped because of {b}"))
        });
    let is_test = resource_type(node).ends_with("test");
    let mut adapter = Map::new();
    if !is_test {
        adapter.extend(result.rows.map(|n| ("rows_affected".to_owned(), json!(n))));
        adapter.extend(result.bytes.map(|n| ("bytes".to_owned(), json!(n))));
    }
    json!({
        "status": status(result.status),
        "timing": timing,
        "thread_id": "main",
        "execution_time": result.duration.as_secs_f64(),
        "adapter_response": adapter,
        "message": message,
        "failures": if is_test { json!(result.rows) } else { Value::Null },
        "unique_id": &*node.id,
        "compiled": !node.compiled.sql.is_empty(),
        "compiled_code": compiled(node),
        "relation_name": relation_name(node),
        "batch_results": Value::Null,
    })
}

pub(super) fn metadata(schema: &str, invocation: &Invocation) -> Value {
    json!({
        "dbt_schema_version": format!("https://schemas.getdbt.com/dbt/{schema}.json"),
        "dbt_version": env!("CARGO_PKG_VERSION"),
        "generated_at": time(invocation.generated_at),
        "invocation_id": invocation.id,
        "env": {},
    })
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

pub(super) fn resource_type(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Model => "model",
        NodeKind::Seed(_) => "seed",
        NodeKind::Source(_) => "source",
        NodeKind::DataTest { .. } | NodeKind::SingularTest => "test",
        NodeKind::UnitTest { .. } => "unit_test",
    }
}

pub(super) fn relation_name(node: &Node) -> Option<String> {
    let ephemeral = node.config.materialized == Materialized::Ephemeral;
    let name =
        |r: &Relation| format!("\"{}\".\"{}\".\"{}\"", r.catalog, r.schema, r.name);
    node.relation.as_ref().filter(|_| !ephemeral).map(name)
}

pub(super) fn compiled(node: &Node) -> Option<&str> {
    Some(node.compiled.sql.as_str()).filter(|sql| !sql.is_empty())
}
