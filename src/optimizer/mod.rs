//! Rules over plans.

mod check_connected_components;
mod use_connected_components;
mod use_late_operators;
mod use_sessionize;

pub(crate) use check_connected_components::CheckConnectedComponents;
pub(crate) use use_connected_components::UseConnectedComponents;
pub(crate) use use_late_operators::{FinishLateOperators, UseLateOperators};
pub(crate) use use_sessionize::UseSessionize;
