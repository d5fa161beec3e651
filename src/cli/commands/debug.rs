//! `debug`.

use std::path::Path;

use datafusion_sessionize::runner::compile::{NodeKind, SchemaResolver};
use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use datafusion_sessionize::runner::project::Project;

use crate::cli::context::{Context, Workspace};
use crate::cli::exit::Exit;
use crate::cli::progress::count;

/// Checks everything a build needs.
pub(crate) fn run(context: &Context) -> Result<Exit> {
    let printer = &context.printer;
    printer.result(&format!("sessionize   {}", env!("CARGO_PKG_VERSION")));
    printer.result(&format!("datafusion   {}", datafusion::DATAFUSION_VERSION));
    printer.result(&format!("project dir  {}", context.project_dir().display()));
    let project = context.load()?;
    let target = &project.target;
    printer.result(&format!("project      {}", project.name));
    printer.result(&format!("profile      {}", target.profile_name));
    printer.result(&format!(
        "target       {} ({})",
        target.name, target.adapter
    ));
    printer.result(&format!("threads      {}", target.threads));
    printer.result(&format!("location     {}", target.location));
    let location = location(&project);
    printer.result(&format!(
        "writable     {}",
        verdict(&location, |text| text.clone())
    ));
    let sources = context.block_on(sources(context))?;
    match location.err().or(sources) {
        Some(error) => Err(error),
        None => {
            printer.result("all checks passed");
            Ok(Exit::Ok)
        }
    }
}

fn verdict<T>(checked: &Result<T>, words: impl Fn(&T) -> String) -> String {
    match checked {
        Ok(value) => words(value),
        Err(error) => format!("ERROR {error}"),
    }
}

/// Looks at every source table; the first error is returned, all are printed.
async fn sources(context: &Context) -> Result<Option<RunnerError>> {
    let Workspace { dag, engine, .. } = context.workspace("debug", false).await?;
    let models = dag
        .nodes
        .iter()
        .filter(|n| matches!(n.kind, NodeKind::Model));
    let models = count(models.count() as u64, "model");
    context.printer.result(&format!("compiled     {models}"));
    let mut first = None;
    for node in &dag.nodes {
        let NodeKind::Source(source) = &node.kind else {
            continue;
        };
        let columns = engine.source_columns(source).await;
        let words = verdict(&columns, |c| count(c.len() as u64, "column"));
        let name = format!("{}.{}", source.table.source_name, node.name);
        let place = source.location.as_deref().unwrap_or("no location");
        context
            .printer
            .result(&format!("source       {name} ({place}): {words}"));
        first = first.or_else(|| columns.err());
    }
    Ok(first)
}

/// Whether tables can be written, tried in the nearest folder that is there.
fn location(project: &Project) -> Result<String> {
    let location = &project.target.location;
    if location.contains("://") && !location.starts_with("file://") {
        return Ok("not tried: not on this machine".to_owned());
    }
    let path = Path::new(location.strip_prefix("file://").unwrap_or(location));
    let folder = path.ancestors().find(|a| a.exists()).unwrap_or(path);
    let probe = folder.join(format!(".sessionize-{}.tmp", uuid::Uuid::new_v4()));
    let tried =
        std::fs::File::create_new(&probe).and_then(|_| std::fs::remove_file(&probe));
    match tried {
        Ok(()) if path == folder => Ok("yes".to_owned()),
        Ok(()) => Ok("yes (the folder will be made)".to_owned()),
        Err(e) => {
            let message = format!("nothing can be written to `{}`", folder.display());
            Err(RunnerError::new(ErrorKind::Store, message).with_source(e))
        }
    }
}
