//! From a page view to its deliveries: on time, late, or twice.

use crate::runner::error::Result;

use super::GenerateOptions;
use super::lake::Lake;
use super::page_view::{DAY, HOUR, PageView, SECOND};
use super::random::Random;
use super::session::Viewed;

/// Share of page views that are delivered a second time.
const TWICE: f64 = 0.015;
/// Longest delay of a late delivery, in days; bounds what a lake holds in memory.
const LATEST: i64 = 7;

/// Sends a page view into the lake. `received_at` is set here.
pub(crate) fn deliver(
    options: &GenerateOptions,
    viewed: Viewed,
    lake: &mut Lake,
) -> Result<()> {
    let Viewed {
        mut page_view,
        mut draws,
    } = viewed;
    let viewed_at = page_view.timestamp.unwrap_or_default();
    let delay = if draws.chance(options.late) {
        draws.millis(DAY, LATEST * DAY)
    } else {
        draws.millis(80, 2 * SECOND)
    };
    page_view.sent_at = Some(viewed_at + delay - draws.millis(20, 60));
    page_view.received_at = viewed_at + delay;
    if draws.chance(TWICE) {
        lake.write(again(&page_view, &mut draws))?;
    }
    lake.write(page_view)
}

/// The same page view, received once more a little later.
fn again(page_view: &PageView, draws: &mut Random) -> PageView {
    let delay = draws.millis(SECOND, 20 * HOUR);
    PageView {
        received_at: page_view.received_at + delay,
        sent_at: page_view.sent_at.map(|sent| sent + delay),
        ..page_view.clone()
    }
}
