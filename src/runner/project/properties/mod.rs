//! Property files: what `.yml` files beside the models, seeds, tests and macros say.

mod columns;
mod data_tests;
mod models;
mod sources;
mod unit_tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::discovery::Found;
use super::types::{ConfigMap, Properties, SourceTable, TextFile, UnitTest};
use super::yaml::{Fields, Node, Place, parse};
use crate::runner::error::{Result, RunnerError};
pub(crate) use sources::location_in;

/// What property files say of one model, seed or singular test.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) config: ConfigMap,
    pub(crate) properties: Properties,
    /// Folders of the property file below its base path.
    pub(crate) folders: Vec<String>,
}

/// What all property files of a project say.
#[derive(Debug, Default)]
pub(crate) struct PropertySet {
    pub(crate) models: Vec<Entry>,
    pub(crate) seeds: Vec<Entry>,
    pub(crate) singular_tests: Vec<Entry>,
    pub(crate) sources: Vec<SourceTable>,
    pub(crate) unit_tests: Vec<UnitTest>,
    pub(crate) warnings: Vec<Arc<RunnerError>>,
}

/// A property file that is being read.
struct PropertyFile<'a> {
    project: &'a str,
    file: Arc<TextFile>,
    folders: Vec<String>,
    fixtures: &'a BTreeMap<String, Found>,
}

impl PropertyFile<'_> {
    /// `[project, folders of the file…, more…]`.
    fn fqn(&self, more: &[&str]) -> Vec<String> {
        let mut fqn = vec![self.project.to_owned()];
        fqn.extend(self.folders.iter().cloned());
        fqn.extend(more.iter().map(|&part| part.to_owned()));
        fqn
    }
}

/// Reads property files.
pub(crate) fn read(
    project: &str,
    files: &[Found],
    fixtures: &BTreeMap<String, Found>,
) -> Result<PropertySet> {
    let mut set = PropertySet::default();
    for found in files {
        let file = PropertyFile {
            project,
            file: found.read()?,
            folders: found.folders.clone(),
            fixtures,
        };
        read_file(&file, &mut set)?;
    }
    Ok(set)
}

fn read_file(file: &PropertyFile<'_>, set: &mut PropertySet) -> Result<()> {
    let node = parse(&file.file)?;
    let path = file.file.path.display().to_string();
    let mut fields = Fields::new(&node, format!("`{path}`"))?;
    if let Some(version) = fields.optional("version") {
        let text = version.scalar()?;
        if text.trim_end_matches(".0") != "2" {
            let message = format!("`version: {text}` is not supported, expected 2");
            return Err(version.error(message));
        }
    }
    for node in fields.list("models")? {
        set.models.push(models::model(file, node)?);
    }
    for node in fields.list("seeds")? {
        set.seeds.push(models::seed(file, node)?);
    }
    for node in fields.list("data_tests")? {
        set.singular_tests.push(models::singular_test(file, node)?);
    }
    for node in fields.list("sources")? {
        sources::source(file, node, set)?;
    }
    for node in fields.list("unit_tests")? {
        set.unit_tests.push(unit_tests::unit_test(file, node)?);
    }
    for node in fields.list("macros")? {
        macro_properties(node)?;
    }
    fields.refuse("snapshots", "snapshots are not supported")?;
    fields.refuse("metrics", "the semantic layer is not supported")?;
    fields.refuse("semantic_models", "the semantic layer is not supported")?;
    fields.refuse("saved_queries", "the semantic layer is not supported")?;
    fields.refuse("functions", "write the function as a macro")?;
    // these describe things and change no table
    fields.ignore(&["exposures", "groups", "analyses", "anchors"]);
    fields.finish()
}

/// Macros are only described: the keys are checked, and nothing is kept.
fn macro_properties(node: &Node) -> Result<()> {
    let (_, mut fields) = Fields::named(node, "macro")?;
    fields.string("description")?;
    fields.list("arguments")?;
    fields.ignore(&["docs", "meta", "config"]);
    fields.finish()
}
