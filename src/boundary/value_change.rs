//! Value change: the value is not null and differs from the last one that was not null
//! in this session. Two events of one instant are never parted, but the later one's
//! value is the one that is remembered.

use datafusion::common::Result;

use super::{Event, Rule, Rules, SessionState, StartReason};

pub(super) const RULE: Rule = Rule {
    reason: StartReason::ValueChange,
    splits_ties: false,
    enabled: |rules| rules.value_change,
    holds,
};

fn holds(_: &Rules, state: &SessionState, event: &Event<'_>) -> Result<bool> {
    Ok(match (state.last_value(), event.value) {
        (Some(last), Some(value)) => last != value,
        _ => false,
    })
}
