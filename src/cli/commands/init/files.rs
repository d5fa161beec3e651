//! The files of the project that the binary carries.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};

/// `sql/` and `data/` of the package (see `build.rs`).
static EMBEDDED: Dir<'_> = include_dir!("$OUT_DIR/embedded");

/// How the packaged project reaches its samples, and how a new one does.
const SAMPLE: (&str, &str) = ("../data/", "data/");

/// Where the project's settings are.
pub(super) const PROJECT_FILE: &str = "dbt_project.yml";

/// Files of a new project by path.
#[derive(Debug, Clone, Default)]
pub(super) struct Files(pub(super) BTreeMap<PathBuf, Cow<'static, [u8]>>);

impl Files {
    /// Every file of a new project.
    pub(super) fn embedded() -> Result<Self> {
        let mut files = Self::default();
        collect(&EMBEDDED, &mut files);
        let text = files.text(Path::new(PROJECT_FILE)).unwrap_or_default();
        let text = own_sample(text)?;
        files.put(PROJECT_FILE, text);
        Ok(files)
    }

    /// A file's text, if it is there and is text.
    pub(super) fn text(&self, path: &Path) -> Option<&str> {
        let content = self.0.get(path)?;
        std::str::from_utf8(content).ok()
    }

    /// The texts below a folder with this ending.
    pub(super) fn texts<'a>(
        &'a self,
        folder: &'a str,
        ending: &'a str,
    ) -> impl Iterator<Item = (&'a Path, &'a str)> {
        let below = self.0.keys().filter(move |path| {
            path.starts_with(folder) && path.extension().is_some_and(|e| e == ending)
        });
        below.filter_map(|path| Some((path.as_path(), self.text(path)?)))
    }

    /// Writes a file.
    pub(super) fn put(&mut self, path: impl Into<PathBuf>, text: String) {
        self.0.insert(path.into(), Cow::Owned(text.into_bytes()));
    }

    /// Changes the texts below a folder.
    pub(super) fn change(&mut self, folder: &str, change: impl Fn(&str) -> String) {
        for (path, content) in &mut self.0 {
            if path.starts_with(folder)
                && let Ok(text) = std::str::from_utf8(content)
            {
                *content = Cow::Owned(change(text).into_bytes());
            }
        }
    }
}

fn collect(folder: &'static Dir<'static>, files: &mut Files) {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(below) => collect(below, files),
            DirEntry::File(file) => {
                let path = file.path();
                let own = path.strip_prefix("sql").unwrap_or(path);
                let content = Cow::Borrowed(file.contents());
                files.0.insert(own.to_owned(), content);
            }
        }
    }
}

/// The project file with its samples inside the project.
fn own_sample(text: &str) -> Result<String> {
    let (packaged, own) = SAMPLE;
    if !text.contains(packaged) {
        let message = format!("the packaged `{PROJECT_FILE}` does not name `{packaged}`");
        return Err(RunnerError::new(ErrorKind::Internal, message));
    }
    Ok(text.replace(packaged, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_project_finds_its_sample() {
        let text = own_sample("vars:\n  table: ../data/segment\n").expect("a sample");
        assert_eq!(text, "vars:\n  table: data/segment\n");
        assert!(own_sample("vars: {}\n").is_err());
    }

    #[test]
    fn the_package_holds_a_project_and_its_sample() {
        let files = Files::embedded().expect("the packaged project");
        let has = |f: &dyn Fn(&Path) -> bool| files.0.keys().any(|path| f(path));
        assert!(has(&|p| p == Path::new(PROJECT_FILE)));
        assert!(has(&|p| p.starts_with("models/segment")));
        assert!(has(&|p| p.starts_with("data/segment")));
        assert!(!has(&|p| p.starts_with("target")));
    }
}
