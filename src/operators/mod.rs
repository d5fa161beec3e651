//! Physical operators, a folder each.

mod sessionize;

pub(crate) use sessionize::SessionizeExec;
