//! Longest session: the time since the session's first event reaches the maximum.

use datafusion::common::Result;

use super::{Event, Rule, Rules, SessionState, StartReason};

pub(super) const RULE: Rule = Rule {
    reason: StartReason::MaxDuration,
    splits_ties: false,
    enabled: |rules| rules.max_duration.is_some(),
    holds,
};

fn holds(rules: &Rules, state: &SessionState, event: &Event<'_>) -> Result<bool> {
    Ok(rules
        .max_duration
        .is_some_and(|longest| rules.reaches(state.start(), event.time, longest)))
}
