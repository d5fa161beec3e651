//! YAML text -> a tree in which every node knows its place, read key by key.
//!
//! The only room that knows the YAML parser. [`Fields`] is the one mechanism for wrong types
//! and unknown keys.

mod fields;
mod node;
mod raw;

use std::sync::Arc;

use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Error as YamlError, Spanned};

pub(crate) use fields::{Fields, names, refused, unknown_key};
pub(crate) use node::{Data, Entry, Node, Place};
use raw::Raw;

use super::types::TextFile;
use crate::runner::error::{ErrorKind, Result, RunnerError};

/// Parses a whole file. An empty file is a null.
pub(crate) fn parse(file: &Arc<TextFile>) -> Result<Node> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        emit_comments: false,
        leading_zero_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
    };
    let raw: Option<Spanned<Raw>> =
        serde_saphyr::from_str_with_options(&file.text, options)
            .map_err(|error| syntax_error(&error, file))?;
    let label: Arc<str> = Arc::from("the file");
    Ok(match raw {
        Some(raw) => convert(raw, &label, file)?,
        None => Node {
            data: Data::Null,
            place: Place::start(file),
            label,
        },
    })
}

/// The parser's error with its place; its advice to programmers is left out.
fn syntax_error(error: &YamlError, file: &Arc<TextFile>) -> RunnerError {
    let error = error.without_snippet();
    let message = match error {
        YamlError::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{key}` is written twice in the same map")
        }
        YamlError::DuplicateMappingKey { key: None, .. } => {
            "a key is written twice in the same map".to_owned()
        }
        YamlError::MultipleDocuments { .. } => {
            "found a second YAML document, expected one to a file".to_owned()
        }
        other => format!("not valid YAML: {}", first_line(&other.to_string())),
    };
    let new = RunnerError::new(ErrorKind::Project, message);
    let Some(location) = error.location().filter(|at| at.line() > 0) else {
        return new.with_location(Place::start(file).location());
    };
    new.with_location(place_of(&location, file).location())
}

/// The first line of the parser's message, without the `error:` and place it repeats.
fn first_line(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match line.split_once(": ") {
        Some((head, rest)) if head.starts_with("line ") => rest,
        _ => line.split(" at line ").next().unwrap_or(line),
    }
}

fn number(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn place_of(at: &serde_saphyr::Location, file: &Arc<TextFile>) -> Place {
    Place {
        line: number(at.line()).max(1),
        column: number(at.column()).max(1),
        length: number(at.span().len()),
        file: Arc::clone(file),
    }
}

/// The source text of a scalar, as it was typed.
fn typed_text<'a>(at: &serde_saphyr::Location, file: &'a TextFile) -> Option<&'a str> {
    let start = number(at.span().byte_offset()?);
    let end = start.checked_add(number(at.span().byte_len()?))?;
    file.text.get(start..end).map(str::trim)
}

fn convert(raw: Spanned<Raw>, label: &Arc<str>, file: &Arc<TextFile>) -> Result<Node> {
    let at = raw.defined;
    let data = match raw.value {
        Raw::Null => Data::Null,
        Raw::Bool(value) => match typed_text(&at, file) {
            // dbt's YAML reader knows yes, no, on and off as booleans, but not y and n
            Some(letter @ ("y" | "Y" | "n" | "N")) => Data::String(letter.to_owned()),
            _ => Data::Bool(value),
        },
        Raw::Number(value) => match typed_text(&at, file) {
            // dbt's YAML reader takes a float only with a point: `1e3` is text, as is a hash
            Some(text) if value.is_f64() && !text.contains('.') => {
                Data::String(text.to_owned())
            }
            _ => Data::Number(value),
        },
        Raw::String(value) => match typed_text(&at, file) {
            // a number too large for a float
            Some(text)
                if matches!(value.as_str(), ".inf" | "-.inf" | ".nan")
                    && !text.starts_with(['"', '\'', '|', '>']) =>
            {
                Data::String(text.to_owned())
            }
            _ => Data::String(value),
        },
        Raw::List(items) => {
            let label: Arc<str> = Arc::from(format!("an entry of {label}"));
            Data::List(
                items
                    .into_iter()
                    .map(|i| convert(i, &label, file))
                    .collect::<Result<_>>()?,
            )
        }
        Raw::Map(entries) => {
            let entries = entries.into_iter();
            let entries = entries.map(|(k, v)| convert_entry(k, v, file));
            Data::Map(entries.collect::<Result<_>>()?)
        }
    };
    Ok(Node {
        data,
        place: place_of(&at, file),
        label: Arc::clone(label),
    })
}

fn convert_entry(
    key: Spanned<Raw>,
    value: Spanned<Raw>,
    file: &Arc<TextFile>,
) -> Result<Entry> {
    let place = place_of(&key.defined, file);
    let name = match (key.value, typed_text(&key.defined, file)) {
        (Raw::String(name), _) => name,
        (Raw::Map(_), _) => {
            let error = place.error("a key must be text, found a map");
            return Err(error.with_hint("a value that starts with `{{` needs quotes"));
        }
        (Raw::Null | Raw::Bool(_) | Raw::Number(_), Some(text)) => text.to_owned(),
        _ => return Err(place.error("a key must be text")),
    };
    let label: Arc<str> = Arc::from(format!("`{name}`"));
    Ok(Entry {
        name,
        place,
        value: convert(value, &label, file)?,
    })
}
