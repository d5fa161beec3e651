//! Which packs there are, and what each of them needs: other packs, seeds, macros, variables,
//! samples. All of it is read from the files themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use regex::Regex;

use super::files::{Files, PROJECT_FILE};
use super::outline;

static REFS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\bref\(\s*(?:var\(\s*)?['"]([^'"]+)['"]"#).ok());
static VARS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\bvar\(\s*['"]([^'"]+)['"]"#).ok());
/// A model whose name is worked out, and the names that it may be.
static WORKED_OUT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bref\(\s*([A-Za-z_][A-Za-z0-9_]*)\s*\)").ok());
static QUOTED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"['"]([A-Za-z_][A-Za-z0-9_]*)['"]"#).ok());
static CALLS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b([A-Za-z_][A-Za-z0-9_]*)\s*\(").ok());
static MACROS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bmacro\s+([A-Za-z_][A-Za-z0-9_]*)\s*\(").ok());
static SAMPLES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bdata/([A-Za-z0-9_]+)").ok());

/// What `pattern` captures in `text`.
fn captures<'t>(
    pattern: &'static LazyLock<Option<Regex>>,
    text: &'t str,
) -> impl Iterator<Item = &'t str> {
    let found = pattern.iter().flat_map(move |p| p.captures_iter(text));
    found.filter_map(|c| c.get(1).map(|m| m.as_str()))
}

/// The packs, by name.
pub(super) fn names(files: &Files) -> Vec<String> {
    let packs = files.0.keys().filter_map(|path| {
        let below = path.strip_prefix("models").ok()?;
        let mut parts = below.iter();
        let (pack, _) = (parts.next()?, parts.next()?);
        pack.to_str().map(str::to_owned)
    });
    packs.collect::<BTreeSet<_>>().into_iter().collect()
}

/// What a choice of packs comes to.
struct Need<'a> {
    files: &'a Files,
    /// Models, and the pack of each.
    models: BTreeMap<&'a str, &'a str>,
    /// Seeds, and the file of each.
    seeds: BTreeMap<&'a str, &'a Path>,
    /// Macros, and the file of each.
    macros: BTreeMap<&'a str, &'a Path>,
    packs: BTreeSet<String>,
    kept: BTreeSet<PathBuf>,
    vars: BTreeSet<String>,
}

/// The files that `packs` need, and the packs that came along.
pub(super) fn chosen(files: &Files, packs: &[String]) -> Result<(Files, Vec<String>)> {
    let mut need = Need::new(files);
    for pack in packs {
        need.pack(pack);
    }
    need.tests();
    need.properties();
    let along = need.packs.iter().filter(|p| !packs.contains(p));
    let along = along.cloned().collect();
    need.files().map(|files| (files, along))
}

impl<'a> Need<'a> {
    fn new(files: &'a Files) -> Self {
        let stem = |path: &'a Path| path.file_stem().and_then(|s| s.to_str());
        let models = files.texts("models", "sql").filter_map(|(path, _)| {
            let pack = path.iter().nth(1)?.to_str()?;
            Some((stem(path)?, pack))
        });
        let seeds = files.texts("seeds", "csv");
        let macros = files.texts("macros", "sql").flat_map(|(path, text)| {
            captures(&MACROS, text).map(move |name| (name, path))
        });
        Self {
            files,
            models: models.collect(),
            seeds: seeds.filter_map(|(p, _)| Some((stem(p)?, p))).collect(),
            macros: macros.collect(),
            packs: BTreeSet::new(),
            kept: BTreeSet::new(),
            vars: BTreeSet::new(),
        }
    }

    fn pack(&mut self, name: &str) {
        if !self.packs.insert(name.to_owned()) {
            return;
        }
        let folder = format!("models/{name}");
        let files = self.files;
        let paths = files.0.keys().filter(|path| path.starts_with(&folder));
        for path in paths.cloned().collect::<Vec<_>>() {
            self.keep(&path);
        }
    }

    /// Keeps a file and all that its text calls for.
    fn keep(&mut self, path: &Path) {
        if !self.kept.insert(path.to_owned()) {
            return;
        }
        let Some(text) = self.files.text(path) else {
            return;
        };
        if path.starts_with("seeds") {
            return;
        }
        self.vars.extend(captures(&VARS, text).map(str::to_owned));
        for name in captures(&CALLS, text) {
            if let Some(file) = self.macros.get(name).copied() {
                self.keep(file);
            }
            // a function's rules are the seed that is named after it
            let rules = format!("{name}_rules");
            if let Some(seed) = self.seeds.get(rules.as_str()).copied() {
                self.keep(seed);
            }
        }
        for name in self.read(text) {
            if let Some(pack) = self.models.get(name.as_str()).copied() {
                self.pack(pack);
            } else if let Some(seed) = self.seeds.get(name.as_str()).copied() {
                self.keep(seed);
            }
        }
    }

    /// The models and seeds that a text reads; `ref(var('x'))` reads the variable's default.
    fn read(&self, text: &str) -> Vec<String> {
        let project = self.files.text(Path::new(PROJECT_FILE)).unwrap_or_default();
        let default = |name: &str| {
            let start = format!("  {name}: ");
            let line = project.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap_or(name).trim().to_owned()
        };
        captures(&REFS, text).map(default).collect()
    }

    /// Keeps the tests that read only what is there. Where one works out what it reads, that is
    /// any model that it names.
    fn tests(&mut self) {
        let files = self.files;
        for (path, text) in files.texts("tests", "sql") {
            let mut reads = self.read(text);
            if captures(&WORKED_OUT, text).next().is_some() {
                reads.extend(captures(&QUOTED, text).map(str::to_owned));
            }
            let there = reads.iter().all(|name| {
                let pack = self.models.get(name.as_str());
                let seed = self.seeds.get(name.as_str());
                pack.is_none_or(|pack| self.packs.contains(*pack))
                    && seed.is_none_or(|seed| self.kept.contains(*seed))
            });
            if there {
                self.keep(path);
            }
        }
    }

    /// Keeps what stands beside the seeds that are kept, and what is no pack's.
    fn properties(&mut self) {
        let beside = |path: &&PathBuf| {
            let parts = path.iter().count();
            let seeds = path.starts_with("seeds");
            parts == 1 || (seeds && path.extension().is_none_or(|e| e != "csv"))
        };
        let files = self.files;
        let paths: Vec<_> = files.0.keys().filter(beside).cloned().collect();
        self.kept.extend(paths);
    }

    /// Whether an entry of the project file is kept.
    fn setting(&self, path: &[&str]) -> bool {
        match path {
            ["vars", name] => {
                let own = |pack: &String| name.starts_with(&format!("{pack}_"));
                self.vars.contains(*name) || self.packs.iter().any(own)
            }
            ["models", _, pack] => self.packs.contains(*pack) || pack.starts_with('+'),
            ["seeds", _, name] => self.seed(name) || name.starts_with('+'),
            _ => true,
        }
    }

    /// Whether a seed of that name, or one in a folder of that name, is kept.
    fn seed(&self, name: &str) -> bool {
        let seeds = self.kept.iter().filter(|path| path.starts_with("seeds"));
        let mut seeds = seeds.filter(|path| path.extension().is_some_and(|e| e == "csv"));
        seeds.any(|path| {
            path.file_stem().is_some_and(|stem| stem == name)
                || path.iter().any(|part| part == name)
        })
    }

    fn files(&self) -> Result<Files> {
        let mut kept = Files::default();
        for path in &self.kept {
            if let Some(content) = self.files.0.get(path) {
                kept.0.insert(path.clone(), content.clone());
            }
        }
        let Some(project) = self.files.text(Path::new(PROJECT_FILE)) else {
            let message = format!("the package has no `{PROJECT_FILE}`");
            return Err(RunnerError::new(ErrorKind::Internal, message));
        };
        let project = outline::only(project, &|path| self.setting(path));
        let properties: Vec<_> = kept
            .texts("seeds", "yml")
            .map(|(path, text)| {
                let text = outline::only(text, &|path| match path {
                    ["seeds", name] => self.seed(name),
                    _ => true,
                });
                (path.to_owned(), text)
            })
            .collect();
        for (path, text) in properties {
            match text.lines().any(|line| line.starts_with("seeds:")) {
                true => kept.put(path, text),
                false => drop(kept.0.remove(&path)),
            }
        }
        self.samples(&project, &mut kept);
        kept.put(PROJECT_FILE, project);
        Ok(kept)
    }

    /// Adds the samples that the variables name, and what is said of them.
    fn samples(&self, project: &str, kept: &mut Files) {
        let folders: BTreeSet<&str> = captures(&SAMPLES, project).collect();
        for (path, content) in &self.files.0 {
            let Ok(below) = path.strip_prefix("data") else {
                continue;
            };
            let named = |folder: &&str| below.starts_with(folder);
            if folders.iter().any(named) {
                kept.0.insert(path.clone(), content.clone());
            }
        }
        let readme = Path::new("data/README.md");
        if let Some(text) = self.files.text(readme)
            && !folders.is_empty()
        {
            let row = |line: &&str| match line.strip_prefix("| `") {
                Some(rest) => folders.iter().any(|f| rest.starts_with(&format!("{f}/`"))),
                None => true,
            };
            let lines: Vec<_> = text.lines().filter(row).collect();
            kept.put(readme, format!("{}\n", lines.join("\n")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three packs: `b` reads a model of `a`.
    fn small() -> Files {
        let mut files = Files::default();
        let project = "name: p\nvars:\n  # Of a.\n  a_table: data/a\n  b_model: one\n\
            \x20 shared: 1\n  other: 2\nmodels:\n  p:\n    a: {}\n    b: {}\n    c: {}\n";
        for (path, text) in [
            ("dbt_project.yml", project),
            ("profiles.yml", ""),
            (
                "models/a/one.sql",
                "{{ half(var('shared')) }} {{ ref('colours') }}",
            ),
            ("models/b/two.sql", "{{ ref(var('b_model')) }}"),
            ("models/c/three.sql", "{{ var('other') }}"),
            (
                "macros/x.sql",
                "{% macro half(x) %}{{ third() }}{% endmacro %}",
            ),
            ("macros/y.sql", "{% macro third() %}{% endmacro %}"),
            ("macros/z.sql", "{% macro unused() %}{% endmacro %}"),
            ("seeds/colours.csv", "a\n"),
            ("seeds/sizes.csv", "a\n"),
            (
                "seeds/_seeds.yml",
                "seeds:\n  - name: colours\n  - name: sizes\n",
            ),
            ("tests/both.sql", "{{ ref('one') }} {{ ref('two') }}"),
            ("tests/seed.sql", "{{ ref('sizes') }}"),
            ("tests/first.sql", "{{ ref('one') }}"),
            (
                "tests/loop.sql",
                "{% for m in ['three', 'x'] %}{{ ref(m) }}{% endfor %}",
            ),
            ("data/README.md", "| `a/` | x |\n| `c/` | x |\n"),
            ("data/a/1.csv", ""),
            ("data/c/1.csv", ""),
        ] {
            files.put(path, text.to_owned());
        }
        files
    }

    #[test]
    fn a_pack_brings_what_it_needs_and_nothing_else() {
        let files = small();
        assert_eq!(names(&files), ["a", "b", "c"]);
        let paths = |packs: &[&str]| {
            let packs: Vec<_> = packs.iter().map(|p| (*p).to_owned()).collect();
            let (files, along) = chosen(&files, &packs).expect("files");
            let paths = files.0.keys().map(|p| p.display().to_string());
            let project = files.text(Path::new(PROJECT_FILE)).unwrap().to_owned();
            (paths.collect::<Vec<_>>().join(" "), along, project)
        };
        let (found, along, project) = paths(&["a"]);
        assert_eq!(
            found,
            "data/README.md data/a/1.csv dbt_project.yml macros/x.sql macros/y.sql \
             models/a/one.sql profiles.yml seeds/_seeds.yml seeds/colours.csv \
             tests/first.sql"
        );
        assert!(along.is_empty());
        assert_eq!(
            project,
            "name: p\nvars:\n  # Of a.\n  a_table: data/a\n  shared: 1\nmodels:\n  p:\n    a: {}\n"
        );
        let (found, along, project) = paths(&["b"]);
        assert!(found.contains("models/a/one.sql") && found.contains("tests/both.sql"));
        assert_eq!(along, ["a"]);
        assert!(project.contains("b_model: one"), "{project}");
        let (found, _, project) = paths(&["c"]);
        assert_eq!(
            found,
            "dbt_project.yml models/c/three.sql profiles.yml tests/loop.sql"
        );
        assert!(
            project.contains("other: 2") && !project.contains("shared"),
            "{project}"
        );
    }
}
