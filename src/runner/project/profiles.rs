//! `profiles.yml`: where tables go and how many models run at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::files::{absolute, read_text, relative};
use super::types::{LoadOptions, Located, Target, TextFile};
use super::yaml::{Entry, Fields, Node, Place, names, parse};
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};
use crate::runner::template::YamlContext;

/// The name of the file.
const FILE: &str = "profiles.yml";
/// How many models run at once if nobody says.
const THREADS: usize = 4;
/// The target of a project without profiles.
const TARGET: &str = "dev";
/// Where tables go if nobody says.
const TABLES: &str = "target/tables";

/// The target that `options` choose. `profile` is what `dbt_project.yml` names.
pub(crate) fn read(
    root: &Path,
    project: &str,
    profile: Option<&Located<String>>,
    options: &LoadOptions,
) -> Result<Target> {
    let folder = folder(root, profile.is_some(), options);
    let path = folder.join(FILE);
    let mut target = if path.is_file() {
        let file = read_text(&path, &relative(root, &path))?;
        from_file(&file, root, profile, options)?
    } else {
        match (profile, &options.profiles_dir) {
            (None, None) => without_file(root, project, options)?,
            (Some(profile), _) => {
                let message = format!("there is no `{FILE}` in `{}`", folder.display());
                return Err(RunnerError::new(ErrorKind::Project, message)
                    .with_location(profile.location.clone())
                    .with_hint(format!(
                        "it must hold the profile `{}`; it may also lie in `~/.dbt`, or in the \
                         folder that `--profiles-dir` names",
                        profile.value
                    )));
            }
            (None, Some(_)) => {
                let message = format!("there is no `{FILE}` in `{}`", folder.display());
                return Err(RunnerError::new(ErrorKind::Usage, message));
            }
        }
    };
    if let Some(location) = &options.location {
        target.location = resolve(location, &options.current_dir);
    }
    if let Some(threads) = options.threads {
        target.threads = threads;
    }
    Ok(target)
}

/// Where `profiles.yml` is looked for, as dbt does; the one of the home folder only for a
/// project that names a profile.
fn folder(root: &Path, named: bool, options: &LoadOptions) -> PathBuf {
    let given = options.env.get("DBT_PROFILES_DIR").map(Path::new);
    if let Some(folder) = options.profiles_dir.as_deref().or(given) {
        return absolute(&options.current_dir, folder);
    }
    let mut homes = ["HOME", "USERPROFILE"].iter();
    let home = homes.find_map(|name| options.env.get(*name));
    let home = home.map(|home| Path::new(home).join(".dbt"));
    match home.filter(|home| named && home.join(FILE).is_file()) {
        Some(home) if !root.join(FILE).is_file() => home,
        _ => root.to_owned(),
    }
}

fn without_file(root: &Path, project: &str, options: &LoadOptions) -> Result<Target> {
    if let Some(name) = &options.target
        && name != TARGET
    {
        let message = format!("there is no target `{name}`: the project has no `{FILE}`");
        let hint = format!("the only target is `{TARGET}`");
        return Err(RunnerError::new(ErrorKind::Usage, message).with_hint(hint));
    }
    let mut raw = Map::new();
    raw.insert("type".to_owned(), Value::from("sessionize"));
    Ok(Target {
        profile_name: project.to_owned(),
        name: TARGET.to_owned(),
        adapter: "sessionize".to_owned(),
        schema: "main".to_owned(),
        threads: THREADS,
        location: resolve(TABLES, root),
        memory_limit: None,
        raw,
    })
}

/// An absolute path or a URL; a relative path starts at `base`.
fn resolve(location: &str, base: &Path) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    absolute(base, Path::new(location)).display().to_string()
}

fn from_file(
    file: &Arc<TextFile>,
    root: &Path,
    profile: Option<&Located<String>>,
    options: &LoadOptions,
) -> Result<Target> {
    let node = parse(file)?;
    let profiles: Vec<&Entry> = node
        .entries()?
        .iter()
        .filter(|e| e.name != "config")
        .collect();
    let entry = choose_profile(&profiles, file, profile)?;
    let context = YamlContext {
        env: options.env.clone(),
        vars: options.vars.clone(),
        target: Value::Null,
    };
    let mut fields = Fields::new(&entry.value, format!("profile `{}`", entry.name))?;
    let default = fields
        .optional("target")
        .map(|n| n.render(&context))
        .transpose()?;
    let outputs = fields.required("outputs")?;
    fields.ignore(&["config"]);
    fields.finish()?;
    let output = choose_target(outputs, default.as_ref(), options)?;
    let rendered = output.value.render(&context)?;
    let mut target = target(&output.name, &rendered, root)?;
    target.profile_name.clone_from(&entry.name);
    Ok(target)
}

fn choose_profile<'a>(
    profiles: &[&'a Entry],
    file: &Arc<TextFile>,
    wanted: Option<&Located<String>>,
) -> Result<&'a Entry> {
    let known: Vec<&str> = profiles.iter().map(|p| p.name.as_str()).collect();
    let Some(wanted) = wanted else {
        return match profiles {
            [only] => Ok(only),
            _ => {
                let message = format!(
                    "`profile` is missing in `dbt_project.yml`, and `{FILE}` does not \
                     hold exactly one"
                );
                let hint = format!("profiles there: {}", names(&known));
                Err(Place::start(file).error(message).with_hint(hint))
            }
        };
    };
    let name = wanted.value.as_str();
    if let Some(found) = profiles.iter().find(|p| p.name == name) {
        return Ok(found);
    }
    let path = file.path.display();
    let message = format!("there is no profile `{name}` in `{path}`");
    let hint = did_you_mean(name, known.iter().copied())
        .unwrap_or_else(|| format!("profiles there: {}", names(&known)));
    Err(RunnerError::new(ErrorKind::Project, message)
        .with_location(wanted.location.clone())
        .with_hint(hint))
}

fn choose_target<'a>(
    outputs: &'a Node,
    default: Option<&Node>,
    options: &LoadOptions,
) -> Result<&'a Entry> {
    let entries = outputs.entries()?;
    let known: Vec<&str> = entries.iter().map(|e| e.name.as_str()).collect();
    let default_name = default.map(Node::scalar).transpose()?;
    let name = match (&options.target, &default_name) {
        (Some(name), _) | (None, Some(name)) => name.as_str(),
        // dbt's own name for a target that nobody names
        (None, None) => "default",
    };
    if let Some(found) = entries.iter().find(|e| e.name == name) {
        return Ok(found);
    }
    if let (None, None, [only]) = (&options.target, &default_name, entries) {
        return Ok(only);
    }
    let message = format!("there is no target `{name}` in the profile's `outputs`");
    let hint = did_you_mean(name, known.iter().copied())
        .unwrap_or_else(|| format!("targets there: {}", names(&known)));
    let (kind, node) = match (&options.target, default) {
        (None, Some(node)) => (ErrorKind::Project, node),
        _ => (ErrorKind::Usage, outputs),
    };
    Err(RunnerError::new(kind, message)
        .with_location(node.place.location())
        .with_hint(hint))
}

/// Reads one entry of `outputs`.
fn target(name: &str, node: &Node, root: &Path) -> Result<Target> {
    let mut fields = Fields::new(node, format!("target `{name}`"))?;
    let kind = fields.required("type")?;
    let adapter = kind.string()?;
    let schema = fields.scalar("schema")?;
    let threads = fields.optional("threads").map(threads).transpose()?;
    let memory_limit = fields.scalar("memory_limit")?;
    let location = fields.optional("location").map(Node::string).transpose()?;
    let location = match adapter.as_str() {
        "sessionize" => {
            fields.finish()?;
            location
        }
        "duckdb" => {
            fields.refuse("attach", "name the files of its tables as sources")?;
            fields.refuse("plugins", "name files as sources with `external_location`")?;
            match location {
                Some(location) => Some(location),
                None => duckdb_location(&mut fields, root)?,
            }
        }
        other => {
            let message = format!("`type: {other}` is not supported");
            return Err(kind.error(message).with_hint(
                "expected `sessionize`; `duckdb` is read for the sake of existing projects",
            ));
        }
    };
    Ok(Target {
        profile_name: String::new(),
        name: name.to_owned(),
        adapter,
        schema: schema.unwrap_or_else(|| "main".to_owned()),
        threads: threads.unwrap_or(THREADS),
        location: resolve(location.as_deref().unwrap_or(TABLES), root),
        memory_limit,
        raw: node.map()?,
    })
}

fn threads(node: &Node) -> Result<usize> {
    // `env_var` gives text
    let threads = node.scalar()?.parse::<usize>().ok().filter(|n| *n > 0);
    threads.ok_or_else(|| node.mismatch("a whole number from 1"))
}

/// Where a DuckDB project keeps what it writes: `external_root`, else the folder of `path`,
/// unless that is the project's own folder, which tables would mix with its files.
fn duckdb_location(fields: &mut Fields<'_>, root: &Path) -> Result<Option<String>> {
    if let Some(location) = fields.string("external_root")? {
        return Ok(Some(location));
    }
    let Some(node) = fields.optional("path") else {
        return Ok(None);
    };
    let path = node.string()?;
    if path == ":memory:" {
        return Ok(None);
    }
    if path.starts_with("md:") || path.starts_with("motherduck:") {
        let error = node.error(format!("`path: {path}` is not supported"));
        return Err(error.with_hint("name a folder or a URL with `external_root`"));
    }
    let folder = absolute(root, Path::new(&path));
    let folder = folder.parent().unwrap_or(&folder);
    let own = folder == root;
    Ok((!own).then(|| folder.display().to_string()))
}
