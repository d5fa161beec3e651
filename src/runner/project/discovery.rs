//! The files of a project: models, seeds, macros, tests, property files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dbt_project::Paths;
use super::files::{absolute, has_ending, read_text, relative, stem, walk};
use super::types::TextFile;
use crate::runner::error::{ErrorKind, Location, Result, RunnerError};

/// A file of the project and the folders between it and its base path.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Absolute path.
    pub(crate) absolute: PathBuf,
    /// Path relative to the root.
    pub(crate) path: PathBuf,
    /// File name without its ending.
    pub(crate) name: String,
    /// Folders below the base path.
    pub(crate) folders: Vec<String>,
}

/// Everything a project's folders hold.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) models: Vec<Found>,
    pub(crate) seeds: Vec<Found>,
    pub(crate) macros: Vec<Found>,
    pub(crate) singular_tests: Vec<Found>,
    pub(crate) properties: Vec<Found>,
    /// Fixtures of unit tests by file name (`visits.csv`).
    pub(crate) fixtures: BTreeMap<String, Found>,
}

/// Walks the folders of the project.
pub(crate) fn discover(root: &Path, paths: &Paths) -> Result<Files> {
    let mut files = Files::default();
    refuse_snapshots(root, paths)?;
    let walker = Walker { root, paths };
    for found in walker.files(&paths.models)? {
        if has_ending(&found.path, &["sql"]) {
            files.models.push(found);
        } else if has_ending(&found.path, &["py"]) {
            return Err(python(&found));
        } else {
            files.property(found);
        }
    }
    for found in walker.files(&paths.seeds)? {
        if has_ending(&found.path, &["csv"]) {
            files.seeds.push(found);
        } else {
            files.property(found);
        }
    }
    for found in walker.files(&paths.macros)? {
        if has_ending(&found.path, &["sql"]) {
            files.macros.push(found);
        } else {
            files.property(found);
        }
    }
    for found in walker.files(&paths.tests)? {
        files.test(found);
    }
    for list in [
        &mut files.models,
        &mut files.seeds,
        &mut files.macros,
        &mut files.singular_tests,
        &mut files.properties,
    ] {
        list.sort_by(|a, b| a.path.cmp(&b.path));
        list.dedup_by(|a, b| a.absolute == b.absolute);
    }
    files.check_names()?;
    Ok(files)
}

struct Walker<'a> {
    root: &'a Path,
    paths: &'a Paths,
}

impl Walker<'_> {
    fn files(&self, folders: &[PathBuf]) -> Result<Vec<Found>> {
        let mut files = vec![];
        for folder in folders {
            let base = absolute(self.root, folder);
            for path in walk(&base, &self.paths.excluded)? {
                files.push(self.found(&base, path));
            }
        }
        Ok(files)
    }

    fn found(&self, base: &Path, path: PathBuf) -> Found {
        let below = path
            .parent()
            .and_then(|folder| folder.strip_prefix(base).ok());
        let folders = below.into_iter().flat_map(Path::iter);
        Found {
            path: relative(self.root, &path),
            name: stem(&path),
            folders: folders.map(|f| f.to_string_lossy().into_owned()).collect(),
            absolute: path,
        }
    }
}

impl Found {
    /// `[project, folders…, name]`.
    pub(crate) fn fqn(&self, project: &str) -> Vec<String> {
        let mut fqn = vec![project.to_owned()];
        fqn.extend(self.folders.iter().cloned());
        fqn.push(self.name.clone());
        fqn
    }

    /// The file's text.
    pub(crate) fn read(&self) -> Result<Arc<TextFile>> {
        read_text(&self.absolute, &self.path)
    }
}

impl Files {
    fn property(&mut self, found: Found) {
        if has_ending(&found.path, &["yml", "yaml"]) {
            self.properties.push(found);
        }
    }

    /// A file below a test path: `generic/` holds macros and `fixtures/` rows of unit tests.
    fn test(&mut self, found: Found) {
        let sql = has_ending(&found.path, &["sql"]);
        match found.folders.first().map(String::as_str) {
            Some("generic") if sql => self.macros.push(found),
            Some("fixtures") if sql || has_ending(&found.path, &["csv"]) => {
                let name = found.absolute.file_name().unwrap_or_default();
                let name = name.to_string_lossy().into_owned();
                self.fixtures.insert(name, found);
            }
            _ if sql => self.singular_tests.push(found),
            _ => self.property(found),
        }
    }

    /// Names must be usable, and each model and seed must have its own.
    fn check_names(&self) -> Result<()> {
        let mut seen: BTreeMap<&str, &Found> = BTreeMap::new();
        for found in self.models.iter().chain(&self.seeds) {
            check_name(found)?;
            if let Some(first) = seen.insert(&found.name, found) {
                return Err(twice(&found.name, &first.path, &found.path));
            }
        }
        let mut seen: BTreeMap<&str, &Found> = BTreeMap::new();
        for found in &self.singular_tests {
            check_name(found)?;
            if let Some(first) = seen.insert(&found.name, found) {
                return Err(twice(&found.name, &first.path, &found.path));
            }
        }
        Ok(())
    }
}

fn check_name(found: &Found) -> Result<()> {
    let usable = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !found.name.is_empty() && found.name.chars().all(usable) {
        return Ok(());
    }
    let (name, path) = (&found.name, found.path.display());
    let message = format!("`{path}`: `{name}` cannot be a name");
    Err(RunnerError::new(ErrorKind::Project, message)
        .with_hint("use letters, digits, `_`, `-` and `.` in the file's name"))
}

fn twice(name: &str, first: &Path, second: &Path) -> RunnerError {
    let (first, second) = (first.display(), second.display());
    let message = format!("two files have the name `{name}`: `{first}` and `{second}`");
    RunnerError::new(ErrorKind::Project, message)
        .with_hint("rename one of them: `ref` could mean either")
}

fn python(found: &Found) -> RunnerError {
    let path = found.path.display();
    let message = format!("`{path}` is a Python model, which is not supported");
    RunnerError::new(ErrorKind::Project, message)
        .with_hint("write it as SQL, or move the file out of the model folder")
}

fn refuse_snapshots(root: &Path, paths: &Paths) -> Result<()> {
    for folder in &paths.snapshots {
        let files = walk(&absolute(root, folder), &paths.excluded)?;
        let snapshot = |path: &&PathBuf| has_ending(path, &["sql", "yml", "yaml"]);
        if let Some(path) = files.iter().find(snapshot) {
            let path = relative(root, path);
            let message = format!("`{}`: snapshots are not supported", path.display());
            let error = RunnerError::new(ErrorKind::Project, message);
            let hint = "remove the file, or take its folder out of `snapshot-paths`";
            return Err(with_first_line(error, root, &path).with_hint(hint));
        }
    }
    Ok(())
}

/// Marks the first line of a file that is refused as a whole, if it can be read.
fn with_first_line(error: RunnerError, root: &Path, path: &Path) -> RunnerError {
    let Ok(file) = read_text(&root.join(path), path) else {
        return error;
    };
    error.with_location(Location {
        file: path.to_owned(),
        line: 1,
        column: 1,
        length: file
            .text
            .lines()
            .next()
            .map_or(1, |l| l.chars().count().max(1)),
        text: Arc::clone(&file.text),
    })
}
