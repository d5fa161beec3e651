//! Files, property files and configuration trees -> [`Project`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::config::{ConfigTree, Resource};

use super::dbt_project::ProjectFile;
use super::discovery::{Files, Found};
use super::properties::{Entry, PropertySet, location_in};
use super::traffic_rules;
use super::types::{
    ConfigMap, DataTest, LoadOptions, ModelFile, Project, Properties, SeedFile,
    SourceTable, Target, TextFile, UnitTest,
};
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};

/// Everything that was read, about to become a project.
pub(crate) struct Assembly<'a> {
    file: &'a ProjectFile,
    files: &'a Files,
    properties: PropertySet,
    trees: Trees,
    warnings: Vec<Arc<RunnerError>>,
}

/// The configuration trees of `dbt_project.yml`.
struct Trees {
    models: ConfigTree,
    seeds: ConfigTree,
    sources: ConfigTree,
    data_tests: ConfigTree,
    unit_tests: ConfigTree,
}

type Described<'p> = BTreeMap<&'p str, &'p Entry>;

impl<'a> Assembly<'a> {
    /// Reads the configuration trees against what the project holds.
    pub(crate) fn try_new(
        file: &'a ProjectFile,
        files: &'a Files,
        properties: PropertySet,
    ) -> Result<Self> {
        let trees = Trees::read(file, files, &properties)?;
        let mut warnings = file.warnings.clone();
        for tree in trees.all() {
            warnings.extend(tree.warnings.iter().cloned());
        }
        warnings.extend(properties.warnings.iter().cloned());
        Ok(Self {
            file,
            files,
            properties,
            trees,
            warnings,
        })
    }

    /// Puts the project together.
    pub(crate) fn project(
        mut self,
        root: PathBuf,
        target: Target,
        options: &LoadOptions,
    ) -> Result<Project> {
        let models = self.models()?;
        let seeds = self.seeds()?;
        let rules = traffic_rules::read(&seeds, &mut self.warnings)?;
        let singular_tests = self.singular_tests()?;
        let macros: Vec<TextFile> = self
            .files
            .macros
            .iter()
            .map(|found| Ok((*found.read()?).clone()))
            .collect::<Result<_>>()?;
        let sources = self.sources();
        let unit_tests = self.unit_tests(&models)?;
        let mut vars = self.file.vars.clone();
        vars.extend(options.vars.clone());
        Ok(Project {
            name: self.file.name.clone(),
            version: self.file.version.clone(),
            root,
            target_path: self.file.paths.target.clone(),
            clean_targets: self.file.paths.clean_targets.clone(),
            vars,
            env: options.env.clone(),
            target,
            models,
            seeds,
            traffic_source_rules: rules,
            sources,
            macros,
            singular_tests,
            unit_tests,
            warnings: self.warnings,
        })
    }

    fn models(&mut self) -> Result<Vec<ModelFile>> {
        let entries = std::mem::take(&mut self.properties.models);
        let described = described(&entries, "model")?;
        self.missing(&described, &self.files.models, "model");
        let models = self.files.models.iter();
        models
            .map(|found| self.sql_file(found, &described, &self.trees.models))
            .collect()
    }

    fn singular_tests(&mut self) -> Result<Vec<ModelFile>> {
        let entries = std::mem::take(&mut self.properties.singular_tests);
        let described = described(&entries, "data test")?;
        self.missing(&described, &self.files.singular_tests, "data test");
        let tests = self.files.singular_tests.iter();
        tests
            .map(|found| self.sql_file(found, &described, &self.trees.data_tests))
            .collect()
    }

    fn sql_file(
        &self,
        found: &Found,
        described: &Described<'_>,
        tree: &ConfigTree,
    ) -> Result<ModelFile> {
        let fqn = found.fqn(&self.file.name);
        let (config, properties) = self.describe(&found.name, &fqn, described, tree);
        Ok(ModelFile {
            name: found.name.clone(),
            file: (*found.read()?).clone(),
            fqn,
            config,
            properties,
        })
    }

    fn seeds(&mut self) -> Result<Vec<SeedFile>> {
        let entries = std::mem::take(&mut self.properties.seeds);
        let described = described(&entries, "seed")?;
        self.missing(&described, &self.files.seeds, "seed");
        let seeds = self.files.seeds.iter().map(|found| {
            let fqn = found.fqn(&self.file.name);
            let (config, properties) =
                self.describe(&found.name, &fqn, &described, &self.trees.seeds);
            SeedFile {
                name: found.name.clone(),
                path: found.path.clone(),
                absolute_path: found.absolute.clone(),
                fqn,
                config,
                properties,
            }
        });
        Ok(seeds.collect())
    }

    /// Configuration and properties of one file: the tree first, its property file over it.
    fn describe(
        &self,
        name: &str,
        fqn: &[String],
        described: &Described<'_>,
        tree: &ConfigTree,
    ) -> (ConfigMap, Properties) {
        let mut config = tree.resolve(fqn);
        let Some(entry) = described.get(name) else {
            return (config.without_nulls(), Properties::default());
        };
        config.merge(&entry.config);
        let mut properties = entry.properties.clone();
        self.configure_tests(&mut properties, &entry.folders);
        (config.without_nulls(), properties)
    }

    /// Puts the tree of `data_tests:` under the configuration of each test.
    fn configure_tests(&self, properties: &mut Properties, folders: &[String]) {
        let columns = properties.columns.iter_mut();
        let of_columns = columns.flat_map(|column| &mut column.data_tests);
        for test in properties.data_tests.iter_mut().chain(of_columns) {
            let fqn = test_fqn(&self.file.name, folders, test);
            let mut config = self.trees.data_tests.resolve(&fqn);
            config.merge(&test.config);
            test.config = config.without_nulls();
        }
    }

    fn sources(&mut self) -> Vec<SourceTable> {
        let mut sources = std::mem::take(&mut self.properties.sources);
        for table in &mut sources {
            let mut config = self.trees.sources.resolve(&table.fqn);
            if table.external_location.is_none() {
                table.external_location = location_in(&config);
            }
            config.merge(&table.config);
            let mut config = config.without_nulls();
            let schema = || Value::from(table.source_name.as_str());
            config.values.entry("schema").or_insert_with(schema);
            table.config = config;
            let folders = source_folders(&table.fqn).to_vec();
            self.configure_tests(&mut table.properties, &folders);
        }
        sources
    }

    fn unit_tests(&mut self, models: &[ModelFile]) -> Result<Vec<UnitTest>> {
        let mut tests = std::mem::take(&mut self.properties.unit_tests);
        let mut seen = BTreeMap::new();
        for test in &mut tests {
            if !models.iter().any(|m| m.name == test.model) {
                let message = format!(
                    "unit test `{}` is of model `{}`, which does not exist",
                    test.name, test.model
                );
                let names = models.iter().map(|m| m.name.as_str());
                return Err(hinted(message, did_you_mean(&test.model, names))
                    .with_location(test.location.clone()));
            }
            let key = (test.model.clone(), test.name.clone());
            if let Some(first) = seen.insert(key, test.location.file.clone()) {
                let message = format!(
                    "unit test `{}` of model `{}` is defined twice, first in `{}`",
                    test.name,
                    test.model,
                    first.display()
                );
                return Err(RunnerError::new(ErrorKind::Project, message)
                    .with_location(test.location.clone()));
            }
            let mut config = self.trees.unit_tests.resolve(&test.fqn);
            config.merge(&test.config);
            test.config = config.without_nulls();
        }
        Ok(tests)
    }

    /// Warns of properties of things that are not there.
    fn missing(&mut self, described: &Described<'_>, files: &[Found], kind: &str) {
        for (name, entry) in described {
            if files.iter().any(|found| found.name == *name) {
                continue;
            }
            let is = |files: &[Found]| files.iter().any(|found| found.name == *name);
            let names = files.iter().map(|found| found.name.as_str());
            let hint = match () {
                () if is(&self.files.seeds) => Some("it is a seed: use `seeds:`".into()),
                () if is(&self.files.models) => {
                    Some("it is a model: use `models:`".into())
                }
                () => did_you_mean(name, names),
            };
            let message = format!("{kind} `{name}` is described but does not exist");
            let warning = hinted(message, hint).with_location(entry.place.location());
            self.warnings.push(Arc::new(warning));
        }
    }
}

impl Trees {
    fn read(file: &ProjectFile, files: &Files, set: &PropertySet) -> Result<Self> {
        let project = file.name.as_str();
        let fqns = |found: &[Found]| -> Vec<Vec<String>> {
            found.iter().map(|f| f.fqn(project)).collect()
        };
        let sources: Vec<_> = set.sources.iter().map(|s| s.fqn.clone()).collect();
        let unit_tests: Vec<_> = set.unit_tests.iter().map(|t| t.fqn.clone()).collect();
        let mut tests = fqns(&files.singular_tests);
        for entry in set.models.iter().chain(&set.seeds) {
            tests.extend(test_fqns(project, &entry.folders, &entry.properties));
        }
        for table in &set.sources {
            let folders = source_folders(&table.fqn);
            tests.extend(test_fqns(project, folders, &table.properties));
        }
        let nodes = &file.trees;
        let read = |section, node: &Option<_>, resource, fqns: &[Vec<String>]| {
            ConfigTree::read(section, node.as_ref(), resource, fqns)
        };
        Ok(Self {
            models: read(
                "models",
                &nodes.models,
                Resource::Model,
                &fqns(&files.models),
            )?,
            seeds: read("seeds", &nodes.seeds, Resource::Seed, &fqns(&files.seeds))?,
            sources: read("sources", &nodes.sources, Resource::Source, &sources)?,
            data_tests: read(
                "data_tests",
                &nodes.data_tests,
                Resource::DataTest,
                &tests,
            )?,
            unit_tests: read(
                "unit_tests",
                &nodes.unit_tests,
                Resource::UnitTest,
                &unit_tests,
            )?,
        })
    }

    fn all(&self) -> [&ConfigTree; 5] {
        [
            &self.models,
            &self.seeds,
            &self.sources,
            &self.data_tests,
            &self.unit_tests,
        ]
    }
}

/// The folders in `[project, folders…, source, table]`.
fn source_folders(fqn: &[String]) -> &[String] {
    fqn.get(1..fqn.len().saturating_sub(2)).unwrap_or_default()
}

fn test_fqns(
    project: &str,
    folders: &[String],
    properties: &Properties,
) -> Vec<Vec<String>> {
    let columns = properties.columns.iter();
    let of_columns = columns.flat_map(|column| &column.data_tests);
    let tests = properties.data_tests.iter().chain(of_columns);
    tests.map(|test| test_fqn(project, folders, test)).collect()
}

/// `[project, folders…, the test's own name or its kind]`.
fn test_fqn(project: &str, folders: &[String], test: &DataTest) -> Vec<String> {
    let mut fqn = vec![project.to_owned()];
    fqn.extend(folders.iter().cloned());
    fqn.push(test.name.clone().unwrap_or_else(|| test.test.clone()));
    fqn
}

/// The entries by name; a thing may be described once.
fn described<'p>(entries: &'p [Entry], kind: &str) -> Result<Described<'p>> {
    let mut described = BTreeMap::new();
    for entry in entries {
        let name = entry.name.as_str();
        if let Some(first) = described.insert(name, entry) {
            let first: &Entry = first;
            let first = first.place.location();
            let message = format!(
                "{kind} `{name}` is described twice, first in `{}` line {}",
                first.file.display(),
                first.line
            );
            let error = entry.place.error(message);
            return Err(error.with_hint("put both descriptions into one entry"));
        }
    }
    Ok(described)
}

fn hinted(message: String, hint: Option<String>) -> RunnerError {
    let error = RunnerError::new(ErrorKind::Project, message);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
