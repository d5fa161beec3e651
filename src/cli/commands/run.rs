//! `build`, `run`, `test`, `seed`.

use std::sync::Arc;

use serde_json::{Value, json};

use datafusion_sessionize::runner::compile::{
    Dag, Materialized, Node, NodeKind, Selection,
};
use datafusion_sessionize::runner::error::Result;
use datafusion_sessionize::runner::run::{self, RunContext};
use datafusion_sessionize::runner::schedule::{Command, Schedule, schedule};

use crate::cli::args::RunArguments;
use crate::cli::context::{Context, Workspace};
use crate::cli::exit::Exit;
use crate::cli::progress::{Progress, summary, title};
use crate::cli::{artifacts, context};

/// Runs `command` on the selected nodes.
pub(crate) fn run(
    context: &Context,
    command: Command,
    arguments: &RunArguments,
) -> Result<Exit> {
    context.block_on_to_the_end(async {
        let prepared = async {
            let workspace = context
                .workspace(name(command), arguments.full_refresh)
                .await?;
            let dag = Arc::clone(&workspace.dag);
            let selection = Selection::from(&arguments.selection);
            let schedule = schedule(dag, command, &selection)?;
            let schedule = with_seeds(context, &workspace, schedule, selection).await?;
            Ok((workspace, schedule))
        };
        let (workspace, schedule) = tokio::select! {
            biased;
            () = context.interrupt.triggered() => return Err(context::interrupted()),
            prepared = prepared => prepared?,
        };
        if arguments.dry_run {
            dry_run(context, &workspace, &schedule);
            return Ok(Exit::Ok);
        }
        execute(context, workspace, schedule, arguments).await
    })
}

/// Adds to a build the seeds that its models read and that are not up to date: without
/// them a selection of models fails in a new place, or reads another file's rows.
async fn with_seeds(
    context: &Context,
    workspace: &Workspace,
    built: Schedule,
    mut selection: Selection,
) -> Result<Schedule> {
    if built.command != Command::Build || selection.select.is_empty() {
        return Ok(built);
    }
    let seeds = workspace.engine.outdated_seeds(&built).await?;
    if seeds.is_empty() {
        return Ok(built);
    }
    let words = seeds
        .iter()
        .map(|s| format!("fqn:{},resource_type:seed", s.fqn.join(".")));
    selection.select.extend(words);
    let with_seeds = schedule(Arc::clone(&built.dag), Command::Build, &selection)?;
    for seed in &seeds {
        if with_seeds.tasks.iter().any(|t| t.node.id == seed.id) {
            let name = &seed.name;
            let message = format!("`{name}` is built too: its table is not up to date");
            context.printer.note(&message);
        }
    }
    Ok(with_seeds)
}

async fn execute(
    context: &Context,
    workspace: Workspace,
    schedule: Schedule,
    arguments: &RunArguments,
) -> Result<Exit> {
    let which = name(schedule.command);
    let invocation = context.invocation(
        which,
        json!({
            "select": arguments.selection.select,
            "exclude": arguments.selection.exclude,
            "full_refresh": arguments.full_refresh,
            "fail_fast": arguments.fail_fast,
        }),
    );
    let Workspace {
        project,
        dag,
        engine,
        ..
    } = workspace;
    artifacts::manifest(&dag, &invocation)?;
    artifacts::compiled(&project, schedule.tasks.iter().map(|t| &*t.node))?;
    let run_context = RunContext {
        run_id: context.run_id.clone(),
        started_at: context.started_at,
        threads: project.target.threads,
        fail_fast: arguments.fail_fast,
        full_refresh: arguments.full_refresh,
        cancelled: context.interrupt.receiver(),
    };
    let observer = Arc::new(Progress::new(Arc::clone(&context.printer)));
    let results = Box::pin(run::run(schedule, engine, run_context, observer)).await;
    let invocation = context.invocation(which, invocation.args);
    artifacts::run_results(&results, &dag, &invocation)?;
    summary(&context.printer, &results);
    if results.interrupted {
        return Err(context::interrupted());
    }
    Ok(Exit::of_results(&results))
}

/// Prints what the schedule reads and writes.
fn dry_run(context: &Context, workspace: &Workspace, schedule: &Schedule) {
    let printer = &context.printer;
    for task in &schedule.tasks {
        let mut text = title(&task.node);
        let reads: Vec<String> = task
            .node
            .depends_on
            .iter()
            .filter_map(|id| workspace.dag.node(id))
            .map(|node| reads(node))
            .collect();
        if let NodeKind::Seed(seed) = &task.node.kind {
            text.push_str(&format!("\n  reads  {}", seed.path.display()));
        }
        for line in reads {
            text.push_str(&format!("\n  reads  {line}"));
        }
        if let Some(line) = writes(&workspace.dag, &task.node) {
            text.push_str(&format!("\n  writes {line}"));
        }
        printer.result(&text);
    }
    printer.note("nothing was read or written: this was a dry run");
}

fn reads(node: &Node) -> String {
    match &node.kind {
        NodeKind::Source(source) => {
            let location = source.location.as_deref().unwrap_or("no location");
            format!("{} ({location})", title(node))
        }
        _ => title(node),
    }
}

fn writes(dag: &Dag, node: &Node) -> Option<String> {
    let relation = node.relation.as_ref()?;
    let location = dag.project.target.location.trim_end_matches('/');
    let folder = match node.config.raw.get("schema") {
        Some(Value::String(schema)) => format!("{location}/{schema}"),
        _ => location.to_owned(),
    };
    let table = || Some(format!("{folder}/{}", relation.name));
    match (&node.kind, node.config.materialized) {
        (NodeKind::Seed(_), _) => table(),
        (NodeKind::Model, Materialized::Table | Materialized::Incremental) => table(),
        (NodeKind::Model, Materialized::External) => {
            let format = node.config.format.as_deref().unwrap_or("parquet");
            let default = || format!("{location}/{}.{format}", relation.name);
            Some(node.config.location.clone().unwrap_or_else(default))
        }
        _ => None,
    }
}

fn name(command: Command) -> &'static str {
    match command {
        Command::Build => "build",
        Command::Run => "run",
        Command::Test => "test",
        Command::Seed => "seed",
    }
}
