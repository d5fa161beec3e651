//! What the errors of a remote store mean to its user: one line and what to check.

use std::error::Error as StdError;
use std::fmt;

use object_store::Error;
use object_store::path::Path;

/// The words of one kind of store.
#[derive(Debug)]
pub(super) struct Words {
    /// What the authority of its URLs names.
    pub(super) container: &'static str,
    /// What to check if that is not found or cannot be reached.
    pub(super) place: &'static str,
    /// What to check if the credentials are missing or not accepted.
    pub(super) credentials: &'static str,
    /// What must be allowed.
    pub(super) permission: &'static str,
}

/// What was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Open,
    Read,
    List,
    Write,
}

/// Why a store did not do what it was asked, in its user's words.
#[derive(Debug)]
pub(crate) struct StoreFailure {
    message: String,
    hint: String,
}

impl StoreFailure {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// What can be done about it.
    #[cfg_attr(
        not(feature = "runner"),
        expect(dead_code, reason = "the runner alone shows hints")
    )]
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for StoreFailure {}

impl From<StoreFailure> for Error {
    fn from(failure: StoreFailure) -> Self {
        Self::Generic {
            store: "store",
            source: Box::new(failure),
        }
    }
}

/// The failure behind `error`, however deep.
#[cfg(feature = "runner")]
pub(crate) fn store_failure<'a>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a StoreFailure> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref::<StoreFailure>() {
            return Some(failure);
        }
        next = error.source();
    }
    None
}

/// `error` of an attempt at `path` of the store `root`, told in the user's words. Errors that
/// callers branch on stay as they are.
pub(super) fn explained(
    words: &Words,
    (root, path): (&str, Option<&Path>),
    of: Attempt,
    error: Error,
) -> Error {
    match &error {
        Error::AlreadyExists { .. }
        | Error::Precondition { .. }
        | Error::NotModified { .. }
        | Error::NotImplemented { .. }
        | Error::NotSupported { .. } => return error,
        Error::NotFound { .. } if of == Attempt::Read && !names_container(&error) => {
            return error;
        }
        Error::Generic { source, .. } if source.is::<StoreFailure>() => return error,
        _ => {}
    }
    let url = path.map_or_else(|| root.to_owned(), |path| format!("{root}/{path}"));
    told(words, (root, &url), of, &error).into()
}

/// The line on `error`, and what to check.
fn told(
    words: &Words,
    (root, url): (&str, &str),
    of: Attempt,
    error: &Error,
) -> StoreFailure {
    let said = said(error);
    let container = words.container;
    let line =
        |what: &str, hint: &str| StoreFailure::new(format!("`{url}`: {what}"), hint);
    let of_container =
        |what: String| StoreFailure::new(format!("`{root}`: {what}"), words.place);
    match Cause::of(error, of) {
        Cause::NoContainer => of_container(format!("there is no such {container}")),
        Cause::OtherRegion => {
            of_container(format!("the {container} is in another region"))
        }
        Cause::NoCredentials => {
            with_detail(url, "no credentials were found", &said, words.credentials)
        }
        Cause::Expired => line(
            "the credentials have expired",
            "log in again, or renew them",
        ),
        Cause::NotAccepted => line("the credentials are not accepted", words.credentials),
        Cause::Refused => {
            let hint = format!("{}; {}", words.credentials, words.permission);
            line("access is refused", &hint)
        }
        Cause::Unreachable => {
            with_detail(url, "the store cannot be reached", &said, words.place)
        }
        Cause::NoRanges => line(
            "the server does not send parts of files, which reading Parquet needs",
            "download the file, or serve it with a server that knows `Range`",
        ),
        Cause::Other => {
            let what = match of {
                Attempt::Open => "the store cannot be opened",
                Attempt::Read => "reading failed",
                Attempt::List => "listing failed",
                Attempt::Write => "writing failed",
            };
            let hint = "run it again if it may be a passing one";
            with_detail(url, what, &said, hint)
        }
    }
}

fn with_detail(url: &str, what: &str, said: &str, hint: &str) -> StoreFailure {
    StoreFailure::new(format!("`{url}`: {what} ({said})"), hint)
}

/// Kinds of failure that have their own remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    NoContainer,
    NoCredentials,
    Expired,
    NotAccepted,
    Refused,
    OtherRegion,
    Unreachable,
    NoRanges,
    Other,
}

/// Codes and phrases of the stores' answers, the telling ones first.
const PHRASES: &[(&str, Cause)] = &[
    ("NoSuchBucket", Cause::NoContainer),
    ("ContainerNotFound", Cause::NoContainer),
    ("The specified bucket does not exist", Cause::NoContainer),
    ("ExpiredToken", Cause::Expired),
    ("token has expired", Cause::Expired),
    ("InvalidAccessKeyId", Cause::NotAccepted),
    ("SignatureDoesNotMatch", Cause::NotAccepted),
    ("InvalidToken", Cause::NotAccepted),
    ("AuthenticationFailed", Cause::NotAccepted),
    ("invalid_grant", Cause::NotAccepted),
    ("AuthorizationHeaderMalformed", Cause::OtherRegion),
    ("incorrectly configured region", Cause::OtherRegion),
    ("PermanentRedirect", Cause::OtherRegion),
    (
        "no providers in chain provided credentials",
        Cause::NoCredentials,
    ),
    ("not loaded credentials", Cause::NoCredentials),
    ("instance metadata", Cause::NoCredentials),
    ("latest/api/token", Cause::NoCredentials),
    ("computeMetadata", Cause::NoCredentials),
    ("metadata/identity", Cause::NoCredentials),
    ("error sending request", Cause::Unreachable),
    ("dns error", Cause::Unreachable),
    ("HTTP error: error", Cause::Unreachable),
    ("Range request not supported", Cause::NoRanges),
    ("non-partial response when range requested", Cause::NoRanges),
];

impl Cause {
    fn of(error: &Error, attempt: Attempt) -> Self {
        let text = whole(error);
        if let Some((_, cause)) = PHRASES.iter().find(|(phrase, _)| text.contains(phrase))
        {
            return *cause;
        }
        match error {
            // keys that are not there are no errors of these
            Error::NotFound { .. } if attempt != Attempt::Read => Self::NoContainer,
            Error::PermissionDenied { .. } => Self::Refused,
            Error::Unauthenticated { .. } => Self::NotAccepted,
            _ => Self::Other,
        }
    }
}

fn names_container(error: &Error) -> bool {
    Cause::of(error, Attempt::Read) == Cause::NoContainer
}

/// The error with all its causes.
fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The innermost cause, in one short line.
fn said(error: &Error) -> String {
    let mut innermost: &(dyn StdError + 'static) = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let text = innermost.to_string();
    let text = message_in(&text).unwrap_or(&text);
    let line: Vec<_> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What stands in the `Message` of an XML answer.
fn message_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Message>")?;
    rest.split_once("</Message>").map(|(message, _)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words {
        container: "bucket",
        place: "check the place",
        credentials: "check the keys",
        permission: "allow it",
    };

    fn generic(text: &str) -> Error {
        Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        }
    }

    fn refused(text: &str) -> Error {
        Error::PermissionDenied {
            path: "k".to_owned(),
            source: text.to_owned().into(),
        }
    }

    fn missing() -> Error {
        Error::NotFound {
            path: "k".to_owned(),
            source: "404".to_owned().into(),
        }
    }

    #[test]
    fn every_failure_is_one_line_with_the_url_and_what_to_check() {
        let cases = [
            (
                Attempt::List,
                missing(),
                "`s3://b`: there is no such bucket",
                "check the place",
            ),
            (
                Attempt::Read,
                refused("<Code>InvalidAccessKeyId</Code>"),
                "`s3://b/k`: the credentials are not accepted",
                "check the keys",
            ),
            (
                Attempt::Read,
                refused(""),
                "`s3://b/k`: access is refused",
                "check the keys; allow it",
            ),
            (
                Attempt::List,
                generic("an incorrectly configured region"),
                "`s3://b`: the bucket is in another region",
                "check the place",
            ),
            (
                Attempt::Write,
                generic("<Message>We\n are  full</Message>"),
                "`s3://b/k`: writing failed (We are full)",
                "run it again if it may be a passing one",
            ),
        ];
        for (attempt, error, message, hint) in cases {
            let place = ("s3://b", Some(&Path::from("k")));
            let error = explained(&WORDS, place, attempt, error);
            let Error::Generic { source, .. } = &error else {
                panic!("{error}");
            };
            let failure = source.downcast_ref::<StoreFailure>().unwrap();
            assert_eq!(failure.to_string(), message);
            assert_eq!(failure.hint, hint);
        }
    }

    #[test]
    fn what_callers_branch_on_stays() {
        let error = explained(&WORDS, ("s3://b", None), Attempt::Read, missing());
        assert!(matches!(error, Error::NotFound { .. }));
    }
}
