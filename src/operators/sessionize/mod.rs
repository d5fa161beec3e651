//! `SessionizeExec`: window functions over ordered events in one pass.
//!
//! ```text
//! rows ordered by key, time, tie-breakers            rows, in the same order
//!         │                                                   ▲
//!         ▼                                                   │ + one column a function
//! ┌───────────────┐   ┌─────────────────┐   ┌────────────────┴───┐
//! │ Keys: where a │──►│ Run: one state a│──►│ Writer: one column │
//! │ new key starts│   │ rule, reset at  │   │ a function         │
//! └───────────────┘   │ every new key   │   └────────────────────┘
//!                     └─────────────────┘
//! ```
//!
//! DataFusion's window operator keeps a state and searches its bounds for every partition,
//! and there is a partition for every visitor. Here a new key is one reset of the state.
//! Memory is that of one batch.

mod exec;
mod keys;
mod late;
mod run;

pub(crate) use exec::SessionizeExec;
#[cfg(feature = "runner")]
pub(crate) use late::{ColumnSource, KeptColumns, KeyHasher, Others};
pub(crate) use late::{LateAggregateExec, LateSessionizeExec, Windows, narrowed, ready};
