//! `generate`.

use datafusion_sessionize::generate::{GenerateOptions, generate};
use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};

use crate::cli::args::GenerateArguments;
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::progress::{bytes, count};

/// Writes synthetic page views.
pub(crate) fn run(context: &Context, arguments: &GenerateArguments) -> Result<Exit> {
    let options = GenerateOptions {
        visitors: arguments.visitors,
        days: arguments.days,
        seed: arguments.seed,
        late: arguments.late,
        start: arguments.start,
        output: context.absolute(&arguments.output),
    };
    // Generating is plain computing: on a thread of its own it cannot delay an interrupt.
    let report = context.block_on(async {
        let done = tokio::task::spawn_blocking(move || generate(&options)).await;
        done.map_err(|e| {
            RunnerError::new(ErrorKind::Internal, "generating ended early").with_source(e)
        })?
    })?;
    let rows = count(report.page_views, "page view");
    let files = count(report.files, "file");
    let size = bytes(report.bytes);
    let shown = arguments.output.display();
    context
        .printer
        .result(&format!("wrote {rows} in {files} ({size}) to `{shown}`"));
    Ok(Exit::Ok)
}
