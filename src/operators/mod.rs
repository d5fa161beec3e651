//! Physical operators, a folder each.

mod connected_components;
mod sessionize;
mod spill;

pub(crate) use connected_components::ConnectedComponentsExec;
#[cfg(feature = "runner")]
pub(crate) use sessionize::{ColumnSource, KeptColumns, KeyHasher, Others};
pub(crate) use sessionize::{
    LateAggregateExec, LateSessionizeExec, SessionizeExec, Windows, narrowed, ready,
};
