//! Gathers what the binary carries: the SQL project of `sql/` and the samples of `data/`.
//!
//! They are copied without what a run leaves behind (`target/`), so that building a project
//! inside the checkout never ends up in the binary.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const LEFT_OUT: [&str; 5] = ["target", "logs", "out", "expected", ".gitkeep"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let embedded = PathBuf::from(variable("OUT_DIR")?).join("embedded");
    if embedded.exists() {
        fs::remove_dir_all(&embedded)?;
    }
    fs::create_dir_all(&embedded)?;
    say("cargo::rerun-if-changed=build.rs");
    for folder in ["sql", "data"] {
        let source = root.join(folder);
        if source.is_dir() {
            copy(&source, &embedded.join(folder), true)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, top: bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        if top {
            say(&format!(
                "cargo::rerun-if-changed={}",
                entry.path().display()
            ));
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(name), false)?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|e| io::Error::other(format!("`{name}`: {e}")))
}

fn say(line: &str) {
    println!("{line}");
}
