//! Configuration: which keys there are, how maps are merged, the trees of the project.

mod keys;
mod tree;

use serde_json::{Map, Value};

pub(crate) use keys::{Resource, check, is_key, is_layout};
pub(crate) use tree::ConfigTree;

use super::types::ConfigMap;
use super::yaml::{Entry, Node};
use crate::runner::error::Result;

impl ConfigMap {
    /// Puts the more specific `other` over this: `tags` add up, `meta` is merged key by key,
    /// everything else is replaced, also by a null.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (key, value) in &other.values {
            let old = self.values.get_mut(key);
            match (key.as_str(), old, value) {
                ("tags", Some(Value::Array(old)), Value::Array(new)) => {
                    let added = new.iter().filter(|tag| !old.contains(tag));
                    let added: Vec<Value> = added.cloned().collect();
                    old.extend(added);
                }
                ("meta", Some(Value::Object(old)), Value::Object(new)) => {
                    old.extend(new.clone());
                }
                _ => {
                    self.values.insert(key.clone(), value.clone());
                }
            }
            if let Some(location) = other.locations.get(key) {
                self.locations.insert(key.clone(), location.clone());
            }
        }
    }

    /// The map without nulls: they take a key back to its default.
    pub(crate) fn without_nulls(mut self) -> Self {
        self.values.retain(|_, value| !value.is_null());
        self.locations
            .retain(|key, _| self.values.contains_key(key));
        self
    }

    /// Puts one checked entry in.
    pub(crate) fn put(&mut self, name: &str, entry: &Entry, value: Value) {
        let location = entry.value.place.location();
        self.locations.insert(name.to_owned(), location);
        self.values.insert(name.to_owned(), value);
    }

    /// Reads a `config:` map of a property file.
    pub(crate) fn read(
        node: Option<&Node>,
        resource: Resource,
        what: &str,
    ) -> Result<Self> {
        let mut config = Self::default();
        let entries = node.map_or(Ok([].as_slice()), Node::entries)?;
        for entry in entries {
            let name = entry.name.strip_prefix('+').unwrap_or(&entry.name);
            if let Some(value) = check(resource, name, entry, what)? {
                config.put(name, entry, value);
            }
        }
        Ok(config)
    }

    /// Takes keys that stand beside `config:` in (`tags`, `meta`, …); those in `config:` win.
    pub(crate) fn beside(
        node: &Node,
        names: &[&str],
        resource: Resource,
        what: &str,
    ) -> Result<Self> {
        let mut config = Self::default();
        for entry in node.entries()? {
            if names.contains(&entry.name.as_str())
                && is_key(resource, &entry.name)
                && let Some(value) = check(resource, &entry.name, entry, what)?
            {
                config.put(&entry.name, entry, value);
            }
        }
        Ok(config)
    }
}

/// `meta` of a column or other small thing: `meta:`, overlaid by `config: meta:`.
pub(crate) fn meta_of(
    meta: Map<String, Value>,
    config: &ConfigMap,
) -> Map<String, Value> {
    let mut meta = meta;
    if let Some(Value::Object(more)) = config.values.get("meta") {
        meta.extend(more.clone());
    }
    meta
}
