//! Synthetic Segment page views: seeded, of any size, with every awkward case.
//!
//! ```text
//! visitor (weight, device, account) -> sessions of a day -> page views -> deliveries -> lake
//!                                        awkward visitors -> page views ------^
//! ```
//!
//! The lake is what has arrived by the end of the last day: one folder a day of arrival. The
//! same options give the same bytes on every machine: all draws are integers out of ChaCha,
//! and no function of the platform's mathematics library is called.

mod awkward;
mod delivery;
mod lake;
mod page_view;
mod random;
mod session;
mod site;
mod visitor;

use std::path::PathBuf;

use chrono::NaiveDate;

use crate::runner::error::{ErrorKind, Result, RunnerError};

use delivery::deliver;
use lake::Lake;
use page_view::{DAY, day_start};
use visitor::Visitor;

/// What to generate.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// Number of visitors, beside the awkward ones.
    pub visitors: u64,
    /// Number of days of arrival.
    pub days: u32,
    /// Other seeds give other visitors.
    pub seed: u64,
    /// Share of page views that arrive days late, from 0 to 1.
    pub late: f64,
    /// The first day.
    pub start: NaiveDate,
    /// The folder to write; it must be empty or not there yet.
    pub output: PathBuf,
}

impl GenerateOptions {
    /// The committed sample: 30 days over a New Year, 2,000 visitors.
    pub fn sample(output: PathBuf) -> Self {
        Self {
            visitors: 2_000,
            days: 30,
            seed: 42,
            late: 0.02,
            start: NaiveDate::from_ymd_opt(2023, 12, 15).unwrap_or_default(),
            output,
        }
    }

    fn check(&self) -> Result<()> {
        let wrong = |message: String| Err(RunnerError::new(ErrorKind::Usage, message));
        if self.days == 0 || self.days > 3_650 {
            return wrong(format!("`days` must be 1 to 3650; found `{}`", self.days));
        }
        if !(0.0..=1.0).contains(&self.late) {
            return wrong(format!("`late` must be 0 to 1; found `{}`", self.late));
        }
        Ok(())
    }
}

/// What was generated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GenerateReport {
    /// Rows written, second deliveries included.
    pub page_views: u64,
    /// Files written, one a day.
    pub files: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Writes `<output>/dt=YYYY-MM-DD/part-0.parquet`, one file a day of arrival.
///
/// Days are generated one after the other. What is held in memory is one batch and the page
/// views that are still to arrive, so any number of visitors and days can be asked for.
pub fn generate(options: &GenerateOptions) -> Result<GenerateReport> {
    options.check()?;
    let mut lake = Lake::create(&options.output, options.start, options.days)?;
    for page_view in awkward::page_views(options.start) {
        lake.hold(page_view);
    }
    for day in 0..options.days {
        lake.open(day)?;
        let midnight = day_start(options.start) + i64::from(day) * DAY;
        for number in 0..options.visitors {
            let visitor = Visitor::new(options, number);
            for page_view in session::page_views(options, &visitor, day, midnight) {
                deliver(options, page_view, &mut lake)?;
            }
        }
        lake.close()?;
    }
    Ok(lake.report())
}

#[cfg(test)]
mod tests;
