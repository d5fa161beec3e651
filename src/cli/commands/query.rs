//! `query`.

use std::path::Path;
use std::sync::Arc;

use datafusion_sessionize::runner::compile::{Node, compile_inline};
use datafusion_sessionize::runner::engine::has_table;
use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use datafusion_sessionize::runner::materialization::QueryRows;
use datafusion_sessionize::runner::project::TextFile;

use super::{show, usage};
use crate::cli::args::QueryArguments;
use crate::cli::context::{Context, Workspace};
use crate::cli::exit::Exit;
use crate::cli::output;

/// Runs SQL over the built tables and the sources.
pub(crate) fn run(context: &Context, arguments: &QueryArguments) -> Result<Exit> {
    output::check(&arguments.output)?;
    let sql = match (&arguments.sql, &arguments.file) {
        (Some(sql), _) => sql.clone(),
        (None, Some(file)) => read(context, file)?,
        (None, None) => return Err(usage("`query` needs SQL, or a file of it in `-f`")),
    };
    context.block_on(async {
        let workspace = context.workspace("query", false).await?;
        for version in &arguments.version {
            pin(&workspace, version)?;
        }
        let file = arguments.file.as_deref();
        let (node, rows) = rows(&workspace, &sql, file, None).await?;
        let written = output::write(context, rows, &arguments.output).await;
        finished(&workspace, &node, written).await
    })
}

/// How the command ends; an error of a file names the file.
pub(crate) async fn finished(
    workspace: &Workspace,
    node: &Node,
    written: Result<()>,
) -> Result<Exit> {
    match written {
        Ok(()) => Ok(Exit::Ok),
        Err(e) => Err(workspace.engine.naming_file(e, &workspace.dag, node).await),
    }
}

/// Compiles and plans a query; at most `limit` rows.
pub(crate) async fn rows(
    workspace: &Workspace,
    sql: &str,
    file: Option<&Path>,
    limit: Option<usize>,
) -> Result<(Node, QueryRows)> {
    let Workspace {
        dag,
        options,
        engine,
        ..
    } = workspace;
    let mut node = Box::pin(compile_inline(dag, sql, options, engine)).await?;
    if let Some(path) = file {
        node.file = Some(TextFile {
            path: path.to_owned(),
            text: Arc::from(sql),
        });
    }
    let rows = engine.query_rows(&node, limit).await?;
    Ok((node, rows))
}

/// Reads the tables that `asked` names as of a version: `sessions=3`, or `3` for all.
fn pin(workspace: &Workspace, asked: &str) -> Result<()> {
    let (model, number) = match asked.split_once('=') {
        Some((model, number)) => (Some(model), number),
        None => (None, asked),
    };
    let version = number.trim().parse::<u64>().map_err(|_| {
        let message = format!("`--version` expects a version number, found `{number}`");
        usage(message).with_hint("`--version 3`, or `--version sessions=3`; `sessionize history MODEL` lists them")
    })?;
    let Some(model) = model else {
        for node in workspace.dag.nodes.iter().filter(|n| has_table(n)) {
            workspace.engine.pin(node, version)?;
        }
        return Ok(());
    };
    let node = show::find(&workspace.dag, model.trim())?;
    workspace.engine.pin(&node, version)
}

/// The text of a file; `-` is the standard input.
fn read(context: &Context, file: &Path) -> Result<String> {
    let text = match file == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(context.absolute(file)),
    };
    text.map_err(|e| {
        let message = format!("cannot read `{}`", file.display());
        RunnerError::new(ErrorKind::Usage, message).with_source(e)
    })
}
