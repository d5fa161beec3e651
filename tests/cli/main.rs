//! The built binary: exit code, stdout and stderr of every command and of every kind of
//! error that a user meets, each in one filtered snapshot.

#![expect(clippy::expect_used, reason = "helpers of tests fail by panicking")]

mod artifacts;
mod commands;
mod errors;
mod errors_data;
mod errors_models;
mod errors_project;
#[cfg(unix)]
mod interrupt;
mod nodes;
mod projects;
mod rows;
mod strategies;
mod support;
