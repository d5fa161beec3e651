//! Rules over physical plans.

mod use_sessionize;

pub(crate) use use_sessionize::UseSessionize;
