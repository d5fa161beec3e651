//! `clean`.

use std::path::{Component, Path, PathBuf};

use datafusion_sessionize::Stores;
use datafusion_sessionize::runner::error::Result;

use super::usage;
use crate::cli::args::CleanArguments;
use crate::cli::artifacts::cannot_write;
use crate::cli::context::Context;
use crate::cli::exit::Exit;

/// Removes the target folder and the `clean-targets`, all of them below the project, but
/// never the tables: they are results, and an export or a history may be nowhere else.
pub(crate) fn run(context: &Context, arguments: &CleanArguments) -> Result<Exit> {
    let project = context.load()?;
    let mut folders = vec![project.target_path.clone()];
    folders.extend(project.clean_targets.iter().cloned());
    let mut sources: Vec<&Path> = Vec::new();
    sources.extend(project.models.iter().map(|m| m.file.path.as_path()));
    sources.extend(project.seeds.iter().map(|s| s.path.as_path()));
    sources.extend(project.macros.iter().map(|m| m.path.as_path()));
    sources.extend(project.singular_tests.iter().map(|t| t.file.path.as_path()));
    let sources: Vec<PathBuf> = sources.iter().map(|s| project.root.join(s)).collect();
    for folder in &folders {
        check(&project.root, folder, &sources)?;
    }
    folders.sort();
    folders.dedup();
    let tables = tables(&project.target.location);
    for folder in folders.iter().filter(|f| f.symlink_metadata().is_ok()) {
        let shown = folder
            .strip_prefix(&project.root)
            .unwrap_or(folder)
            .display();
        let kept = tables
            .as_ref()
            .filter(|t| t.starts_with(folder) && t.exists());
        let but = kept.map_or_else(String::new, |kept| {
            let kept = kept.strip_prefix(&project.root).unwrap_or(kept);
            format!(", but the tables in `{}`", kept.display())
        });
        if arguments.dry_run {
            let line = format!("would remove `{shown}`{but}");
            context.printer.result(&line);
            continue;
        }
        let removed = match kept {
            Some(kept) => remove_around(folder, kept),
            None => remove(folder),
        };
        removed.map_err(|e| cannot_write(folder, e))?;
        context.printer.result(&format!("removed `{shown}`{but}"));
    }
    Ok(Exit::Ok)
}

/// The folder of the target's tables, if it is one of this machine.
fn tables(location: &str) -> Option<PathBuf> {
    let url = Stores::parse(location, Path::new("/")).ok()?;
    url.to_file_path().ok().map(|path| normalized(&path))
}

/// Removes all below `folder` but what is at, or below, `kept`.
fn remove_around(folder: &Path, kept: &Path) -> std::io::Result<()> {
    if folder == kept {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match kept.starts_with(&path) {
            true => remove_around(&path, kept)?,
            false => remove(&path)?,
        }
    }
    Ok(())
}

/// Removes a folder or a file; of a link only the link.
fn remove(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}

/// Refuses what is not strictly below the project, and what holds the project's own files.
fn check(root: &Path, folder: &Path, sources: &[PathBuf]) -> Result<()> {
    let shown = folder.display();
    let normal = normalized(folder);
    if !is_below(&normal, &normalized(root)) || !really_below(&normal, root) {
        let message = format!("`{shown}` does not lie below the project's folder");
        let hint = "`clean` removes nothing outside of it: change `clean-targets` or `target-path`";
        return Err(usage(message).with_hint(hint));
    }
    match sources.iter().find(|s| normalized(s).starts_with(&normal)) {
        Some(source) => {
            let source = source.display();
            let message = format!("`{shown}` holds a file of the project: `{source}`");
            Err(usage(message).with_hint("change `clean-targets` in `dbt_project.yml`"))
        }
        None => Ok(()),
    }
}

fn is_below(path: &Path, root: &Path) -> bool {
    path != root && path.starts_with(root)
}

/// The same with links followed, as far as the folders above `path` are there.
fn really_below(path: &Path, root: &Path) -> bool {
    let Ok(root) = root.canonicalize() else {
        return false;
    };
    let above = path.ancestors().skip(1).find_map(|a| a.canonicalize().ok());
    above.is_some_and(|a| a.starts_with(root))
}

/// The path without `.` and `..`.
fn normalized(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_below_the_project_that_hold_none_of_its_files() -> std::io::Result<()>
    {
        let root = tempfile::tempdir()?;
        let root = root.path();
        let sources = [root.join("models/a.sql")];
        let allowed = |folder: &str| check(root, &root.join(folder), &sources).is_ok();
        assert!(allowed("target"));
        assert!(allowed("deep/down/target"));
        assert!(!allowed(""));
        assert!(!allowed("."));
        assert!(!allowed(".."));
        assert!(!allowed("target/../../other"));
        assert!(!allowed("models"));
        assert!(!allowed("models/../models"));
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_nowhere_else() -> std::io::Result<()> {
        let (root, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
        std::os::unix::fs::symlink(other.path(), root.path().join("link"))?;
        let inside = root.path().join("link/target");
        assert!(check(root.path(), &inside, &[]).is_err());
        Ok(())
    }
}
