//! Which room may import which: every `crate::` path in `src/` against the table of rooms.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of the library in the order of their layers. A room imports from its own line or
/// from lines above it, never from below.
const LAYERS: &[&[&str]] = &[
    &["boundary", "csv", "store", "timestamp"],
    &["table"],
    &["config"],
    &["functions"],
    &["operators"],
    &["optimizer"],
    &["planner"],
    &["catalog"],
    &["ext"],
    &["runner", "generate"],
];

/// Rooms of the runner; each imports only from those before it.
const RUNNER: &[&str] = &[
    "error",
    "template",
    "project",
    "data_tests",
    "compile",
    "materialization",
    "schedule",
    "engine",
    "run",
    "report",
];

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // Unit tests in files of their own may use any room.
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

/// The first two names of every `crate::a::b` path outside comments.
fn imports(text: &str) -> Vec<(String, String)> {
    let code: String = text
        .lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let name = |s: &str| -> String {
        s.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    code.match_indices("crate::")
        .filter(|(at, _)| {
            !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
        })
        .map(|(at, prefix)| {
            let rest = &code[at + prefix.len()..];
            let first = name(rest);
            let second = rest[first.len()..]
                .strip_prefix("::")
                .map(name)
                .unwrap_or_default();
            (first, second)
        })
        .collect()
}

/// What is wrong with one file's imports, given its path below `src/`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut parts = path.trim_end_matches(".rs").split('/');
    let room = parts.next().unwrap_or_default();
    let inner = parts.next().unwrap_or_default();
    let mut wrong = Vec::new();
    for (first, second) in imports(text) {
        if let (Some(mine), Some(theirs)) = (layer(room), layer(&first))
            && (theirs > mine || (theirs == mine && room != first && room != "generate"))
        {
            wrong.push(format!("src/{path}: `{room}` must not import `{first}`"));
        }
        if room == "runner" && first == "runner" {
            let at = |name: &str| RUNNER.iter().position(|r| *r == name);
            if let (Some(mine), Some(theirs)) = (at(inner), at(&second))
                && theirs > mine
            {
                wrong.push(format!(
                    "src/{path}: `runner::{inner}` must not import `runner::{second}`"
                ));
            }
        }
    }
    wrong
}

#[test]
fn rooms_import_only_downward() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let path = file
                .strip_prefix(&src)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            violations(&path, &fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_is_in_the_table() {
    let lib = include_str!("../../src/lib.rs");
    for line in lib.lines() {
        let line = line.trim_start_matches("pub ");
        if let Some(room) = line.strip_prefix("mod ").and_then(|r| r.strip_suffix(';')) {
            assert!(layer(room).is_some(), "`{room}` is in no layer");
        }
    }
}

#[test]
fn an_upward_import_is_seen() {
    assert!(!violations("boundary/mod.rs", "use crate::runner::error;").is_empty());
    assert!(
        !violations("runner/project/mod.rs", "use crate::runner::run::run;").is_empty()
    );
    assert!(violations("runner/run/mod.rs", "use crate::runner::project::X;").is_empty());
}
