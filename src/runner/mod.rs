//! The SQL-model runner: a dbt-shaped project in, committed tables out.
//!
//! Data flows one way, and each arrow is one function and one plain value:
//!
//! ```text
//! project::load -> Project -> compile::compile -> Dag -> schedule::schedule -> Schedule
//!                                                     -> run::run -> RunResults -> report
//! ```
//!
//! Rooms import only from rooms listed before them: `error`, `template`, `project`,
//! `data_tests`, `compile`, `materialization`, `schedule`, `engine`, `run`, `report`.

pub mod compile;
pub mod data_tests;
pub mod engine;
pub mod error;
pub mod materialization;
pub mod project;
pub mod report;
pub mod run;
pub mod schedule;
pub mod template;
