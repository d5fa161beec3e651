//! `ls`.

use std::sync::Arc;

use serde_json::{Value, json};

use datafusion_sessionize::runner::compile::{Node, NodeKind, Selection};
use datafusion_sessionize::runner::error::Result;

use super::{graph, usage};
use crate::cli::args::{GraphFormat, LsArguments, LsOutput, ResourceType};
use crate::cli::context::Context;
use crate::cli::exit::Exit;

/// Lists the selected nodes, or draws them.
pub(crate) fn run(context: &Context, arguments: &LsArguments) -> Result<Exit> {
    let nodes = context.block_on(async {
        let workspace = context.workspace("list", false).await?;
        workspace.dag.select(&Selection::from(&arguments.selection))
    })?;
    let nodes: Vec<Arc<Node>> = nodes
        .into_iter()
        .filter(|n| wanted(n, &arguments.resource_type, arguments.graph))
        .collect();
    if nodes.is_empty() {
        let message = "no selected node is of a wanted `--resource-type`";
        return Err(usage(message));
    }
    if arguments.graph {
        context.printer.result(&match arguments.format {
            GraphFormat::Text => graph::text(&nodes),
            GraphFormat::Mermaid => graph::mermaid(&nodes),
        });
        return Ok(Exit::Ok);
    }
    let lines: Vec<String> = nodes.iter().map(|n| line(n, arguments.output)).collect();
    context.printer.result(&lines.join("\n"));
    Ok(Exit::Ok)
}

fn wanted(node: &Node, types: &[ResourceType], graph: bool) -> bool {
    if types.is_empty() {
        let test = matches!(resource_type(node), "test" | "unit_test");
        return !(graph && test);
    }
    types.iter().any(|t| match t {
        ResourceType::All => true,
        ResourceType::Model => resource_type(node) == "model",
        ResourceType::Seed => resource_type(node) == "seed",
        ResourceType::Source => resource_type(node) == "source",
        ResourceType::Test => resource_type(node) == "test",
        ResourceType::UnitTest => resource_type(node) == "unit_test",
    })
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

fn line(node: &Node, output: LsOutput) -> String {
    match output {
        LsOutput::Name => node.name.clone(),
        LsOutput::Selector => selector(node),
        LsOutput::Path => path(node).unwrap_or_else(|| selector(node)),
        LsOutput::Json => description(node).to_string(),
    }
}

fn selector(node: &Node) -> String {
    let name = node.fqn.join(".");
    match node.kind {
        NodeKind::Source(_) => format!("source:{name}"),
        NodeKind::UnitTest { .. } => format!("unit_test:{name}"),
        _ => name,
    }
}

fn path(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Seed(seed) => Some(seed.path.display().to_string()),
        _ => Some(node.file.as_ref()?.path.display().to_string()),
    }
}

fn description(node: &Node) -> Value {
    let materialized = node.config.raw.get("materialized").cloned();
    let materialized = materialized.unwrap_or_else(|| {
        json!(format!("{:?}", node.config.materialized).to_lowercase())
    });
    let built = matches!(node.kind, NodeKind::Model | NodeKind::Seed(_));
    json!({
        "name": node.name,
        "resource_type": resource_type(node),
        "unique_id": &*node.id,
        "original_file_path": path(node),
        "alias": node.relation.as_ref().map(|r| &r.name),
        "schema": node.relation.as_ref().map(|r| &r.schema),
        "tags": node.config.tags,
        "config": {
            "enabled": node.config.enabled,
            "materialized": built.then_some(materialized),
        },
        "depends_on": {
            "nodes": node.depends_on.iter().map(|id| &**id).collect::<Vec<_>>(),
        },
    })
}
