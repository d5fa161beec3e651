//! A YAML tree in which every node knows its place.

use std::sync::Arc;

use serde_json::{Map, Number, Value};

use crate::runner::error::{ErrorKind, Location, Result, RunnerError};
use crate::runner::project::types::TextFile;
use crate::runner::template::{YamlContext, render_yaml_string};

/// A place in a YAML file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) length: usize,
    pub(super) file: Arc<TextFile>,
}

/// A value of a YAML file.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) data: Data,
    /// Where it stands.
    pub(crate) place: Place,
    /// What messages call it: the key it stands under.
    pub(super) label: Arc<str>,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `key: value` of a map.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key as text.
    pub(crate) name: String,
    /// Where the key stands.
    pub(crate) place: Place,
    /// The value.
    pub(crate) value: Node,
}

impl Place {
    /// The first character of a file.
    pub(crate) fn start(file: &Arc<TextFile>) -> Self {
        Self {
            line: 1,
            column: 1,
            length: 1,
            file: Arc::clone(file),
        }
    }

    /// The same for the outside. What spans lines is marked up to the end of its first.
    pub(crate) fn location(&self) -> Location {
        let line = self
            .file
            .text
            .lines()
            .nth(self.line - 1)
            .unwrap_or_default();
        let rest = line.chars().count().saturating_sub(self.column - 1);
        Location {
            file: self.file.path.clone(),
            line: self.line,
            column: self.column,
            length: self.length.min(rest).max(1),
            text: Arc::clone(&self.file.text),
        }
    }

    /// An error at this place.
    pub(crate) fn error(&self, message: impl Into<String>) -> RunnerError {
        RunnerError::new(ErrorKind::Project, message).with_location(self.location())
    }
}

impl Node {
    /// An error at this node.
    pub(crate) fn error(&self, message: impl Into<String>) -> RunnerError {
        self.place.error(message)
    }

    /// The error for a value of another type than `expected`.
    pub(crate) fn mismatch(&self, expected: &str) -> RunnerError {
        let (label, found) = (&self.label, self.describe());
        self.error(format!("{label} must be {expected}, found {found}"))
    }

    fn describe(&self) -> String {
        match &self.data {
            Data::Null => "nothing".to_owned(),
            Data::Bool(value) => format!("the boolean `{value}`"),
            Data::Number(value) => format!("the number `{value}`"),
            Data::String(value) => {
                let line = value.lines().next().unwrap_or_default();
                let short: String = line.chars().take(40).collect();
                format!("the string `{short}`")
            }
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a map".to_owned(),
        }
    }

    /// Whether nothing is written here.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// Whether this switches nothing on: null, false, or an empty string, list or map, or a
    /// list or map of such.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.data {
            Data::Null => true,
            Data::Bool(value) => !value,
            Data::Number(_) => false,
            Data::String(value) => value.trim().is_empty(),
            Data::List(items) => items.iter().all(Self::is_empty),
            Data::Map(entries) => entries.iter().all(|e| e.value.is_empty()),
        }
    }

    /// Whether this is a string that holds Jinja, whose type is not known yet.
    pub(crate) fn is_template(&self) -> bool {
        matches!(&self.data, Data::String(s) if s.contains("{{") || s.contains("{%"))
    }

    /// The value without its places.
    pub(crate) fn json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(value) => Value::Number(value.clone()),
            Data::String(value) => Value::String(value.clone()),
            Data::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Data::Map(entries) => Value::Object(json_map(entries)),
        }
    }

    /// The text of a string.
    pub(crate) fn string(&self) -> Result<String> {
        match &self.data {
            Data::String(value) => Ok(value.clone()),
            _ => Err(self.mismatch("a string")),
        }
    }

    /// The text of a string, number or boolean.
    pub(crate) fn scalar(&self) -> Result<String> {
        match &self.data {
            Data::String(value) => Ok(value.clone()),
            Data::Number(value) => Ok(value.to_string()),
            Data::Bool(value) => Ok(value.to_string()),
            _ => Err(self.mismatch("a string")),
        }
    }

    /// A boolean.
    pub(crate) fn boolean(&self) -> Result<bool> {
        match &self.data {
            Data::Bool(value) => Ok(*value),
            _ => Err(self.mismatch("true or false")),
        }
    }

    /// The items of a list; none if nothing is written.
    pub(crate) fn list(&self) -> Result<&[Self]> {
        match &self.data {
            Data::List(items) => Ok(items),
            Data::Null => Ok(&[]),
            _ => Err(self.mismatch("a list")),
        }
    }

    /// The entries of a map; none if nothing is written.
    pub(crate) fn entries(&self) -> Result<&[Entry]> {
        match &self.data {
            Data::Map(entries) => Ok(entries),
            Data::Null => Ok(&[]),
            _ => Err(self.mismatch("a map")),
        }
    }

    /// The map without places; empty if nothing is written.
    pub(crate) fn map(&self) -> Result<Map<String, Value>> {
        Ok(json_map(self.entries()?))
    }

    /// One string or a list of strings.
    pub(crate) fn strings(&self) -> Result<Vec<String>> {
        match &self.data {
            Data::Null => Ok(vec![]),
            Data::String(value) => Ok(vec![value.clone()]),
            Data::List(items) => items.iter().map(Self::scalar).collect(),
            _ => Err(self.mismatch("a string or a list of strings")),
        }
    }

    /// The tree with the Jinja in its strings rendered.
    pub(crate) fn render(&self, context: &YamlContext) -> Result<Self> {
        let data = match &self.data {
            Data::String(text) if self.is_template() => {
                let value = render_yaml_string(text, context)
                    .map_err(|error| self.locate(error))?;
                return Ok(self.with_json(value));
            }
            Data::List(items) => Data::List(
                items
                    .iter()
                    .map(|i| i.render(context))
                    .collect::<Result<_>>()?,
            ),
            Data::Map(entries) => Data::Map(
                entries
                    .iter()
                    .map(|entry| {
                        let value = entry.value.render(context)?;
                        Ok(Entry {
                            value,
                            ..entry.clone()
                        })
                    })
                    .collect::<Result<_>>()?,
            ),
            other => other.clone(),
        };
        Ok(Self {
            data,
            ..self.clone()
        })
    }

    /// The same error, at this node and of the project.
    fn locate(&self, error: RunnerError) -> RunnerError {
        let mut located = self.error(error.message());
        if let Some(hint) = error.hint() {
            located = located.with_hint(hint);
        }
        located.with_source(error)
    }

    /// A node with this one's place and another value.
    fn with_json(&self, value: Value) -> Self {
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(value) => Data::Bool(value),
            Value::Number(value) => Data::Number(value),
            Value::String(value) => Data::String(value),
            Value::Array(items) => {
                Data::List(items.into_iter().map(|i| self.with_json(i)).collect())
            }
            Value::Object(map) => Data::Map(
                map.into_iter()
                    .map(|(name, value)| Entry {
                        name,
                        place: self.place.clone(),
                        value: self.with_json(value),
                    })
                    .collect(),
            ),
        };
        Self {
            data,
            place: self.place.clone(),
            label: Arc::clone(&self.label),
        }
    }
}

fn json_map(entries: &[Entry]) -> Map<String, Value> {
    let entries = entries.iter();
    entries.map(|e| (e.name.clone(), e.value.json())).collect()
}
