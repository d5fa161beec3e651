//! Reading a YAML map key by key: types are checked, and what was not asked for is unknown.

use serde_json::{Map, Value};

use super::node::{Entry, Node};
use crate::runner::error::{Result, RunnerError, did_you_mean};

/// A map that is being read. Every key asked for is known; [`Fields::finish`] refuses the rest.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    what: String,
    node: &'a Node,
    entries: &'a [Entry],
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Starts reading `node`, which messages call `what`.
    pub(crate) fn new(node: &'a Node, what: impl Into<String>) -> Result<Self> {
        Ok(Self {
            what: what.into(),
            node,
            entries: node.entries()?,
            known: vec![],
        })
    }

    /// Starts reading an item of a list that has a `name`; messages call it "`kind` `name`".
    pub(crate) fn named(node: &'a Node, kind: &str) -> Result<(String, Self)> {
        let mut fields = Self::new(node, format!("a {kind}"))?;
        let name = fields.required("name")?.scalar()?;
        fields.what = format!("{kind} `{name}`");
        Ok((name, fields))
    }

    /// What messages call the map.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The entry under `key`, if there is one, even if nothing is written there.
    pub(crate) fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.known.push(key);
        self.entries.iter().find(|e| e.name == key)
    }

    /// The value of `key`; `None` if it is missing or null.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<&'a Node> {
        let entry = self.entry(key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// The value of `key`, which must be there.
    pub(crate) fn required(&mut self, key: &'static str) -> Result<&'a Node> {
        match self.optional(key) {
            Some(node) => Ok(node),
            None => {
                let what = &self.what;
                Err(self.node.error(format!("{what} needs `{key}`")))
            }
        }
    }

    /// The value of the one of two names of a key; both at once is an error.
    pub(crate) fn either(
        &mut self,
        key: &'static str,
        other: &'static str,
    ) -> Result<Option<&'a Node>> {
        let first = self.optional(key);
        let Some(second) = self.entry(other) else {
            return Ok(first);
        };
        if first.is_some() {
            let what = &self.what;
            return Err(second.place.error(format!(
                "{what} has both `{key}` and `{other}`, which mean the same"
            )));
        }
        Ok((!second.value.is_null()).then_some(&second.value))
    }

    /// A string.
    pub(crate) fn string(&mut self, key: &'static str) -> Result<Option<String>> {
        self.optional(key).map(Node::string).transpose()
    }

    /// A string, number or boolean as text.
    pub(crate) fn scalar(&mut self, key: &'static str) -> Result<Option<String>> {
        self.optional(key).map(Node::scalar).transpose()
    }

    /// One string or a list of strings.
    pub(crate) fn strings(&mut self, key: &'static str) -> Result<Option<Vec<String>>> {
        self.optional(key).map(Node::strings).transpose()
    }

    /// The items of a list; none if the key is missing.
    pub(crate) fn list(&mut self, key: &'static str) -> Result<&'a [Node]> {
        self.optional(key).map_or(Ok(&[]), Node::list)
    }

    /// A map without places; empty if the key is missing.
    pub(crate) fn map(&mut self, key: &'static str) -> Result<Map<String, Value>> {
        self.optional(key).map_or_else(|| Ok(Map::new()), Node::map)
    }

    /// Keys that are known and change nothing here.
    pub(crate) fn ignore(&mut self, keys: &[&'static str]) {
        self.known.extend_from_slice(keys);
    }

    /// A key of dbt's that is not supported: an error unless it switches nothing on.
    pub(crate) fn refuse(&mut self, key: &'static str, hint: &str) -> Result<()> {
        match self.entry(key) {
            Some(entry) if !entry.value.is_empty() => {
                Err(refused(entry, &self.what, hint))
            }
            _ => Ok(()),
        }
    }

    /// Refuses the first key that was not asked for.
    pub(crate) fn finish(self) -> Result<()> {
        let unknown = |e: &&Entry| !self.known.contains(&e.name.as_str());
        match self.entries.iter().find(unknown) {
            None => Ok(()),
            Some(entry) => Err(unknown_key(entry, &self.what, &self.known)),
        }
    }
}

/// The error for a key that dbt knows and this runner does not support.
pub(crate) fn refused(entry: &Entry, what: &str, hint: &str) -> RunnerError {
    let message = format!("`{}` in {what} is not supported", entry.name);
    let error = entry.place.error(message);
    match hint {
        "" => error,
        hint => error.with_hint(hint),
    }
}

/// The error for a key that nobody knows.
pub(crate) fn unknown_key(entry: &Entry, what: &str, known: &[&str]) -> RunnerError {
    let name = entry.name.as_str();
    let error = entry.place.error(format!("unknown key `{name}` in {what}"));
    let hint = did_you_mean(name, known.iter().copied());
    error.with_hint(hint.unwrap_or_else(|| format!("known keys: {}", names(known))))
}

/// `` `a`, `b`, `c` `` in alphabetical order.
pub(crate) fn names<S: AsRef<str>>(names: &[S]) -> String {
    let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    names.dedup();
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    names.join(", ")
}
