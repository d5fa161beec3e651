//! The built binary: exit code, stdout and stderr of every command and of every kind of
//! error that a user meets, each in one filtered snapshot.

#![expect(clippy::expect_used, reason = "helpers of tests fail by panicking")]

mod artifacts;
mod commands;
mod errors;
mod init;
mod init_files;
#[cfg(unix)]
mod interrupt;
mod kills;
mod listing;
mod nodes;
mod projects;
mod rows;
#[cfg(feature = "s3")]
mod s3;
mod strategies;
mod support;
mod traffic_source;
mod updates;
mod upkeep;
