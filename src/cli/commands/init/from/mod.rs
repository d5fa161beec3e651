//! `init --from`: a project over files that are there already.
//!
//! ```text
//!   files ──► columns with values ──► which column is what, which pack ──► sources.yml, SQL
//! ```
//!
//! It asks nothing: what it takes a column for, and why, is printed.

mod look;
mod project;
mod propose;
mod roles;
mod show;

use std::path::Path;

use datafusion_sessionize::Stores;
use datafusion_sessionize::runner::error::Result;

use super::files::{Files, PROJECT_FILE};
use super::{packs, say_along, usage};
use crate::cli::context::{Context, environment};
use propose::Pack;

/// The pack that measures what another one gives.
const METRICS: &str = "metrics";
/// What it measures: as packaged, and over the events pack.
const MEASURED: (&str, &str) = (
    "metrics_events_model: page_views__sessionized",
    "metrics_events_model: events__sessionized",
);

/// The files of a project in `folder` over the events at `location`.
pub(super) fn files(
    context: &Context,
    embedded: &Files,
    location: &str,
    wished: &[String],
    folder: &Path,
) -> Result<Files> {
    let stores = Stores::new(environment());
    let look = look::look(location, &context.current_dir, &stores);
    let columns = context.block_on(look)?;
    only_over_files(wished)?;
    let pack = base(wished)?;
    let proposal = propose::propose(location, &columns, pack)?;
    let shown = show::table(location, &columns, &proposal);
    context.printer.result(&shown);
    let own = proposal.pack.name();
    let mut chosen = vec![own.to_owned()];
    chosen.extend(wished.iter().filter(|pack| *pack != own).cloned());
    let mut embedded = embedded.clone();
    if proposal.pack == Pack::Events {
        // metrics, if wished, are to be of the user's own events
        let (page_views, events) = MEASURED;
        embedded.change(PROJECT_FILE, |text| text.replace(page_views, events));
    }
    let (files, along) = packs::chosen(&embedded, &chosen)?;
    say_along(context, &along);
    let location = written(location, &context.current_dir, folder);
    project::over(files, &location, &columns, &proposal)
}

/// Refuses packs that would read their samples and not the files.
fn only_over_files(wished: &[String]) -> Result<()> {
    let able = |name: &str| Pack::named(name).is_some() || name == METRICS;
    let Some(other) = wished.iter().find(|name| !able(name)) else {
        return Ok(());
    };
    let message = format!("`--from` cannot write the pack `{other}` over the files");
    let hint = format!("it can write `events` or `segment`, and `{METRICS}` beside them");
    Err(usage(message).with_hint(hint))
}

/// The pack that is to read the files, if the wish names one.
fn base(wished: &[String]) -> Result<Option<Pack>> {
    let able = wished.iter().filter_map(|name| Pack::named(name));
    match able.collect::<Vec<_>>().as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => {
            let message = "`--from` writes one of the packs `events` and `segment` over the files, not both";
            Err(usage(message))
        }
    }
}

/// The location as the project's file names it: relative if it is within the project.
fn written(location: &str, current: &Path, folder: &Path) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let whole = current.join(location);
    let within = whole.strip_prefix(folder).unwrap_or(&whole);
    within.display().to_string()
}
