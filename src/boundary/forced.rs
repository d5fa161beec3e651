//! Forced: the event itself asks for a new session (`start_when`), or the event before
//! ended its own (`end_after`). The only rule that parts events of one instant.

use datafusion::common::Result;

use super::{Event, Rule, Rules, SessionState, StartReason};

pub(super) const RULE: Rule = Rule {
    reason: StartReason::Forced,
    splits_ties: true,
    enabled: |rules| rules.forced,
    holds,
};

fn holds(_: &Rules, state: &SessionState, event: &Event<'_>) -> Result<bool> {
    Ok(event.starts || state.previous().is_some_and(|previous| previous.ends))
}
