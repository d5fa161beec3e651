//! `history`, `vacuum` and `optimize`.

use chrono::SecondsFormat;

use datafusion_sessionize::runner::compile::Selection;
use datafusion_sessionize::runner::engine::{Commit, Optimized, has_table};
use datafusion_sessionize::runner::error::Result;

use super::{show, usage};
use crate::cli::args::{HistoryArguments, OptimizeArguments, VacuumArguments};
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::progress::{bytes, count};
use crate::cli::values;

/// Prints the commits of one table.
pub(crate) fn history(context: &Context, arguments: &HistoryArguments) -> Result<Exit> {
    let commits = context.block_on(async {
        let workspace = context.workspace("history", false).await?;
        let node = show::find(&workspace.dag, &arguments.model)?;
        workspace.engine.history(&node, arguments.limit).await
    })?;
    if commits.is_empty() {
        let message = format!("`{}` has not been built yet", arguments.model);
        return Err(usage(message).with_hint("build it with `sessionize build`"));
    }
    let lines: Vec<String> = commits.iter().map(line).collect();
    context.printer.result(&lines.join("\n"));
    Ok(Exit::Ok)
}

fn line(commit: &Commit) -> String {
    let at = commit
        .at
        .map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    format!(
        "{:>6}  {}  {}  {} in, {} out{}, {}{}",
        commit.version,
        at.unwrap_or_else(|| "unknown time".to_owned()),
        commit.operation,
        count(commit.files.0 as u64, "file"),
        commit.files.1,
        match commit.masked {
            0 => String::new(),
            files => format!(", {files} with fewer rows"),
        },
        count(commit.rows, "row"),
        commit
            .run_id
            .as_ref()
            .map(|id| format!("  run {id}"))
            .unwrap_or_default()
    )
}

/// Removes what the selected tables no longer need.
pub(crate) fn vacuum(context: &Context, arguments: &VacuumArguments) -> Result<Exit> {
    let retain = values::age(&arguments.retain)?;
    context.block_on(async {
        let workspace = context.workspace("vacuum", false).await?;
        let nodes = workspace
            .dag
            .select(&Selection::from(&arguments.selection))?;
        let mut removed = 0;
        for node in nodes.iter().filter(|n| has_table(n)) {
            let vacuum = workspace.engine.vacuum(node, retain, arguments.dry_run);
            let vacuumed = vacuum.await?;
            let others = vacuumed.others.join("`, `");
            if !others.is_empty() {
                let line = format!("{}: left alone: `{others}`", node.name);
                context.printer.result(&line);
            }
            if vacuumed.files.is_empty() {
                continue;
            }
            removed += vacuumed.files.len();
            let verb = if arguments.dry_run {
                "would remove"
            } else {
                "removed"
            };
            context.printer.result(&format!(
                "{}: {verb} {} ({})",
                node.name,
                count(vacuumed.files.len() as u64, "file"),
                bytes(vacuumed.bytes)
            ));
        }
        if removed == 0 {
            context.printer.result("nothing to remove");
        }
        Ok(Exit::Ok)
    })
}

/// Joins the small files of the selected tables.
pub(crate) fn optimize(context: &Context, arguments: &OptimizeArguments) -> Result<Exit> {
    let target_size = values::size(&arguments.target_size)? as u64;
    let mut selection = Selection::from(&arguments.selection);
    selection.select.extend(arguments.models.iter().cloned());
    context.block_on(async {
        let workspace = context.workspace("optimize", false).await?;
        let mut nodes = workspace.dag.select(&selection)?;
        nodes.retain(|node| has_table(node));
        if nodes.is_empty() {
            return Err(usage("nothing that is selected has a committed table")
                .with_hint("tables, incremental models and seeds have one"));
        }
        for node in &nodes {
            let optimized = workspace.engine.optimize(node, target_size).await?;
            let line = match optimized {
                None => "not built yet".to_owned(),
                Some(optimized) => optimized_line(&optimized),
            };
            context.printer.result(&format!("{}: {line}", node.name));
        }
        Ok(Exit::Ok)
    })
}

fn optimized_line(optimized: &Optimized) -> String {
    let files = |number: usize| count(number as u64, "file");
    let (number, size) = (optimized.files, optimized.bytes);
    match optimized.version {
        None => format!("nothing to do, {} ({})", files(number.0), bytes(size.0)),
        Some(_) => format!(
            "{} ({}) -> {} ({})",
            files(number.0),
            bytes(size.0),
            files(number.1),
            bytes(size.1)
        ),
    }
}
