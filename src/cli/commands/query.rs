//! `query`.

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;

use datafusion_sessionize::runner::compile::compile_inline;
use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use datafusion_sessionize::runner::project::TextFile;

use super::usage;
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
        let file = arguments.file.as_deref();
        let stream = stream(&workspace, &sql, file, None).await?;
        output::write(context, stream, &arguments.output).await?;
        Ok(Exit::Ok)
    })
}

/// Compiles and starts a query; at most `limit` rows.
pub(crate) async fn stream(
    workspace: &Workspace,
    sql: &str,
    file: Option<&Path>,
    limit: Option<usize>,
) -> Result<SendableRecordBatchStream> {
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
    engine.query(&node, limit).await
}

fn read(context: &Context, file: &Path) -> Result<String> {
    std::fs::read_to_string(context.absolute(file)).map_err(|e| {
        let message = format!("cannot read `{}`", file.display());
        RunnerError::new(ErrorKind::Usage, message).with_source(e)
    })
}
