//! The arguments, as clap reads them.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Turns event lakes into sessions: runs dbt-shaped projects of SQL models over Parquet files.
#[derive(Debug, Parser)]
#[command(name = "sessionize", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct GlobalArguments {
    /// Folder that holds `dbt_project.yml` [default: the current folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project_dir: Option<PathBuf>,
    /// Folder that holds `profiles.yml` [default: `DBT_PROFILES_DIR`, the project's folder, `~/.dbt`]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) profiles_dir: Option<PathBuf>,
    /// Target of the profile
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// Variables of the project, as a YAML or JSON mapping; paths in them start at the project
    #[arg(long, global = true, value_name = "MAPPING")]
    pub(crate) vars: Option<String>,
    /// Where tables are written: a folder or a URL; wins over the profile
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) location: Option<String>,
    /// How many models run at once; wins over the profile
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Memory for queries (256MB, 1GiB); what needs more is spilled to disk
    #[arg(long, global = true, value_name = "SIZE")]
    pub(crate) memory_limit: Option<String>,
    /// Form of progress and errors
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// No colours (also: the environment variable NO_COLOR)
    #[arg(long, global = true, visible_alias = "no-use-colors")]
    pub(crate) no_color: bool,
}

/// How progress and errors are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a new project with the model packs and sample data, ready to build
    Init(InitArguments),
    /// Build seeds and models and test them, in the order of the graph
    Build(RunArguments),
    /// Build models
    Run(RunArguments),
    /// Run data tests and unit tests
    Test(RunArguments),
    /// Load seeds
    Seed(RunArguments),
    /// List the nodes of the project, or draw its graph
    #[command(visible_alias = "list")]
    Ls(LsArguments),
    /// Compile models and print their SQL
    Compile(CompileArguments),
    /// Print rows of a model's table, or of a query given inline
    Show(ShowArguments),
    /// Run SQL over the built tables and the sources
    #[command(disable_version_flag = true)]
    Query(QueryArguments),
    /// Print the commits of a model's table, newest first
    History(HistoryArguments),
    /// Remove files that no version of a table needs any more
    Vacuum(VacuumArguments),
    /// Join the small files of tables into larger ones, sorted by key
    Optimize(OptimizeArguments),
    /// Check the installation, the project, its target and its sources
    Debug,
    /// Remove what runs left in the project's folder
    Clean(CleanArguments),
    /// Write synthetic page views as Parquet files, partitioned by day
    Generate(GenerateArguments),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Which nodes a command is about.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectArguments {
    /// Nodes: names, globs, +m, m+, n+m, @m, tag:, path:, source: (words: union, commas: both)
    #[arg(
        short,
        long,
        visible_alias = "models",
        visible_short_alias = 'm',
        num_args = 1..,
        value_name = "SELECTOR"
    )]
    pub(crate) select: Vec<String>,
    /// Nodes to leave out
    #[arg(long, num_args = 1.., value_name = "SELECTOR")]
    pub(crate) exclude: Vec<String>,
}

/// Options of `build`, `run`, `test` and `seed`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) selection: SelectArguments,
    /// Rebuild incremental models from nothing
    #[arg(long)]
    pub(crate) full_refresh: bool,
    /// Stop at the first failure
    #[arg(short = 'x', long)]
    pub(crate) fail_fast: bool,
    /// Print what would be read and written, and touch nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Options of `init`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InitArguments {
    /// Folder of the new project [default: the current folder]
    pub(crate) dir: Option<PathBuf>,
    /// Packs to write, with what they need: `a b` or `a,b` [default: all]
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "NAME")]
    pub(crate) pack: Vec<String>,
    /// Look at the events there (Parquet, CSV or JSON: a file, folder, glob or URL) and write
    /// a project over them
    #[arg(long, value_name = "PATH")]
    pub(crate) from: Option<String>,
}

/// Options of `ls`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LsArguments {
    #[command(flatten)]
    pub(crate) selection: SelectArguments,
    /// What is printed of each node
    #[arg(long, value_enum, default_value_t = LsOutput::Selector)]
    pub(crate) output: LsOutput,
    /// Kinds of nodes
    #[arg(long, value_enum, num_args = 1.., value_name = "TYPE")]
    pub(crate) resource_type: Vec<ResourceType>,
    /// Draw the graph of the nodes
    #[arg(long)]
    pub(crate) graph: bool,
    /// How the graph is drawn
    #[arg(long, value_enum, default_value_t = GraphFormat::Text, requires = "graph")]
    pub(crate) format: GraphFormat,
}

/// What `ls` prints of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LsOutput {
    /// The fully qualified name, as `--select` takes it.
    Selector,
    /// The name.
    Name,
    /// The file.
    Path,
    /// One JSON object a line.
    Json,
}

/// Kinds of nodes, in dbt's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResourceType {
    /// SQL models.
    Model,
    /// CSV seeds.
    Seed,
    /// Source tables.
    Source,
    /// Generic and singular data tests.
    #[value(alias = "data_test")]
    Test,
    /// Unit tests.
    #[value(name = "unit_test")]
    UnitTest,
    /// All of them.
    All,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A tree from the sources on.
    Text,
    /// A Mermaid flow chart.
    Mermaid,
}

/// Options of `compile`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompileArguments {
    #[command(flatten)]
    pub(crate) selection: SelectArguments,
    /// Compile this SQL instead of the models
    #[arg(long, value_name = "SQL", conflicts_with_all = ["select", "exclude"])]
    pub(crate) inline: Option<String>,
    /// Compile incremental models for a rebuild from nothing
    #[arg(long)]
    pub(crate) full_refresh: bool,
}

/// Options of `show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArguments {
    /// The model, seed or source table
    #[arg(value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// The same, as an option
    #[arg(short, long, value_name = "MODEL", conflicts_with = "model")]
    pub(crate) select: Option<String>,
    /// Run this SQL instead
    #[arg(long, value_name = "SQL", conflicts_with_all = ["model", "select"])]
    pub(crate) inline: Option<String>,
    /// How many rows; -1: all
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        allow_negative_numbers = true
    )]
    #[arg(value_parser = clap::value_parser!(i64).range(-1..))]
    pub(crate) limit: i64,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Options of `query`.
#[derive(Debug, Clone, Args)]
pub(crate) struct QueryArguments {
    /// The SQL; Jinja is allowed
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(crate) sql: Option<String>,
    /// A file that holds the SQL
    #[arg(short, long)]
    pub(crate) file: Option<PathBuf>,
    /// Read a table as of a version: `sessions=3`, or `3` for every table (see `history`)
    #[arg(long, value_name = "[MODEL=]N")]
    pub(crate) version: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Options of `history`.
#[derive(Debug, Clone, Args)]
pub(crate) struct HistoryArguments {
    /// The model or seed
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// How many commits
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// Options of `vacuum`.
#[derive(Debug, Clone, Args)]
pub(crate) struct VacuumArguments {
    #[command(flatten)]
    pub(crate) selection: SelectArguments,
    /// Keep what versions younger than this need (7d, 12h, 30m)
    #[arg(long, value_name = "AGE", default_value = "7d")]
    pub(crate) retain: String,
    /// Print what would be removed, and touch nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Options of `optimize`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OptimizeArguments {
    /// Models and seeds, as `--select` takes them [default: all]
    #[arg(value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    #[command(flatten)]
    pub(crate) selection: SelectArguments,
    /// Size of the files; those of at least half of it are left alone
    #[arg(long, value_name = "SIZE", default_value = "128MB")]
    pub(crate) target_size: String,
}

/// Where rows go.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArguments {
    /// Form of the rows (default: what the ending of `--output` says, else a table)
    #[arg(long, value_enum)]
    pub(crate) format: Option<RowFormat>,
    /// Write to this file, complete or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Forms of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Drawn as a table.
    Table,
    /// With a header line.
    Csv,
    /// One array.
    Json,
    /// One object a line.
    Ndjson,
    /// Parquet, compressed with zstd.
    Parquet,
}

/// Options of `clean`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CleanArguments {
    /// Print what would be removed, and touch nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Options of `generate`.
#[derive(Debug, Clone, Args)]
pub(crate) struct GenerateArguments {
    /// How many visitors
    #[arg(long, default_value_t = 2000)]
    pub(crate) visitors: u64,
    /// How many days
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) days: u32,
    /// The first day
    #[arg(long, default_value = "2024-01-01", value_name = "YYYY-MM-DD")]
    pub(crate) start: NaiveDate,
    /// Seed of the random numbers: the same seed gives the same files
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Share of page views that arrive days late, 0 to 1
    #[arg(long, default_value_t = 0.01)]
    pub(crate) late: f64,
    /// Folder of the files
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_contradict_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn select_takes_several_words_and_several_times() {
        let line = [
            "sessionize",
            "build",
            "-s",
            "a+",
            "tag:x",
            "--models",
            "b",
            "-x",
        ];
        let Command::Build(build) = Arguments::parse_from(line).command else {
            panic!("build was asked for");
        };
        assert_eq!(build.selection.select, ["a+", "tag:x", "b"]);
        assert!(build.fail_fast);
    }
}
