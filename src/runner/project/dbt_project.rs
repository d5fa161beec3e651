//! `dbt_project.yml`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::files::{absolute, read_text};
use super::types::{LoadOptions, Located};
use super::yaml::{Data, Fields, Node, parse};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::template::YamlContext;

/// The name of the project's file.
pub(crate) const FILE: &str = "dbt_project.yml";

/// `dbt_project.yml`, read and checked; the configuration trees are still YAML.
#[derive(Debug)]
pub(crate) struct ProjectFile {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) profile: Option<Located<String>>,
    pub(crate) paths: Paths,
    pub(crate) vars: Map<String, Value>,
    pub(crate) trees: TreeNodes,
    pub(crate) warnings: Vec<Arc<RunnerError>>,
}

/// The folders of a project: those below it as written, the others absolute.
#[derive(Debug)]
pub(crate) struct Paths {
    pub(crate) models: Vec<PathBuf>,
    pub(crate) seeds: Vec<PathBuf>,
    pub(crate) macros: Vec<PathBuf>,
    pub(crate) tests: Vec<PathBuf>,
    pub(crate) snapshots: Vec<PathBuf>,
    pub(crate) target: PathBuf,
    pub(crate) clean_targets: Vec<PathBuf>,
    /// Folders that hold no part of the project, wherever they lie.
    pub(crate) excluded: Vec<PathBuf>,
}

/// The configuration trees, not yet read.
#[derive(Debug)]
pub(crate) struct TreeNodes {
    pub(crate) models: Option<Node>,
    pub(crate) seeds: Option<Node>,
    pub(crate) sources: Option<Node>,
    pub(crate) data_tests: Option<Node>,
    pub(crate) unit_tests: Option<Node>,
}

/// Reads `dbt_project.yml` in `root`.
pub(crate) fn read(root: &Path, options: &LoadOptions) -> Result<ProjectFile> {
    let path = root.join(FILE);
    if !path.is_file() {
        let folder = options.project_dir.display();
        let message = format!("there is no `{FILE}` in `{folder}`");
        return Err(RunnerError::new(ErrorKind::Project, message).with_hint(
            "name the project's folder with `--project-dir`, or make one with `sessionize init`",
        ));
    }
    let node = parse(&read_text(&path, Path::new(FILE))?)?;
    let node = render(&node, options)?;
    let mut fields = Fields::new(&node, format!("`{FILE}`"))?;
    let name = project_name(fields.required("name")?)?;
    let version = fields.scalar("version")?;
    config_version(&mut fields)?;
    let profile = fields.optional("profile").map(located).transpose()?;
    let mut warnings = vec![];
    let paths = paths(&mut fields, root, &mut warnings)?;
    let vars = vars(fields.optional("vars"), &name)?;
    let trees = trees(&mut fields)?;
    unsupported(&mut fields)?;
    harmless(&mut fields)?;
    fields.finish()?;
    Ok(ProjectFile {
        name,
        version,
        profile,
        paths,
        vars,
        trees,
        warnings,
    })
}

/// Renders what dbt renders before anything else is known. Variables stay as they are, and
/// the configuration trees are rendered when their values are used.
fn render(node: &Node, options: &LoadOptions) -> Result<Node> {
    const LATER: &[&str] = &[
        "vars",
        "models",
        "seeds",
        "sources",
        "tests",
        "data_tests",
        "data-tests",
        "unit_tests",
        "unit-tests",
        "on-run-start",
        "on-run-end",
        "query-comment",
    ];
    let context = YamlContext {
        env: options.env.clone(),
        vars: options.vars.clone(),
        target: Value::Null,
    };
    let mut node = node.clone();
    if let Data::Map(entries) = &mut node.data {
        for entry in entries {
            if !LATER.contains(&entry.name.as_str()) {
                entry.value = entry.value.render(&context)?;
            }
        }
    }
    Ok(node)
}

fn located(node: &Node) -> Result<Located<String>> {
    Ok(Located {
        value: node.scalar()?,
        location: node.place.location(),
    })
}

fn project_name(node: &Node) -> Result<String> {
    let name = node.string()?;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    if name.is_empty() || digit || !name.chars().all(word) {
        let message = format!("`{name}` is not a project name");
        let hint = "use letters, digits and `_`, and no digit first";
        return Err(node.error(message).with_hint(hint));
    }
    Ok(name)
}

fn config_version(fields: &mut Fields<'_>) -> Result<()> {
    let Some(node) = fields.optional("config-version") else {
        return Ok(());
    };
    match node.scalar()?.as_str() {
        "2" => Ok(()),
        other => Err(node.error(format!(
            "`config-version: {other}` is not supported, expected 2"
        ))),
    }
}

/// A list of folders, under its name or its name before dbt 1.0.
fn folders(
    fields: &mut Fields<'_>,
    key: &'static str,
    old: Option<&'static str>,
    default: &str,
) -> Result<Vec<PathBuf>> {
    let node = match old {
        Some(old) => fields.either(key, old)?,
        None => fields.optional(key),
    };
    let Some(node) = node else {
        return Ok(vec![PathBuf::from(default)]);
    };
    Ok(node.strings()?.into_iter().map(PathBuf::from).collect())
}

fn paths(
    fields: &mut Fields<'_>,
    root: &Path,
    warnings: &mut Vec<Arc<RunnerError>>,
) -> Result<Paths> {
    let models = folders(fields, "model-paths", Some("source-paths"), "models")?;
    let seeds = folders(fields, "seed-paths", Some("data-paths"), "seeds")?;
    let macros = folders(fields, "macro-paths", None, "macros")?;
    let tests = folders(fields, "test-paths", None, "tests")?;
    let snapshots = folders(fields, "snapshot-paths", None, "snapshots")?;
    for key in [
        "analysis-paths",
        "docs-paths",
        "asset-paths",
        "function-paths",
    ] {
        fields.strings(key)?;
    }
    let target = fields.string("target-path")?;
    let target = absolute(root, Path::new(target.as_deref().unwrap_or("target")));
    let logs = fields.string("log-path")?;
    let packages = fields.either("packages-install-path", "modules-path")?;
    let packages = packages.map(Node::string).transpose()?;
    let mut excluded = vec![target.clone()];
    for folder in [
        logs.as_deref().unwrap_or("logs"),
        packages.as_deref().unwrap_or("dbt_packages"),
        "dbt_packages",
        "dbt_modules",
    ] {
        excluded.push(absolute(root, Path::new(folder)));
    }
    let sources: Vec<PathBuf> = [&models, &seeds, &macros, &tests]
        .into_iter()
        .flatten()
        .map(|folder| absolute(root, folder))
        .collect();
    let clean_targets = clean_targets(fields, root, &sources, warnings)?;
    Ok(Paths {
        models,
        seeds,
        macros,
        tests,
        snapshots,
        target,
        clean_targets,
        excluded,
    })
}

/// `clean-targets`, without those that would remove the project itself or something outside.
fn clean_targets(
    fields: &mut Fields<'_>,
    root: &Path,
    sources: &[PathBuf],
    warnings: &mut Vec<Arc<RunnerError>>,
) -> Result<Vec<PathBuf>> {
    let mut targets = vec![];
    let Some(node) = fields.optional("clean-targets") else {
        return Ok(targets);
    };
    for folder in node.strings()? {
        let path = absolute(root, Path::new(&folder));
        let holds_sources = sources
            .iter()
            .any(|source| source.starts_with(&path) || path.starts_with(source));
        let reason = match () {
            () if path == root || !path.starts_with(root) => "lies outside the project",
            () if holds_sources => "holds files of the project",
            () => {
                targets.push(path);
                continue;
            }
        };
        let message = format!("`clean` leaves `{folder}` alone: it {reason}");
        warnings.push(Arc::new(node.error(message)));
    }
    Ok(targets)
}

/// Variables: the map under the project's own name wins over the rest.
fn vars(node: Option<&Node>, project: &str) -> Result<Map<String, Value>> {
    let mut vars = node.map_or_else(|| Ok(Map::new()), Node::map)?;
    if let Some(Value::Object(own)) = vars.get(project).cloned() {
        vars.shift_remove(project);
        vars.extend(own);
    }
    Ok(vars)
}

fn trees(fields: &mut Fields<'_>) -> Result<TreeNodes> {
    let data_tests = fields.either("data_tests", "tests")?;
    let data_tests = fields.optional("data-tests").or(data_tests);
    Ok(TreeNodes {
        models: fields.optional("models").cloned(),
        seeds: fields.optional("seeds").cloned(),
        sources: fields.optional("sources").cloned(),
        data_tests: data_tests.cloned(),
        unit_tests: fields.either("unit_tests", "unit-tests")?.cloned(),
    })
}

/// What dbt has and this runner has not.
fn unsupported(fields: &mut Fields<'_>) -> Result<()> {
    let hooks = "hooks do not run here; put the SQL into a model";
    fields.refuse("on-run-start", hooks)?;
    fields.refuse("on-run-end", hooks)?;
    fields.refuse("dispatch", "macros are looked up in this project first")?;
    fields.refuse(
        "query-comment",
        "no query is sent to a server; remove the key",
    )?;
    let Some(quoting) = fields.optional("quoting") else {
        return Ok(());
    };
    for entry in quoting.entries()? {
        if !entry.value.is_null() && !entry.value.boolean()? {
            let message =
                format!("`{}: false` in `quoting` is not supported", entry.name);
            let error = entry.value.error(message);
            return Err(error.with_hint("names are always quoted; remove the key"));
        }
    }
    Ok(())
}

/// What changes no result: the kinds of resources that these configure are refused where
/// they are defined.
fn harmless(fields: &mut Fields<'_>) -> Result<()> {
    fields.ignore(&[
        "require-dbt-version",
        "dbt-cloud",
        "restrict-access",
        "snapshots",
        "exposures",
        "metrics",
        "semantic-models",
        "semantic_models",
        "saved-queries",
        "saved_queries",
        "analyses",
        "functions",
    ]);
    let Some(flags) = fields.optional("flags") else {
        return Ok(());
    };
    const ACTIVE: &[&str] = &[
        "fail_fast",
        "full_refresh",
        "store_failures",
        "warn_error",
        "warn_error_options",
        "defer",
        "favor_state",
        "empty",
    ];
    for entry in flags.entries()? {
        if ACTIVE.contains(&entry.name.as_str()) && !entry.value.is_empty() {
            let message = format!("`{}` in `flags` is not supported", entry.name);
            let hint = "give it as an option of the command line, where there is one";
            return Err(entry.place.error(message).with_hint(hint));
        }
    }
    Ok(())
}
