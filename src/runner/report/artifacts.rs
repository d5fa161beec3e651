//! `run_results.json` and `manifest.json` in dbt's published schemas.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::Invocation;
use super::lines::status;
use crate::runner::compile::{Dag, Materialized, Node, NodeConfig, NodeKind, Relation};
use crate::runner::project::Properties;
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

/// `manifest.json` in dbt's published schema v12.
pub fn manifest_json(dag: &Dag, invocation: &Invocation) -> Value {
    let mut head = metadata("manifest/v12", invocation);
    if let Value::Object(head) = &mut head {
        head.insert("project_name".into(), json!(dag.project.name));
        head.insert("adapter_type".into(), json!(dag.project.target.adapter));
    }
    let (mut nodes, mut sources) = (Map::new(), Map::new());
    let (mut unit_tests, mut disabled) = (Map::new(), Map::new());
    for node in &dag.nodes {
        let entry = entry(dag, node);
        let id = node.id.to_string();
        if !node.config.enabled {
            disabled.insert(id, json!([entry]));
            continue;
        }
        match node.kind {
            NodeKind::Source(_) => sources.insert(id, entry),
            NodeKind::UnitTest { .. } => unit_tests.insert(id, entry),
            _ => nodes.insert(id, entry),
        };
    }
    let (parents, children) = family(dag);
    json!({
        "metadata": head,
        "nodes": nodes,
        "sources": sources,
        "macros": macros(dag),
        "docs": {},
        "exposures": {},
        "metrics": {},
        "groups": {},
        "selectors": {},
        "disabled": disabled,
        "parent_map": parents,
        "child_map": children,
        "group_map": {},
        "saved_queries": {},
        "semantic_models": {},
        "unit_tests": unit_tests,
    })
}

fn metadata(schema: &str, invocation: &Invocation) -> Value {
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

type Family = BTreeMap<String, Vec<String>>;

fn family(dag: &Dag) -> (Family, Family) {
    let (mut parents, mut children) = (Family::new(), Family::new());
    for node in &dag.nodes {
        children.entry(node.id.to_string()).or_default();
        let own = parents.entry(node.id.to_string()).or_default();
        for parent in &node.depends_on {
            own.push(parent.to_string());
            let below = children.entry(parent.to_string()).or_default();
            below.push(node.id.to_string());
        }
    }
    (parents, children)
}

fn macros(dag: &Dag) -> Value {
    let package = &dag.project.name;
    let mut found = Map::new();
    for file in &dag.project.macros {
        for text in file.text.split("{%").skip(1) {
            let text = text.trim_start_matches('-').trim_start();
            let Some(rest) = text.strip_prefix("macro ") else {
                continue;
            };
            let name = rest.split('(').next().unwrap_or_default().trim();
            let id = format!("macro.{package}.{name}");
            let entry = json!({
                "name": name,
                "resource_type": "macro",
                "package_name": package,
                "path": file.path,
                "original_file_path": file.path,
                "unique_id": id,
                "macro_sql": &*file.text,
                "depends_on": {"macros": []},
                "description": "",
                "meta": {},
                "docs": {"show": true, "node_color": null},
                "patch_path": null,
                "arguments": [],
                "created_at": 0.0,
                "supported_languages": null,
            });
            found.insert(id.clone(), entry);
        }
    }
    Value::Object(found)
}

fn resource_type(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Model => "model",
        NodeKind::Seed(_) => "seed",
        NodeKind::Source(_) => "source",
        NodeKind::DataTest { .. } | NodeKind::SingularTest => "test",
        NodeKind::UnitTest { .. } => "unit_test",
    }
}

fn relation_name(node: &Node) -> Option<String> {
    let ephemeral = node.config.materialized == Materialized::Ephemeral;
    let name =
        |r: &Relation| format!("\"{}\".\"{}\".\"{}\"", r.catalog, r.schema, r.name);
    node.relation.as_ref().filter(|_| !ephemeral).map(name)
}

fn compiled(node: &Node) -> Option<&str> {
    Some(node.compiled.sql.as_str()).filter(|sql| !sql.is_empty())
}

/// The fields that every entry has, and those of its kind.
fn entry(dag: &Dag, node: &Node) -> Value {
    let mut fields = common(dag, node);
    let own = match &node.kind {
        NodeKind::Source(source) => json!({
            "source_name": source.table.source_name,
            "source_description": "",
            "identifier": source.table.identifier,
            "loader": "",
            "external": {"location": source.location},
            "source_meta": {},
            "quoting": {},
            "loaded_at_field": null,
            "freshness": null,
        }),
        NodeKind::UnitTest { test, .. } => json!({
            "model": test.model,
            "given": test.given.iter().map(|g| json!({"input": g.input, "rows": null, "format": "dict", "fixture": null})).collect::<Vec<_>>(),
            "expect": {"rows": null, "format": "dict", "fixture": null},
            "overrides": {"macros": test.macros, "vars": test.vars, "env_vars": {}},
            "depends_on": depends_on(node),
            "version": null,
        }),
        NodeKind::Seed(seed) => json!({
            "root_path": dag.project.root,
            "seed_path": seed.path,
            "raw_code": "",
            "depends_on": {"macros": []},
        }),
        NodeKind::DataTest { test, attached } => json!({
            "attached_node": &**attached,
            "column_name": test.column,
            "file_key_name": null,
            "test_metadata": {"name": test.test, "kwargs": test.arguments, "namespace": null},
            "depends_on": depends_on(node),
        }),
        NodeKind::Model | NodeKind::SingularTest => json!({
            "depends_on": depends_on(node),
            "access": "protected",
            "constraints": [],
            "latest_version": null,
            "version": null,
            "primary_key": [],
        }),
    };
    if let Value::Object(own) = own {
        fields.extend(own);
    }
    Value::Object(fields)
}

fn common(dag: &Dag, node: &Node) -> Map<String, Value> {
    let relation = node.relation.as_ref();
    let path = node.file.as_ref().map(|f| f.path.clone());
    let target = &dag.project.target;
    let value = json!({
        "database": relation.map_or(&dag.project.name, |r| &r.catalog),
        "schema": relation.map_or(&target.schema, |r| &r.schema),
        "name": node.name,
        "resource_type": resource_type(node),
        "package_name": dag.project.name,
        "path": path,
        "original_file_path": path,
        "unique_id": &*node.id,
        "fqn": node.fqn,
        "alias": relation.map_or(&node.name, |r| &r.name),
        "checksum": {"name": "sha256", "checksum": node.checksum},
        "config": config(&node.config),
        "tags": node.config.tags,
        "description": node.properties.description,
        "columns": columns(&node.properties),
        "meta": node.config.raw.get("meta").cloned().unwrap_or_else(|| json!({})),
        "group": null,
        "docs": {"show": true, "node_color": null},
        "patch_path": node.properties.location.as_ref().map(|l| l.file.clone()),
        "build_path": null,
        "unrendered_config": node.config.raw,
        "created_at": 0.0,
        "relation_name": relation_name(node),
        "raw_code": &*node.raw_code,
        "language": "sql",
        "refs": [],
        "sources": [],
        "metrics": [],
        "compiled": compiled(node).is_some(),
        "compiled_code": compiled(node),
        "compiled_path": null,
        "extra_ctes": [],
        "extra_ctes_injected": true,
        "contract": {"enforced": false, "alias_types": true, "checksum": null},
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn depends_on(node: &Node) -> Value {
    let nodes: Vec<&str> = node.depends_on.iter().map(|d| &**d).collect();
    json!({"macros": [], "nodes": nodes})
}

fn config(config: &NodeConfig) -> Value {
    let mut raw = config.raw.clone();
    raw.insert("enabled".into(), json!(config.enabled));
    raw.insert("tags".into(), json!(config.tags));
    let materialized = match config.materialized {
        Materialized::View => "view",
        Materialized::Ephemeral => "ephemeral",
        Materialized::Table => "table",
        Materialized::Incremental => "incremental",
        Materialized::External => "external",
        Materialized::Seed => "seed",
    };
    raw.entry("materialized")
        .or_insert_with(|| json!(materialized));
    Value::Object(raw)
}

fn columns(properties: &Properties) -> Value {
    let column = |c: &crate::runner::project::Column| {
        let entry = json!({
            "name": c.name,
            "description": c.description,
            "meta": c.meta,
            "data_type": c.data_type,
            "constraints": [],
            "quote": null,
            "tags": c.tags,
        });
        (c.name.clone(), entry)
    };
    Value::Object(properties.columns.iter().map(column).collect())
}
