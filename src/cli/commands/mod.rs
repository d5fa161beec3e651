//! One file a command.

mod clean;
mod compile;
mod debug;
mod generate;
mod graph;
mod init;
mod ls;
mod query;
mod run;
mod show;
mod upkeep;

use clap::CommandFactory;

use datafusion_sessionize::runner::compile::Selection;
use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use datafusion_sessionize::runner::schedule;

use super::args::{Arguments, Command, SelectArguments};
use super::context::Context;
use super::exit::Exit;
use super::printer::Printer;

/// Runs the command.
pub(crate) fn run(context: &Context, command: Command) -> Result<Exit> {
    match command {
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Build(arguments) => {
            run::run(context, schedule::Command::Build, &arguments)
        }
        Command::Run(arguments) => run::run(context, schedule::Command::Run, &arguments),
        Command::Test(arguments) => {
            run::run(context, schedule::Command::Test, &arguments)
        }
        Command::Seed(arguments) => {
            run::run(context, schedule::Command::Seed, &arguments)
        }
        Command::Ls(arguments) => ls::run(context, &arguments),
        Command::Compile(arguments) => compile::run(context, &arguments),
        Command::Show(arguments) => show::run(context, &arguments),
        Command::Query(arguments) => query::run(context, &arguments),
        Command::History(arguments) => upkeep::history(context, &arguments),
        Command::Vacuum(arguments) => upkeep::vacuum(context, &arguments),
        Command::Optimize(arguments) => upkeep::optimize(context, &arguments),
        Command::Debug => debug::run(context),
        Command::Clean(arguments) => clean::run(context, &arguments),
        Command::Generate(arguments) => generate::run(context, &arguments),
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Exit> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(shell, &mut command, "sessionize", &mut script);
    use std::io::Write;
    match Printer::stdout().write_all(&script) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(super::artifacts::cannot_write("stdout".as_ref(), e))
        }
        _ => Ok(Exit::Ok),
    }
}

impl From<&SelectArguments> for Selection {
    fn from(arguments: &SelectArguments) -> Self {
        Self {
            select: arguments.select.clone(),
            exclude: arguments.exclude.clone(),
        }
    }
}

/// A [`ErrorKind::Usage`] error.
fn usage(message: impl Into<String>) -> RunnerError {
    RunnerError::new(ErrorKind::Usage, message)
}
