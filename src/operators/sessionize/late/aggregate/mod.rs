//! `LateAggregateExec`: groups with the first and last rows that belong to them.
//!
//! ```text
//!            ┌─ group, time only ─► rows sorted part by part ─► Groups: counts, times,
//!   input ───┤  (narrow pass)       (cut into sessions)           addresses of rows to pick
//!            │                                                       │
//!            └─ picked columns ──► first and last rows ─────────► Assembler: a row a group
//!               (wide pass)
//! ```
//!
//! DataFusion keeps the order and the value of every `first_value` and `last_value` of every
//! group. Here a group is a few addresses until its rows come by in the wide pass, and is
//! given away once it has them all.
//!
//! Where the groups are the sessions of `LateSessionizeExec`, they are cut from the sorted
//! rows and no row is numbered.

mod assemble;
mod disk;
mod exec;
mod follow;
mod groups;
mod in_place;
mod join;
mod numbering;
mod of_key;
mod others;
mod picking;
mod picks;
mod plan;
mod run;
mod spec;

pub(crate) use exec::LateAggregateExec;
