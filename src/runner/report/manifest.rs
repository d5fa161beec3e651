//! `manifest.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::Invocation;
use super::artifacts::{compiled, metadata, relation_name, resource_type};
use crate::runner::compile::{
    Dag, Materialized, Node, NodeConfig, NodeKind, ResolvedSource,
};
use crate::runner::project::{Properties, UnitTest, UnitTestRows};

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

/// What stands in the manifest for `node`; every kind has the fields of its schema and no more.
fn entry(dag: &Dag, node: &Node) -> Value {
    let mut fields = identity(dag, node);
    match &node.kind {
        NodeKind::Source(source) => fields.extend(source_fields(node, source)),
        NodeKind::UnitTest { test, .. } => fields.extend(unit_test_fields(node, test)),
        NodeKind::Seed(_) => {
            fields.extend(built(dag, node));
            fields.extend(object(json!({
                "root_path": dag.project.root,
                "depends_on": {"macros": []},
            })));
        }
        NodeKind::DataTest { test, attached } => {
            fields.extend(built(dag, node));
            fields.extend(sql(dag, node));
            fields.extend(object(json!({
                "attached_node": &**attached,
                "column_name": test.column,
                "file_key_name": null,
                "test_metadata": {"name": test.test, "kwargs": test.arguments, "namespace": null},
            })));
        }
        NodeKind::SingularTest => {
            fields.extend(built(dag, node));
            fields.extend(sql(dag, node));
        }
        NodeKind::Model => {
            fields.extend(built(dag, node));
            fields.extend(sql(dag, node));
            fields.extend(object(json!({
                "access": "protected",
                "constraints": [],
                "latest_version": null,
                "version": null,
                "primary_key": [],
            })));
        }
    }
    Value::Object(fields)
}

/// The fields of every entry.
fn identity(dag: &Dag, node: &Node) -> Map<String, Value> {
    let schema = &dag.project.target.schema;
    let path = match &node.kind {
        NodeKind::Seed(seed) => Some(&seed.path),
        _ => node.file.as_ref().map(|f| &f.path),
    };
    object(json!({
        "schema": node.relation.as_ref().map_or(schema, |r| &r.schema),
        "name": node.name,
        "resource_type": resource_type(node),
        "package_name": dag.project.name,
        "path": path,
        "original_file_path": path,
        "unique_id": &*node.id,
        "fqn": node.fqn,
        "config": config(&node.config),
        "description": node.properties.description,
        "created_at": 0.0,
    }))
}

/// Further fields of models, seeds and data tests.
fn built(dag: &Dag, node: &Node) -> Map<String, Value> {
    let relation = node.relation.as_ref();
    object(json!({
        "database": relation.map_or(&dag.project.name, |r| &r.catalog),
        "alias": relation.map_or(&node.name, |r| &r.name),
        "checksum": {"name": "sha256", "checksum": node.checksum},
        "tags": node.config.tags,
        "columns": columns(&node.properties),
        "meta": meta(node),
        "group": null,
        "docs": {"show": true, "node_color": null},
        "patch_path": patch_path(node),
        "build_path": null,
        "unrendered_config": node.config.raw,
        "relation_name": relation_name(node),
        "raw_code": &*node.raw_code,
    }))
}

/// Further fields of what is written in SQL.
fn sql(dag: &Dag, node: &Node) -> Map<String, Value> {
    let (mut refs, mut sources) = (Vec::new(), Vec::new());
    for read in node.depends_on.iter().filter_map(|id| dag.node(id)) {
        match &read.kind {
            NodeKind::Source(source) => {
                sources.push(json!([source.table.source_name, source.table.name]));
            }
            _ => refs.push(json!({"name": read.name, "package": null, "version": null})),
        }
    }
    object(json!({
        "language": "sql",
        "refs": refs,
        "sources": sources,
        "metrics": [],
        "depends_on": depends_on(node),
        "compiled": compiled(node).is_some(),
        "compiled_code": compiled(node),
        "compiled_path": null,
        "extra_ctes": [],
        "extra_ctes_injected": true,
        "contract": {"enforced": false, "alias_types": true, "checksum": null},
    }))
}

fn source_fields(node: &Node, source: &ResolvedSource) -> Map<String, Value> {
    let table = &source.table;
    object(json!({
        "database": node.relation.as_ref().map(|r| &r.catalog),
        "source_name": table.source_name,
        "source_description": "",
        "identifier": table.identifier,
        "loader": "",
        "external": {"location": source.location},
        "source_meta": {},
        "quoting": {},
        "loaded_at_field": null,
        "freshness": null,
        "tags": node.config.tags,
        "columns": columns(&node.properties),
        "meta": meta(node),
        "patch_path": patch_path(node),
        "unrendered_config": node.config.raw,
        "relation_name": relation_name(node),
    }))
}

fn unit_test_fields(node: &Node, test: &UnitTest) -> Map<String, Value> {
    let given = test.given.iter().map(|given| {
        let mut fields = rows(&given.rows);
        fields.insert("input".into(), json!(given.input));
        fields
    });
    object(json!({
        "model": test.model,
        "given": given.collect::<Vec<_>>(),
        "expect": rows(&test.expect),
        "overrides": {"macros": test.macros, "vars": test.vars, "env_vars": {}},
        "depends_on": depends_on(node),
        "checksum": node.checksum,
        "version": null,
    }))
}

fn rows(rows: &UnitTestRows) -> Map<String, Value> {
    let (rows, format) = match rows {
        UnitTestRows::Dict(maps) => (json!(maps), "dict"),
        UnitTestRows::Csv(text) => (json!(text), "csv"),
        UnitTestRows::Sql(text) => (json!(text), "sql"),
    };
    object(json!({"rows": rows, "format": format, "fixture": null}))
}

fn meta(node: &Node) -> Value {
    let meta = node.config.raw.get("meta").cloned();
    meta.unwrap_or_else(|| json!({}))
}

fn patch_path(node: &Node) -> Option<PathBuf> {
    node.properties.location.as_ref().map(|l| l.file.clone())
}

fn object(value: Value) -> Map<String, Value> {
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
