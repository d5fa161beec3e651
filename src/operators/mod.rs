//! Physical operators, a folder each.

mod connected_components;
mod sessionize;
mod spill;

pub(crate) use connected_components::ConnectedComponentsExec;
pub(crate) use sessionize::{LateAggregateExec, LateSessionizeExec, SessionizeExec};
