//! `init`: the project that the binary carries, written out.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};

use super::usage;
use crate::cli::args::InitArguments;
use crate::cli::artifacts;
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::progress::count;

/// `sql/` and `data/` of the package (see `build.rs`).
static EMBEDDED: Dir<'_> = include_dir!("$OUT_DIR/embedded");

/// How the packaged project reaches its samples, and how a new one does.
const SAMPLE: (&str, &str) = ("../data/", "data/");

/// Writes the project into a folder that has none of its files.
pub(crate) fn run(context: &Context, arguments: &InitArguments) -> Result<Exit> {
    let folder = context.absolute(&arguments.dir);
    let files = files(&EMBEDDED)?;
    let there: Vec<&PathBuf> = files
        .iter()
        .map(|(path, _)| path)
        .filter(|path| folder.join(path).symlink_metadata().is_ok())
        .collect();
    if let [first, others @ ..] = there.as_slice() {
        let first = arguments.dir.join(first);
        let message = match others.len() {
            0 => format!("`{}` is already there", first.display()),
            n => format!("`{}` and {n} more are already there", first.display()),
        };
        let hint = "`init` overwrites nothing: choose another folder";
        return Err(usage(message).with_hint(hint));
    }
    for (path, content) in &files {
        artifacts::whole(&folder.join(path), content)?;
    }
    let written = count(files.len() as u64, "file");
    let shown = arguments.dir.display();
    context
        .printer
        .result(&format!("wrote {written} to `{shown}`"));
    context
        .printer
        .note(&format!("next: sessionize build --project-dir {shown}"));
    Ok(Exit::Ok)
}

/// Every file of a new project: its path and its content.
fn files(embedded: &'static Dir<'static>) -> Result<Vec<(PathBuf, Cow<'static, [u8]>)>> {
    let mut all = Vec::new();
    collect(embedded, &mut all);
    let mut files = Vec::new();
    for (path, content) in all {
        if let Ok(below) = path.strip_prefix("sql") {
            let own = if below == Path::new("dbt_project.yml") {
                Cow::Owned(own_sample(content)?)
            } else {
                Cow::Borrowed(content)
            };
            files.push((below.to_owned(), own));
        } else {
            files.push((path.to_owned(), Cow::Borrowed(content)));
        }
    }
    files.sort();
    Ok(files)
}

fn collect(
    folder: &'static Dir<'static>,
    files: &mut Vec<(&'static Path, &'static [u8])>,
) {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(below) => collect(below, files),
            DirEntry::File(file) => files.push((file.path(), file.contents())),
        }
    }
}

/// The project file with its samples inside the project.
fn own_sample(content: &[u8]) -> Result<Vec<u8>> {
    let broken = |m: &str| RunnerError::new(ErrorKind::Internal, m);
    let text = std::str::from_utf8(content).map_err(|e| {
        broken("the packaged `dbt_project.yml` is not UTF-8").with_source(e)
    })?;
    let (packaged, own) = SAMPLE;
    if !text.contains(packaged) {
        let message =
            format!("the packaged `dbt_project.yml` does not name `{packaged}`");
        return Err(broken(&message));
    }
    Ok(text.replace(packaged, own).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_project_finds_its_sample() {
        let text =
            own_sample(b"vars:\n  table: ../data/segment\n").expect("names the sample");
        assert_eq!(text, b"vars:\n  table: data/segment\n");
        assert!(own_sample(b"vars: {}\n").is_err());
    }

    #[test]
    fn the_package_holds_a_project_and_its_sample() {
        let files = files(&EMBEDDED).expect("the packaged project");
        let has = |f: &dyn Fn(&Path) -> bool| files.iter().any(|(path, _)| f(path));
        assert!(has(&|p| p == Path::new("dbt_project.yml")));
        assert!(has(&|p| p.starts_with("models/segment")));
        assert!(has(&|p| p.starts_with("data/segment")));
        assert!(!has(&|p| p.starts_with("target")));
    }
}
