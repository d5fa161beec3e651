//! Integration tests, one binary, a module each.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::clone_on_ref_ptr,
    reason = "helpers of tests fail by panicking"
)]

mod catalog;
mod connected_component;
mod embedding;
mod functions_page;
mod incremental;
mod json_lake;
mod late;
mod layers;
mod optimize;
mod oracle;
mod other_engine;
mod packs;
mod parquet_types;
mod run;
mod scalars;
mod schedules;
mod splice;
mod splice_join;
mod splice_query;
mod stores;
mod strategies;
