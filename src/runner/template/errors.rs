//! Template errors -> [`RunnerError`] with the place in the user's file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::{Error, ErrorKind as JinjaKind};

use super::literals::OffsetMap;
use super::unsupported::unsupported;
use crate::runner::error::{ErrorKind, Location, RunnerError, did_you_mean};

/// The text behind a template's name and the way from the rewritten template back to it.
#[derive(Debug, Clone)]
pub(crate) struct TemplateSource {
    /// Path as the user knows it.
    pub(crate) path: PathBuf,
    /// The text as written.
    pub(crate) text: Arc<str>,
    /// Offsets of the rewritten template -> offsets of `text`.
    pub(crate) offsets: OffsetMap,
}

/// Wraps an error of ours so that it survives the template engine, which adds the place.
pub(crate) fn carry(error: RunnerError) -> Error {
    Error::new(JinjaKind::InvalidOperation, error.message().to_owned()).with_source(error)
}

/// The place of the bytes `start..end` of `text`; marks at most the rest of a line.
pub(crate) fn location_at(
    path: &Path,
    text: &Arc<str>,
    start: usize,
    end: usize,
) -> Location {
    let start = text.floor_char_boundary(start.min(text.len()));
    let end = text.floor_char_boundary(end.clamp(start, text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let marked = text[start..end].lines().next().unwrap_or_default();
    Location {
        file: path.to_path_buf(),
        line: 1 + text[..start].matches('\n').count(),
        column: 1 + text[line_start..start].chars().count(),
        length: marked.trim_end().chars().count().max(1),
        text: Arc::clone(text),
    }
}

/// Maps an error of the template engine. `find` gives the source of a template by its name;
/// `names` are the functions, macros and variables that exist.
pub(crate) fn to_runner_error(
    error: &Error,
    find: &dyn Fn(&str) -> Option<TemplateSource>,
    names: &[String],
) -> RunnerError {
    let mapped = describe(error, names);
    let Some(source) = error.name().and_then(find) else {
        return mapped;
    };
    let (start, end) = match error.range() {
        Some(range) => (
            source.offsets.to_source(range.start),
            source.offsets.to_source(range.end),
        ),
        None => line_range(&source.text, error.line().unwrap_or(1)),
    };
    let place = location_at(&source.path, &source.text, start, end);
    let start = start.min(source.text.len());
    let marked = source.text.get(start..end).unwrap_or_default();
    match error.kind() {
        JinjaKind::UndefinedError if error.detail().is_none() => {
            undefined(marked, names).with_location(place)
        }
        JinjaKind::TooManyArguments | JinjaKind::MissingArgument => {
            let called = marked.split('(').next().unwrap_or_default().trim();
            let message = format!("`{called}`: {}", mapped.message());
            mapped.with_message(message).with_location(place)
        }
        _ => mapped.with_location(place),
    }
}

/// The error of an expression that has no value.
fn undefined(marked: &str, names: &[String]) -> RunnerError {
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    if marked.is_empty() || !marked.chars().all(name) {
        return RunnerError::new(ErrorKind::Template, "a value is undefined");
    }
    let error = RunnerError::new(ErrorKind::Template, format!("`{marked}` is undefined"));
    match did_you_mean(marked, names.iter().map(String::as_str)) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn line_range(text: &str, line: usize) -> (usize, usize) {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            return (start, start + content.trim_end().len());
        }
        start += content.len();
    }
    (text.len(), text.len())
}

fn describe(error: &Error, names: &[String]) -> RunnerError {
    if let Some(ours) = carried(error) {
        let copy = RunnerError::new(ours.kind(), ours.message());
        return match ours.hint() {
            Some(hint) => copy.with_hint(hint),
            None => copy,
        };
    }
    let detail = error.detail().unwrap_or_default();
    let (message, name) = match error.kind() {
        JinjaKind::UnknownFunction => {
            let name = detail.strip_suffix(" is unknown").unwrap_or(detail);
            (
                format!("`{name}` is no known macro or function"),
                Some(name),
            )
        }
        JinjaKind::UndefinedError if detail.is_empty() => {
            ("a value is undefined".to_owned(), None)
        }
        JinjaKind::UndefinedError => (detail.to_owned(), detail.split('`').nth(1)),
        JinjaKind::SyntaxError => (syntax(detail), None),
        kind if detail.is_empty() => (kind.to_string(), None),
        _ => (detail.to_owned(), None),
    };
    let culprit = name.or_else(|| detail.split('`').nth(1));
    if let Some((name, hint)) = culprit.and_then(unsupported) {
        let message = format!("`{name}` is not supported");
        return RunnerError::new(ErrorKind::Template, message).with_hint(hint);
    }
    let mapped = RunnerError::new(ErrorKind::Template, message);
    let candidates = names
        .iter()
        .map(String::as_str)
        .filter(|known| name != Some(known));
    match name.and_then(|name| did_you_mean(name, candidates)) {
        Some(hint) => mapped.with_hint(hint),
        None => mapped,
    }
}

fn syntax(detail: &str) -> String {
    match detail.strip_prefix("unknown statement ") {
        Some(name) => format!("`{{% {} %}}` is not supported", name.trim()),
        None => format!("the template does not parse: {detail}"),
    }
}

/// The error of ours inside `error`, if there is one.
fn carried(error: &Error) -> Option<&RunnerError> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(ours) = cause.downcast_ref::<RunnerError>() {
            return Some(ours);
        }
        source = cause.source();
    }
    None
}
