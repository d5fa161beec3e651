//! The command line: arguments in, printed text and an exit code out.
//!
//! ```text
//! args ──► context (printer, environment, clock, signals) ──► commands ──► exit
//! ```
//!
//! Only this room prints, reads the environment, asks the clock and exits.

mod args;
mod artifacts;
mod commands;
mod context;
mod errors;
mod exit;
mod interrupt;
mod output;
mod printer;
mod progress;
mod values;

use clap::Parser;

use args::Arguments;
use context::Context;
pub(crate) use exit::Exit;

/// Runs the command line and says how it ended.
pub(crate) fn main() -> Exit {
    // Nothing is built before this: `--help` must answer at once.
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            printer::clap_message(&error);
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
        }
    };
    let context = match Context::try_new(arguments.global) {
        Ok(context) => context,
        Err(error) => {
            printer::early_error(&error.to_string());
            return Exit::Failed;
        }
    };
    match commands::run(&context, arguments.command) {
        Ok(exit) => exit,
        Err(error) => {
            context.printer.error(&error);
            Exit::from(&error)
        }
    }
}
