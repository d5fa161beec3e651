//! The plain values a project is read into.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::functions::TrafficSourceRules;
use crate::runner::error::{Location, RunnerError};

/// Everything [`load`](super::load) needs to know from outside.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Folder that holds `dbt_project.yml`.
    pub project_dir: PathBuf,
    /// Folder that holds `profiles.yml`; default: `DBT_PROFILES_DIR` of `env`, else the
    /// project's folder, else `~/.dbt`.
    pub profiles_dir: Option<PathBuf>,
    /// Name of the target; default: the profile's `target`.
    pub target: Option<String>,
    /// Variables of the command line; they win over the project's.
    pub vars: Map<String, Value>,
    /// Where tables are written; wins over the profile's `location`.
    pub location: Option<String>,
    /// Number of threads; wins over the profile's.
    pub threads: Option<usize>,
    /// The process environment, read once by the caller.
    pub env: BTreeMap<String, String>,
    /// The current directory: relative paths of the options above start here; those in the
    /// values of variables start at the project's root.
    pub current_dir: PathBuf,
}

/// A text file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// Path relative to the project's root, with `/`.
    pub path: PathBuf,
    /// The whole text.
    pub text: Arc<str>,
}

/// A dbt-shaped project, read and checked but not compiled.
#[derive(Debug, Clone)]
pub struct Project {
    /// `name` of `dbt_project.yml`; also the name of the catalog its models live in.
    pub name: String,
    /// `version` of `dbt_project.yml`.
    pub version: Option<String>,
    /// The absolute folder of `dbt_project.yml`.
    pub root: PathBuf,
    /// The absolute folder of artifacts (`target-path`, default `<root>/target`).
    pub target_path: PathBuf,
    /// The other folders `clean` removes (`clean-targets`), absolute.
    pub clean_targets: Vec<PathBuf>,
    /// Project variables overlaid by those of the command line. Relative paths in either start
    /// at the project's root.
    pub vars: Map<String, Value>,
    /// See [`LoadOptions::env`].
    pub env: BTreeMap<String, String>,
    /// The chosen target of `profiles.yml`.
    pub target: Target,
    /// SQL models.
    pub models: Vec<ModelFile>,
    /// CSV seeds.
    pub seeds: Vec<SeedFile>,
    /// The rules of `traffic_source`, if the seed of that name brings some.
    pub traffic_source_rules: Option<TrafficSourceRules>,
    /// Source tables of property files.
    pub sources: Vec<SourceTable>,
    /// Files of macros.
    pub macros: Vec<TextFile>,
    /// Singular tests: one `.sql` file under `test-paths` each.
    pub singular_tests: Vec<ModelFile>,
    /// Unit tests of property files.
    pub unit_tests: Vec<UnitTest>,
    /// Things worth a word that stop nothing (a property for a model that is not there).
    pub warnings: Vec<Arc<RunnerError>>,
}

/// A target of `profiles.yml`.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Name of the profile.
    pub profile_name: String,
    /// Name of the target.
    pub name: String,
    /// `type`: `sessionize` (or `duckdb`, read for the sake of existing projects).
    pub adapter: String,
    /// Default schema of models at the top of `models/`. Default `main`.
    pub schema: String,
    /// How many models run at once. Default 4.
    pub threads: usize,
    /// Folder of the tables: an absolute path or a URL.
    pub location: String,
    /// `memory_limit`, as written (`"4GB"`).
    pub memory_limit: Option<String>,
    /// Every key of the target as written, for `target.*` in templates.
    pub raw: Map<String, Value>,
}

/// Configuration as written: dbt's keys without `+`, most specific last.
///
/// The levels of `dbt_project.yml` and the property file are merged into one map by
/// [`load`](super::load) (`tags` and `meta` add up, everything else is replaced); `config(…)` inside the model is
/// merged over it by `compile`. String values may still hold Jinja.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigMap {
    /// Key -> value.
    pub values: Map<String, Value>,
    /// Key -> where it was written, as far as known.
    pub locations: BTreeMap<String, Location>,
}

/// A model's or singular test's SQL file.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// File name without `.sql`.
    pub name: String,
    /// The SQL with its Jinja.
    pub file: TextFile,
    /// `[project, folders below the model path…, name]`.
    pub fqn: Vec<String>,
    /// Merged configuration.
    pub config: ConfigMap,
    /// What property files say of it.
    pub properties: Properties,
}

/// A CSV seed.
#[derive(Debug, Clone)]
pub struct SeedFile {
    /// File name without `.csv`.
    pub name: String,
    /// Path relative to the project's root.
    pub path: PathBuf,
    /// Absolute path.
    pub absolute_path: PathBuf,
    /// `[project, folders…, name]`.
    pub fqn: Vec<String>,
    /// Merged configuration (`column_types`, `delimiter`, `quote_columns`, …).
    pub config: ConfigMap,
    /// What property files say of it.
    pub properties: Properties,
}

/// One table of a source.
#[derive(Debug, Clone)]
pub struct SourceTable {
    /// Name of the source (`sources: - name:`).
    pub source_name: String,
    /// Name of the table (`tables: - name:`).
    pub name: String,
    /// `identifier`, default the name.
    pub identifier: String,
    /// `[project, folders of the property file…, source, table]`.
    pub fqn: Vec<String>,
    /// Where the data lies, unrendered: `config.external_location` or
    /// `meta.external_location` of the table, else of the source. Holds Jinja and
    /// dbt-duckdb's `{name}`, `{identifier}`, `{schema}` placeholders.
    pub external_location: Option<Located<String>>,
    /// Merged configuration and `meta` (`format`, `loader`, …).
    pub config: ConfigMap,
    /// Description, columns and tests.
    pub properties: Properties,
    /// The property file it stands in.
    pub file: TextFile,
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub location: Location,
}

/// What property files say of a model, seed, source table or singular test.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    /// The entry's place, if there is one.
    pub location: Option<Location>,
    /// `description`.
    pub description: String,
    /// `columns`, in order.
    pub columns: Vec<Column>,
    /// Tests on the whole table.
    pub data_tests: Vec<DataTest>,
}

/// A described column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Name.
    pub name: String,
    /// `description`.
    pub description: String,
    /// `data_type`, as written: a DataFusion SQL type.
    pub data_type: Option<String>,
    /// `meta` (a source column may say `required: true` or `optional: true`).
    pub meta: Map<String, Value>,
    /// `tags`.
    pub tags: Vec<String>,
    /// Tests on this column.
    pub data_tests: Vec<DataTest>,
    /// Where.
    pub location: Location,
}

/// A generic data test as written (`unique`, `accepted_values: {values: [...]}`).
#[derive(Debug, Clone)]
pub struct DataTest {
    /// Name of the generic test.
    pub test: String,
    /// The column it stands under.
    pub column: Option<String>,
    /// `name`: the user's own name for it.
    pub name: Option<String>,
    /// Its arguments (`values`, `to`, `field`, …), also those under `arguments:`.
    pub arguments: Map<String, Value>,
    /// `config`: `where`, `severity`, `warn_if`, `error_if`, `limit`, `enabled`, `tags`, …;
    /// the same keys written beside the arguments are moved here.
    pub config: ConfigMap,
    /// `description`.
    pub description: String,
    /// Where.
    pub location: Location,
}

/// A unit test in dbt's form.
#[derive(Debug, Clone)]
pub struct UnitTest {
    /// Name.
    pub name: String,
    /// The model under test.
    pub model: String,
    /// `description`.
    pub description: String,
    /// Inputs, in order.
    pub given: Vec<UnitTestInput>,
    /// The expected rows of the model.
    pub expect: UnitTestRows,
    /// `overrides: vars:`.
    pub vars: Map<String, Value>,
    /// `overrides: macros:`: name, or `package.name`, -> what a call of it gives.
    pub macros: Map<String, Value>,
    /// Configuration (`tags`, `enabled`).
    pub config: ConfigMap,
    /// `[project, folders of the property file…, model, name]`.
    pub fqn: Vec<String>,
    /// Where.
    pub location: Location,
}

/// `given: - input: ref('x')` with its rows.
#[derive(Debug, Clone)]
pub struct UnitTestInput {
    /// The Jinja expression: `ref('…')`, `source('…', '…')` or `this`.
    pub input: String,
    /// Its rows.
    pub rows: UnitTestRows,
}

/// Rows of a unit test.
#[derive(Debug, Clone)]
pub enum UnitTestRows {
    /// `format: dict`: one map a row; columns that are not named are null.
    Dict(Vec<Map<String, Value>>),
    /// `format: csv`: text with a header line (inline or read from `fixture`).
    Csv(String),
    /// `format: sql`: a SELECT.
    Sql(String),
}
