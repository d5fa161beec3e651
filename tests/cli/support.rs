//! Small projects in temporary folders, and the binary run in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project in a folder of its own.
#[derive(Debug)]
pub(crate) struct Project {
    folder: tempfile::TempDir,
}

const PROJECT: &str = "\
name: shop
version: '1.0'
profile: shop
vars:
  lowest: 2
";

const PROFILES: &str = "\
shop:
  target: dev
  outputs:
    dev:
      type: sessionize
      location: tables
      threads: 1
";

impl Project {
    /// An empty project.
    pub(crate) fn empty() -> Self {
        let project = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        project
            .with("dbt_project.yml", PROJECT)
            .with("profiles.yml", PROFILES)
    }

    /// A seed, a view, a table, a source and tests.
    pub(crate) fn small() -> Self {
        Self::empty()
            .with("seeds/orders.csv", "id,amount\n1,10\n2,20\n3,30\n")
            .with("data/events.csv", "id,kind\n1,click\n2,view\n")
            .with(
                "models/large_orders.sql",
                "{{ config(materialized='view') }}\n\
                 select id, amount\n\
                 from {{ ref('orders') }}\n\
                 where id >= {{ var('lowest') }}\n",
            )
            .with(
                "models/totals.sql",
                "{{ config(materialized='table') }}\n\
                 select count(*) as orders, sum(amount) as amount\n\
                 from {{ ref('large_orders') }}\n",
            )
            .with(
                "models/schema.yml",
                "version: 2\n\
                 sources:\n\
                 \x20 - name: raw\n\
                 \x20   tables:\n\
                 \x20     - name: events\n\
                 \x20       config:\n\
                 \x20         external_location: data/events.csv\n\
                 models:\n\
                 \x20 - name: large_orders\n\
                 \x20   columns:\n\
                 \x20     - name: id\n\
                 \x20       data_tests:\n\
                 \x20         - unique\n",
            )
    }

    /// Writes a file.
    pub(crate) fn with(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    /// A path inside the project.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Runs the binary in the project's folder: exit code, stdout, stderr.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let text = format!(
            "exit: {}\n--- stdout\n{}--- stderr\n{}",
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr)
        );
        let folder = self.folder.path();
        let real = folder.canonicalize().expect("the folder is there");
        let mut text = text
            .replace(&real.display().to_string(), "[DIR]")
            .replace(&folder.display().to_string(), "[DIR]");
        text.truncate(text.trim_end().len());
        text
    }

    /// The binary, about to run in the project's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command(self.folder.path(), arguments)
    }
}

/// The binary, about to run in `folder`.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessionize"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .env_remove("RUST_BACKTRACE");
    command
}

/// Compares the text with an inline snapshot; times, sizes and versions are left out.
macro_rules! assert_output {
    ($text:expr, @$snapshot:literal) => {
        insta::with_settings!({
            filters => vec![
                (r"\d+\.\d\ds\b", "[TIME]"),
                (r"\d+(\.\d+)? (B|kB|MB)\b", "[SIZE]"),
                (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[ID]"),
                (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|\+00:00)", "[NOW]"),
                (r"(sessionize|datafusion) +\d+\.\d+\.\d+", "$1 [VERSION]"),
            ],
        }, {
            insta::assert_snapshot!($text, @$snapshot);
        });
    };
}
pub(crate) use assert_output;
