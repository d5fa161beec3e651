//! Reading files and folders: sorted, hidden ones left out, text as UTF-8 without a mark.

use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::types::TextFile;
use crate::runner::error::{ErrorKind, Result, RunnerError};

/// How deep folders are followed; a link to a folder above itself ends here.
const DEEPEST: usize = 64;

/// Reads a text file. A byte order mark is dropped and line ends become `\n`, so that
/// places and texts are the same on every system.
pub(crate) fn read_text(absolute: &Path, shown: &Path) -> Result<Arc<TextFile>> {
    let bytes = fs::read(absolute).map_err(|error| io_error("read", shown, error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let shown = shown.display();
        RunnerError::new(
            ErrorKind::Project,
            format!("`{shown}` is not UTF-8 text (byte {at})"),
        )
        .with_hint("save the file as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = if text.contains('\r') {
        Arc::from(text.replace("\r\n", "\n"))
    } else {
        Arc::from(text)
    };
    Ok(Arc::new(TextFile {
        path: shown.to_owned(),
        text,
    }))
}

fn io_error(verb: &str, path: &Path, error: std::io::Error) -> RunnerError {
    let path = path.display();
    RunnerError::new(ErrorKind::Project, format!("cannot {verb} `{path}`"))
        .with_source(error)
}

/// `path` below `base`, without `.` and `..`.
pub(crate) fn absolute(base: &Path, path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in base.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            other => result.push(other),
        }
    }
    result
}

/// `path` as messages and artifacts show it: below the root relative to it, with `/`.
pub(crate) fn relative(root: &Path, path: &Path) -> PathBuf {
    match path.strip_prefix(root) {
        Ok(below) => PathBuf::from(slashes(below)),
        Err(_) => path.to_owned(),
    }
}

/// A relative path with `/` between its parts.
fn slashes(path: &Path) -> String {
    let parts = path.iter().map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

/// Every file below `folder`, in the order of their paths. A folder that does not exist has
/// none; hidden files and folders and the folders in `excluded` are left out.
pub(crate) fn walk(folder: &Path, excluded: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    visit(folder, excluded, 0, &mut found)?;
    found.sort_by_key(|path| slashes(path));
    Ok(found)
}

fn visit(
    folder: &Path,
    excluded: &[PathBuf],
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("list", folder, error)),
    };
    if depth > DEEPEST {
        let folder = folder.display();
        let message =
            format!("folders are nested more than {DEEPEST} deep at `{folder}`");
        return Err(RunnerError::new(ErrorKind::Project, message));
    }
    for entry in entries {
        let entry = entry.map_err(|error| io_error("list", folder, error))?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.')
            || excluded.contains(&path)
        {
            continue;
        }
        let metadata =
            fs::metadata(&path).map_err(|error| io_error("read", &path, error))?;
        if metadata.is_dir() {
            visit(&path, excluded, depth + 1, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether the file name of `path` ends in one of `endings` (lower case, without the dot).
pub(crate) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    ending.is_some_and(|e| endings.contains(&e.as_str()))
}

/// The file name without its last ending.
pub(crate) fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
