//! `show`.

use std::sync::Arc;

use datafusion_sessionize::runner::compile::{Dag, Node, NodeKind, Selection};
use datafusion_sessionize::runner::error::Result;
use datafusion_sessionize::runner::materialization::QueryRows;

use super::{query, usage};
use crate::cli::args::ShowArguments;
use crate::cli::context::{Context, Workspace};
use crate::cli::exit::Exit;
use crate::cli::output;

/// Prints rows of a node's table, or of an inline query.
pub(crate) fn run(context: &Context, arguments: &ShowArguments) -> Result<Exit> {
    output::check(&arguments.output)?;
    let limit = usize::try_from(arguments.limit).ok();
    context.block_on(async {
        let workspace = context.workspace("show", false).await?;
        let (node, rows) = match (&arguments.inline, arguments.model()) {
            (Some(sql), _) => {
                let (node, rows) = query::rows(&workspace, sql, None, limit).await?;
                (Arc::new(node), rows)
            }
            (None, Some(name)) => read(&workspace, name, limit).await?,
            (None, None) => {
                let message = "`show` needs a model, or SQL in `--inline`";
                return Err(
                    usage(message).with_hint("for example `sessionize show sessions`")
                );
            }
        };
        let written = output::write(context, rows, &arguments.output).await;
        query::finished(&workspace, &node, written).await
    })
}

impl ShowArguments {
    fn model(&self) -> Option<&str> {
        self.model.as_deref().or(self.select.as_deref())
    }
}

async fn read(
    workspace: &Workspace,
    name: &str,
    limit: Option<usize>,
) -> Result<(Arc<Node>, QueryRows)> {
    let node = find(&workspace.dag, name)?;
    let rows = workspace.engine.read_rows(&node, limit).await?;
    Ok((node, rows))
}

/// The one model, seed or source table that `name` selects.
pub(crate) fn find(dag: &Dag, name: &str) -> Result<Arc<Node>> {
    let selection = Selection {
        select: vec![name.to_owned()],
        exclude: Vec::new(),
    };
    let mut nodes: Vec<Arc<Node>> = dag
        .select(&selection)?
        .into_iter()
        .filter(|n| {
            matches!(
                n.kind,
                NodeKind::Model | NodeKind::Seed(_) | NodeKind::Source(_)
            )
        })
        .collect();
    match (nodes.pop(), nodes.is_empty()) {
        (Some(node), true) => Ok(node),
        (None, _) => Err(usage(format!("`{name}` has no rows of its own"))
            .with_hint("name a model, a seed or a source table")),
        (Some(last), false) => {
            let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
            let names = names.join("`, `");
            let message = format!(
                "`{name}` selects {} tables, expected one: `{names}`, `{}`",
                nodes.len() + 1,
                last.name
            );
            Err(usage(message))
        }
    }
}
