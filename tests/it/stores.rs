//! Stores: what each must do, what a run makes of one that fails, and two runs at once.

mod conformance;
mod faults;
pub(crate) mod faulty;
mod large_lake;
mod project;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
pub(crate) mod server;
#[cfg(feature = "http")]
mod web;
