//! What went wrong, where in the user's files, and what to do about it.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Result of every runner function.
pub type Result<T, E = RunnerError> = std::result::Result<T, E>;

/// What kind of thing went wrong; decides the exit code and the status of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A wrong option, variable or selection on the command line.
    Usage,
    /// A project file is missing, unreadable or says something that is not accepted.
    Project,
    /// A template does not parse or fails while rendering.
    Template,
    /// A reference cannot be resolved, or the graph has a cycle.
    Graph,
    /// SQL that does not parse or does not plan.
    Sql,
    /// Source data that is missing, unreadable or of the wrong shape.
    Source,
    /// A store or a table commit failed.
    Store,
    /// A query failed while it ran.
    Execution,
    /// The run was interrupted.
    Interrupted,
    /// A bug of ours.
    Internal,
}

/// A place in a user's file. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Path as the user knows it (relative to the project's root where it lies below it).
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters of what is marked; at least 1.
    pub length: usize,
    /// The whole text of the file, for an excerpt.
    pub text: Arc<str>,
}

/// The one error type of the runner.
#[derive(Debug)]
pub struct RunnerError {
    kind: ErrorKind,
    message: String,
    location: Option<Box<Location>>,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl RunnerError {
    /// An error of `kind`. Messages are lower case and name things in backticks.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            location: None,
            hint: None,
            source: None,
        }
    }

    /// Adds where in the user's files the error lies.
    #[must_use]
    pub fn with_location(mut self, location: Location) -> Self {
        self.location = Some(Box::new(location));
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says more than before.
    #[must_use]
    pub(crate) fn with_message(mut self, message: String) -> Self {
        self.message = message;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The cause; the error itself if it has none.
    pub(crate) fn into_cause(mut self) -> Box<dyn Error + Send + Sync> {
        match self.source.take() {
            Some(source) => source,
            None => Box::new(self),
        }
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message alone, without location, hint or cause.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the user's files, if that is known.
    pub fn location(&self) -> Option<&Location> {
        self.location.as_deref()
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for RunnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for RunnerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}

/// The candidate nearest to `name`, if one is near enough to be what was meant.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .into_iter()
        .map(|c| (strsim::normalized_damerau_levenshtein(name, c), c))
        .filter(|(score, _)| *score >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, c)| format!("did you mean `{c}`?"))
}
