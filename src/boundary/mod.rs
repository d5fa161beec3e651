//! The rule for "a new session starts here": the only place it is written.
//!
//! ```text
//!   arrays of a batch            one event at a time          what it led to
//! ┌──────────────────────┐      ┌────────────────────┐      ┌────────────────┐
//! │ EventColumns         │ ───► │ SessionState::push │ ───► │ Option<Start-  │
//! │ time, gap, split_on, │      │  asks every enabled│      │ Reason>, number│
//! │ start_when, end_after│      │  rule of RULES     │      │ event_number   │
//! └──────────────────────┘      └─────────┬──────────┘      └────────────────┘
//!                                         │ carried from batch to batch
//! ```
//!
//! A state belongs to one key, whose events come in ascending time. Where a batch ends
//! does not matter: nothing but the state remembers the past.

mod calendar_day;
mod columns;
mod forced;
mod inactivity;
mod length;
mod max_duration;
mod rules;
mod stable_id;
mod state;
mod value_change;

pub(crate) use columns::{ColumnIndexes, EventColumns, SplitEncoder};
pub(crate) use length::{duration_nanos, interval_nanos};
pub(crate) use rules::{Boundary, Gap, Granularity, Rules};
pub(crate) use stable_id::StableId;
pub(crate) use state::{Event, SessionState, StartReason};

use datafusion::common::Result;

/// One way in which a session can start.
#[derive(Debug)]
pub(crate) struct Rule {
    /// What is reported when this rule is the first that holds.
    pub(crate) reason: StartReason,
    /// Whether it may part two events of the very same instant.
    pub(crate) splits_ties: bool,
    /// Whether the arguments ask for it at all.
    pub(crate) enabled: fn(&Rules) -> bool,
    /// Whether `Event` starts a session, given the state that its predecessors left.
    pub(crate) holds: fn(&Rules, &SessionState, &Event<'_>) -> Result<bool>,
}

/// Every rule, in the order in which reasons are reported.
pub(crate) static RULES: [Rule; 5] = [
    inactivity::RULE,
    max_duration::RULE,
    calendar_day::RULE,
    value_change::RULE,
    forced::RULE,
];
