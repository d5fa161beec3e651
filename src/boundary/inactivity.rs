//! Inactivity: the time since the event before reaches the gap.
//!
//! A null gap in a row compares with nothing, as in SQL: that row is not split by this
//! rule.

use datafusion::common::Result;

use super::{Event, Gap, Rule, Rules, SessionState, StartReason};

pub(super) const RULE: Rule = Rule {
    reason: StartReason::Inactivity,
    splits_ties: false,
    enabled: |_| true,
    holds,
};

fn holds(rules: &Rules, state: &SessionState, event: &Event<'_>) -> Result<bool> {
    let gap = match rules.gap {
        Gap::Every(nanos) => Some(nanos),
        Gap::PerRow => event.gap,
    };
    Ok(match (state.previous(), gap) {
        (Some(previous), Some(gap)) => rules.reaches(previous.time, event.time, gap),
        _ => false,
    })
}
