//! DataFusion's errors in the runner's words.

use std::error::Error;

use datafusion::common::DataFusionError;

use crate::catalog::NoFiles;
use crate::runner::error::{ErrorKind, RunnerError};
use crate::store::told_by_store;
use crate::table::TableError;

/// Phrases DataFusion puts before what happened.
const NOISE: [&str; 16] = [
    "Error during planning: ",
    "Schema error: ",
    "SQL error: ",
    "Execution error: ",
    "External error: ",
    "Arrow error: ",
    "Parquet error: ",
    "Object Store error: ",
    "IO error: ",
    "Invalid or Unsupported Configuration: ",
    "Not Yet Implemented: ",
    "Resources exhausted: ",
    "Cast error: ",
    "type_coercion\ncaused by\n",
    "check_connected_components\ncaused by\n",
    "Parser error: ",
];

/// The message without backtrace and without the names of error classes.
pub(crate) fn clean_message(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let mut text = text.trim();
    if let Some(rest) = text.strip_prefix("Optimizer rule '") {
        text = rest
            .split_once("' failed\ncaused by\n")
            .map_or(text, |(_, cause)| cause);
    }
    while let Some(rest) = NOISE.iter().find_map(|n| text.strip_prefix(n)) {
        text = rest.trim_start();
    }
    text.replace("This feature is not implemented: ", "not supported: ")
        .replace("\ncaused by\n", ": ")
        .replace("Object Store error: Generic store error: ", "")
        .replace(
            "This issue was likely caused by a bug in DataFusion's code. ",
            "",
        )
}

/// What went wrong while a query ran.
pub(crate) fn execution_error(error: DataFusionError) -> RunnerError {
    let root = error.find_root();
    let kind = match root {
        DataFusionError::ResourcesExhausted(_) | DataFusionError::Execution(_) => {
            ErrorKind::Execution
        }
        DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_) => ErrorKind::Source,
        DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_) => ErrorKind::Sql,
        DataFusionError::Internal(_) => ErrorKind::Internal,
        DataFusionError::External(_) if NoFiles::is_behind(root) => ErrorKind::Source,
        _ => ErrorKind::Execution,
    };
    let exhausted = matches!(root, DataFusionError::ResourcesExhausted(_));
    if let Some((said, hint)) = told_by_store(&error) {
        let message = clean_message(&error);
        // deep inside, another layer may have put its own words around it
        let message = if message.ends_with(&said) {
            message
        } else {
            said
        };
        return RunnerError::new(ErrorKind::Store, message)
            .with_source(error)
            .with_hint(hint);
    }
    let message = clean_message(&error);
    let message = if exhausted {
        without_consumers(&message)
    } else {
        &message
    };
    let found = RunnerError::new(kind, message.to_owned()).with_source(error);
    if exhausted {
        return found.with_hint(
            "raise the memory limit, or lower `--threads` so that fewer models share it",
        );
    }
    found
}

/// What could not be allocated, without the list of who holds what before it.
fn without_consumers(message: &str) -> &str {
    message
        .rsplit_once("\nError: ")
        .map_or(message, |(_, what)| what)
}

/// The error of a query whose rows were already on their way.
pub fn query_failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> RunnerError {
    match cause.into().downcast::<DataFusionError>() {
        Ok(error) => execution_error(*error),
        Err(cause) => {
            let message = "the query failed while it ran";
            RunnerError::new(ErrorKind::Execution, message).with_source(cause)
        }
    }
}

/// What the store or the log of a table said.
pub(crate) fn store_error(error: TableError) -> RunnerError {
    if let Some((said, hint)) = told_by_store(&error) {
        return RunnerError::new(ErrorKind::Store, said)
            .with_source(error)
            .with_hint(hint);
    }
    let hint = match &error {
        TableError::Conflict { .. } => "run it again, one run at a time",
        TableError::Other { .. } => {
            "check that the target's `location` (or `--location`) is a folder that can be \
             written to and has room"
        }
    };
    RunnerError::new(ErrorKind::Store, error.to_string())
        .with_source(error)
        .with_hint(hint)
}

/// Whether a build failed because another run committed first.
pub(crate) fn is_conflict(error: &RunnerError) -> bool {
    let source = Error::source(error);
    let found = source.and_then(|e| e.downcast_ref::<TableError>());
    matches!(found, Some(TableError::Conflict { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_are_dropped() {
        let error = DataFusionError::Plan("no column `a`".to_owned());
        assert_eq!(clean_message(&error), "no column `a`");
        let cause = DataFusionError::Execution("no date".to_owned());
        let error = cause.context("Optimizer rule 'simplify_expressions' failed");
        assert_eq!(clean_message(&error), "no date");
    }

    #[test]
    fn memory_has_a_hint() {
        let error = execution_error(DataFusionError::ResourcesExhausted("full".into()));
        assert_eq!(error.kind(), ErrorKind::Execution);
        assert_eq!(error.message(), "full");
        assert!(error.hint().is_some_and(|h| h.contains("--threads")));
    }
}
