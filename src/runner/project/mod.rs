//! Files on disk -> [`Project`]: discovery, YAML, profiles, property files.
//!
//! Nothing is compiled here: SQL and Jinja stay text, and every piece remembers the file
//! and line it came from, so that later stages can point at it.

mod assemble;
mod config;
mod dbt_project;
mod discovery;
mod files;
mod packages;
mod profiles;
mod properties;
mod traffic_rules;
mod types;
mod yaml;

pub(crate) use config::is_layout;
pub use types::{
    Column, ConfigMap, DataTest, LoadOptions, Located, ModelFile, Project, Properties,
    SeedFile, SourceTable, Target, TextFile, UnitTest, UnitTestInput, UnitTestRows,
};

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::runner::error::Result;

/// Reads the project in `options.project_dir`.
///
/// Fails with a [`RunnerError`](crate::runner::error::RunnerError) that names file, line and
/// column on anything that is missing, unknown or of the wrong type. Unknown keys are errors
/// with a suggestion; what dbt has and this runner has not (hooks, snapshots, packages, …) is
/// refused by name.
pub fn load(options: &LoadOptions) -> Result<Project> {
    let root = files::absolute(&options.current_dir, &options.project_dir);
    let file = dbt_project::read(&root, options)?;
    packages::check(&root)?;
    let target = profiles::read(&root, &file.name, file.profile.as_ref(), options)?;
    let files = discovery::discover(&root, &file.paths)?;
    let properties = properties::read(&file.name, &files.properties, &files.fixtures)?;
    assemble::Assembly::try_new(&file, &files, properties)?.project(root, target, options)
}

/// A value written in YAML (and so also in JSON), read as the project's files are: `007`
/// and `1e3` are texts, as in dbt. `name` stands for the file in errors.
pub fn yaml_value(name: &str, text: &str) -> Result<Value> {
    let file = Arc::new(TextFile {
        path: PathBuf::from(name),
        text: Arc::from(text),
    });
    Ok(yaml::parse(&file)?.json())
}

#[cfg(test)]
mod tests;
