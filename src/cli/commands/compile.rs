//! `compile`.

use std::sync::Arc;

use serde_json::json;

use datafusion_sessionize::runner::compile::{Node, NodeKind, Selection, compile_inline};
use datafusion_sessionize::runner::error::Result;

use crate::cli::args::{CompileArguments, LogFormat};
use crate::cli::artifacts;
use crate::cli::context::{Context, Workspace};
use crate::cli::exit::Exit;

/// Writes and prints the SQL of the selected nodes.
pub(crate) fn run(context: &Context, arguments: &CompileArguments) -> Result<Exit> {
    context.block_on(async {
        let workspace = context.workspace("compile", arguments.full_refresh).await?;
        match &arguments.inline {
            Some(sql) => inline(context, &workspace, sql).await,
            None => selected(context, &workspace, arguments),
        }
    })
}

async fn inline(context: &Context, workspace: &Workspace, sql: &str) -> Result<Exit> {
    let Workspace {
        dag,
        options,
        engine,
        ..
    } = workspace;
    let node = Box::pin(compile_inline(dag, sql, options, engine)).await?;
    print(context, &node, false);
    Ok(Exit::Ok)
}

fn selected(
    context: &Context,
    workspace: &Workspace,
    arguments: &CompileArguments,
) -> Result<Exit> {
    let nodes = workspace
        .dag
        .select(&Selection::from(&arguments.selection))?;
    let nodes: Vec<Arc<Node>> = nodes
        .into_iter()
        .filter(|n| !matches!(n.kind, NodeKind::Seed(_) | NodeKind::Source(_)))
        .collect();
    let details = json!({
        "select": arguments.selection.select,
        "exclude": arguments.selection.exclude,
        "full_refresh": arguments.full_refresh,
    });
    artifacts::compiled(&workspace.project, nodes.iter().map(|n| &**n))?;
    artifacts::manifest(&workspace.dag, &context.invocation("compile", details))?;
    let named = !arguments.selection.select.is_empty();
    let models: Vec<&Arc<Node>> = nodes
        .iter()
        .filter(|n| matches!(n.kind, NodeKind::Model) || !named)
        .collect();
    // Tests come along with their models; alone they are what was asked for.
    let shown = if named && models.is_empty() {
        nodes.iter().collect()
    } else {
        models
    };
    let many = shown.len() > 1;
    for node in shown {
        print(context, node, many);
    }
    Ok(Exit::Ok)
}

fn print(context: &Context, node: &Node, titled: bool) {
    let sql = node.compiled.sql.trim();
    let text = if context.global.log_format == LogFormat::Json {
        json!({"unique_id": &*node.id, "name": node.name, "compiled": sql}).to_string()
    } else if titled {
        format!("-- {}\n{sql}\n", node.id)
    } else {
        sql.to_owned()
    };
    context.printer.result(&text);
}
