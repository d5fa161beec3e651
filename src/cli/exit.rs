//! What the process tells its caller: decided here and nowhere else.

use datafusion_sessionize::runner::error::{ErrorKind, RunnerError};
use datafusion_sessionize::runner::run::{RunResults, Status};

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All well.
    Ok,
    /// A model or a test failed, or a query failed while it ran.
    Failed,
    /// The command line or the project is wrong.
    Usage,
    /// The user stopped it.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
        }
    }

    /// What a run's results say.
    pub(crate) fn of_results(results: &RunResults) -> Self {
        let failed = |s: Status| matches!(s, Status::Error | Status::Fail);
        if results.interrupted {
            Self::Interrupted
        } else if results.results.iter().any(|r| failed(r.status)) {
            Self::Failed
        } else {
            Self::Ok
        }
    }
}

impl From<&RunnerError> for Exit {
    fn from(error: &RunnerError) -> Self {
        match error.kind() {
            ErrorKind::Interrupted => Self::Interrupted,
            ErrorKind::Execution | ErrorKind::Store | ErrorKind::Internal => Self::Failed,
            ErrorKind::Usage
            | ErrorKind::Project
            | ErrorKind::Template
            | ErrorKind::Graph
            | ErrorKind::Sql
            | ErrorKind::Source => Self::Usage,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_before_a_run_are_the_users() {
        let of = |kind| Exit::from(&RunnerError::new(kind, "x")).code();
        assert_eq!(of(ErrorKind::Graph), 2);
        assert_eq!(of(ErrorKind::Execution), 1);
        assert_eq!(of(ErrorKind::Interrupted), 130);
    }

    #[test]
    fn an_interrupted_run_is_not_a_failed_one() {
        let results = RunResults {
            results: Vec::new(),
            elapsed: std::time::Duration::ZERO,
            interrupted: true,
        };
        assert_eq!(Exit::of_results(&results), Exit::Interrupted);
    }
}
