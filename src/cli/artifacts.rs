//! Files that a command leaves in the target folder, each complete or not there.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use datafusion_sessionize::runner::compile::{Dag, Node, NodeKind};
use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use datafusion_sessionize::runner::project::Project;
use datafusion_sessionize::runner::report::{
    Invocation, manifest_json, run_results_json,
};
use datafusion_sessionize::runner::run::RunResults;

/// Writes `manifest.json`.
pub(crate) fn manifest(dag: &Dag, invocation: &Invocation) -> Result<()> {
    let path = dag.project.target_path.join("manifest.json");
    json(&path, &manifest_json(dag, invocation))
}

/// Writes `run_results.json`.
pub(crate) fn run_results(
    results: &RunResults,
    dag: &Dag,
    invocation: &Invocation,
) -> Result<()> {
    let path = dag.project.target_path.join("run_results.json");
    json(&path, &run_results_json(results, dag, invocation))
}

/// Writes the SQL of `nodes` to `compiled/<project>/<path>`.
pub(crate) fn compiled<'a>(
    project: &Project,
    nodes: impl IntoIterator<Item = &'a Node>,
) -> Result<()> {
    for node in nodes {
        if let Some(path) = compiled_path(project, node) {
            whole(&path, node.compiled.sql.as_bytes())?;
        }
    }
    Ok(())
}

fn compiled_path(project: &Project, node: &Node) -> Option<PathBuf> {
    let file = &node.file.as_ref()?.path;
    let folder = project.target_path.join("compiled").join(&project.name);
    match node.kind {
        NodeKind::Model | NodeKind::SingularTest => Some(folder.join(file)),
        NodeKind::DataTest { .. } | NodeKind::UnitTest { .. } => {
            Some(folder.join(file).join(format!("{}.sql", node.name)))
        }
        NodeKind::Seed(_) | NodeKind::Source(_) => None,
    }
}

fn json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| {
        let message = format!("`{}` cannot be written as JSON", path.display());
        RunnerError::new(ErrorKind::Internal, message).with_source(e)
    })?;
    text.push(b'\n');
    whole(path, &text)
}

/// Writes a file with all its folders: readers see the old one or the new one.
pub(crate) fn whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = Replacement::create(path).and_then(|mut file| {
        file.writer().write_all(bytes)?;
        file.finish()
    });
    written.map_err(|e| cannot_write(path, e))
}

/// The error of a file that cannot be written.
pub(crate) fn cannot_write(path: &Path, cause: io::Error) -> RunnerError {
    let message = format!("cannot write `{}`", path.display());
    RunnerError::new(ErrorKind::Store, message).with_source(cause)
}

const TEMPORARY: &str = ".tmp";

/// A file of this age was locked by who made it, who may else be about to.
const NOT_YET_LOCKED: Duration = Duration::from_secs(60);

/// A file that takes its name when it is finished; dropped before, it leaves nothing. What is
/// there and no file (a pipe, a device) is written to as it is, and of a link what it leads to.
#[derive(Debug)]
pub(crate) struct Replacement {
    path: PathBuf,
    /// None if the path is written to.
    temporary: Option<PathBuf>,
    file: Option<io::BufWriter<fs::File>>,
}

impl Replacement {
    /// Opens a temporary file beside `path`.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::Error::other("a folder of that name is there"));
        }
        if path.exists() && !path.is_file() {
            let file = fs::OpenOptions::new().write(true).open(path)?;
            return Ok(Self {
                path: path.to_owned(),
                temporary: None,
                file: Some(io::BufWriter::new(file)),
            });
        }
        let behind = path.is_symlink().then(|| fs::canonicalize(path));
        let behind = behind.and_then(Result::ok);
        let path = behind.as_deref().unwrap_or(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let name = path.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")
        })?;
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let temporary = format!("{}{suffix}{TEMPORARY}", prefix_of(name));
        let temporary = path.with_file_name(temporary);
        let file = fs::File::create_new(&temporary)?;
        // where files cannot be locked, nobody takes this one for abandoned either
        drop(file.try_lock());
        Ok(Self {
            path: path.to_owned(),
            temporary: Some(temporary),
            file: Some(io::BufWriter::new(file)),
        })
    }

    /// Removes what processes that were killed have left beside the file, where results of any
    /// size are. What cannot be removed stays.
    pub(crate) fn remove_abandoned(&self) {
        let Some(temporary) = &self.temporary else {
            return;
        };
        let folder = temporary.parent().filter(|f| !f.as_os_str().is_empty());
        let entries = fs::read_dir(folder.unwrap_or_else(|| Path::new(".")));
        let prefix = prefix_of(self.path.file_name().unwrap_or_default());
        for file in entries.into_iter().flatten().flatten() {
            let name = file.file_name();
            let name = name.to_string_lossy();
            let suffix = name.strip_prefix(&prefix);
            let suffix = suffix.and_then(|suffix| suffix.strip_suffix(TEMPORARY));
            let ours = suffix.is_some_and(|suffix| uuid::Uuid::try_parse(suffix).is_ok());
            if ours && is_abandoned(&file) {
                drop(fs::remove_file(file.path()));
            }
        }
    }

    /// Where the bytes go.
    pub(crate) fn writer(&mut self) -> ReplacementWriter<'_> {
        ReplacementWriter(self)
    }

    /// Gives the file its name.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let mut file = self.file.take();
        if let Some(file) = &mut file {
            file.flush()?;
        }
        let Some(temporary) = &self.temporary else {
            return Ok(());
        };
        if let Some(file) = &file {
            file.get_ref().sync_all()?;
        }
        fs::rename(temporary, &self.path)
    }
}

/// How the names of temporary files for `name` begin.
fn prefix_of(name: &OsStr) -> String {
    format!(".{}.", name.to_string_lossy())
}

/// Whether a file is not new and nobody holds a lock of it.
fn is_abandoned(file: &fs::DirEntry) -> bool {
    let modified = file.metadata().and_then(|m| m.modified());
    let old = modified.is_ok_and(|m| m.elapsed().is_ok_and(|age| age > NOT_YET_LOCKED));
    old && fs::File::open(file.path()).is_ok_and(|file| file.try_lock().is_ok())
}

/// Writes to a [`Replacement`].
#[derive(Debug)]
pub(crate) struct ReplacementWriter<'a>(&'a mut Replacement);

impl Write for ReplacementWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After `finish` nothing of that name is there.
        if let Some(temporary) = &self.temporary {
            drop(fs::remove_file(temporary));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a/b.txt");
        whole(&path, b"one").expect("a folder that can be written");
        let mut second = Replacement::create(&path)?;
        second.writer().write_all(b"two")?;
        drop(second);
        assert_eq!(fs::read(&path)?, b"one");
        assert_eq!(fs::read_dir(folder.path().join("a"))?.count(), 1);
        Ok(())
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("b.txt");
        let left = |suffix: &str, age: u64| -> io::Result<PathBuf> {
            let path = folder.path().join(format!(".b.txt.{suffix}.tmp"));
            let file = fs::File::create_new(&path)?;
            let then = file.metadata()?.modified()? - Duration::from_secs(age);
            file.set_modified(then)?;
            Ok(path)
        };
        let abandoned = left("0123456789abcdef0123456789abcdef", 3600)?;
        let new = left("1123456789abcdef0123456789abcdef", 1)?;
        let other = left("not-one-of-ours", 3600)?;
        let held = left("2123456789abcdef0123456789abcdef", 3600)?;
        let lock = fs::File::open(&held)?;
        lock.lock()?;
        Replacement::create(&path)?.remove_abandoned();
        assert!(!abandoned.exists());
        assert!(new.exists() && other.exists() && held.exists());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old")?;
        std::os::unix::fs::symlink(&target, &link)?;
        whole(&link, b"new").expect("a folder that can be written");
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target)?, b"new");
        let device = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &device)?;
        whole(&device, b"gone").expect("a device that takes all");
        assert!(!Path::new("/dev/null").is_file());
        assert!(device.is_symlink());
        assert_eq!(fs::read_dir(folder.path())?.count(), 3);
        Ok(())
    }
}
