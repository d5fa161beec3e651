//! The configuration trees of `dbt_project.yml`.

use std::sync::Arc;

use super::keys::{Resource, check, is_key, is_map_key};
use crate::runner::error::{Result, RunnerError, did_you_mean};
use crate::runner::project::types::ConfigMap;
use crate::runner::project::yaml::{Data, Entry, Node};

/// A level of a configuration tree: what it says, and the folders below.
#[derive(Debug, Clone, Default)]
struct Level {
    config: ConfigMap,
    folders: Vec<(String, Self)>,
}

/// `models:` (or `seeds:`, …) of `dbt_project.yml`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigTree {
    root: Level,
    /// Folders that match nothing.
    pub(crate) warnings: Vec<Arc<RunnerError>>,
}

/// What reading a tree needs to know.
struct Reader<'a> {
    section: &'a str,
    resource: Resource,
    fqns: &'a [Vec<String>],
    warnings: Vec<Arc<RunnerError>>,
}

impl ConfigTree {
    /// Reads the tree under the key `section`. `fqns` are the fully qualified names of the
    /// project's resources of that kind: they tell folders from keys.
    pub(crate) fn read(
        section: &str,
        node: Option<&Node>,
        resource: Resource,
        fqns: &[Vec<String>],
    ) -> Result<Self> {
        let Some(node) = node else {
            return Ok(Self::default());
        };
        let mut reader = Reader {
            section,
            resource,
            fqns,
            warnings: vec![],
        };
        let root = reader.level(node, &[])?;
        Ok(Self {
            root,
            warnings: reader.warnings,
        })
    }

    /// The configuration of the resource `fqn`: all levels on its way, the deepest last.
    pub(crate) fn resolve(&self, fqn: &[String]) -> ConfigMap {
        let mut level = &self.root;
        let mut config = ConfigMap::default();
        config.merge(&level.config);
        for part in fqn {
            let Some((_, next)) = level.folders.iter().find(|(name, _)| name == part)
            else {
                break;
            };
            config.merge(&next.config);
            level = next;
        }
        config
    }
}

impl Reader<'_> {
    fn level(&mut self, node: &Node, path: &[String]) -> Result<Level> {
        let mut level = Level::default();
        let what = format!("the configuration of `{}`", self.section);
        for entry in node.entries()? {
            if let Some(name) = self.config_name(entry, path) {
                let name = name.to_owned();
                if let Some(value) = check(self.resource, &name, entry, &what)? {
                    level.config.put(&name, entry, value);
                }
                continue;
            }
            if path.is_empty() && entry.name == "vars" {
                let message = format!("`vars` in `{}` is not supported", self.section);
                return Err(entry
                    .place
                    .error(message)
                    .with_hint("write `vars:` at the top of `dbt_project.yml` instead"));
            }
            let mut below = path.to_vec();
            below.push(entry.name.clone());
            if !self.fqns.iter().any(|fqn| fqn.starts_with(&below)) {
                self.warn(entry, path);
                if path.is_empty() {
                    // another project's name: its keys are not ours to judge
                    continue;
                }
            }
            let folder = self.level(&entry.value, &below)?;
            level.folders.push((entry.name.clone(), folder));
        }
        Ok(level)
    }

    /// The name of the key if `entry` is configuration, and not a folder.
    fn config_name<'e>(&self, entry: &'e Entry, path: &[String]) -> Option<&'e str> {
        if let Some(name) = entry.name.strip_prefix('+') {
            return Some(name);
        }
        match entry.value.data {
            Data::Map(_) => {}
            // an empty folder, or a key that is taken back
            Data::Null if !is_key(self.resource, &entry.name) => return None,
            _ => return Some(&entry.name),
        }
        let mut below = path.to_vec();
        below.push(entry.name.clone());
        let folder = self.fqns.iter().any(|fqn| fqn.starts_with(&below));
        (!folder && is_map_key(self.resource, &entry.name)).then_some(&entry.name)
    }

    /// Says that no resource lies in a folder that the tree configures.
    fn warn(&mut self, entry: &Entry, path: &[String]) {
        let name = entry.name.as_str();
        let message = format!("`{name}` in `{}` configures nothing", self.section);
        let siblings = self.fqns.iter().filter(|fqn| fqn.starts_with(path));
        let siblings = siblings.filter_map(|fqn| fqn.get(path.len()));
        let hint = did_you_mean(name, siblings.map(String::as_str))
            .unwrap_or_else(|| "no file of the project lies there".to_owned());
        let warning = entry.place.error(message).with_hint(hint);
        self.warnings.push(Arc::new(warning));
    }
}
