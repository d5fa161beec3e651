//! [`Project`] -> [`Dag`]: Jinja rendered, references resolved, configuration typed.

mod build;
mod config;
mod fragments;
mod generic_tests;
mod graph;
mod jinja;
mod nodes;
mod schema_resolver;
mod select;
mod source_map;
mod unit_tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::runner::error::Result;
use crate::runner::project::{
    DataTest, Project, Properties, SeedFile, SourceTable, TextFile, UnitTest,
};

pub use config::{IncrementalConfig, IncrementalStrategy, OnSchemaChange};
pub use schema_resolver::SchemaResolver;

/// dbt's unique id: `model.<project>.<name>`, `seed.…`, `source.<project>.<source>.<table>`,
/// `test.<project>.<test name>[.<hash>]`, `unit_test.<project>.<model>.<name>`.
pub type NodeId = Arc<str>;

/// The catalog that holds source tables: `source('a', 'b')` is `"source"."a"."b"`.
pub const SOURCE_CATALOG: &str = "source";

/// A name that SQL can use: `"catalog"."schema"."name"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Relation {
    /// The project's name for models and seeds, [`SOURCE_CATALOG`] for sources.
    pub catalog: String,
    /// For models and seeds: the configured `schema`, else the first folder below the model
    /// path, else the target's schema. For sources: the source's name.
    pub schema: String,
    /// `alias`, else the node's name.
    pub name: String,
}

/// How a model's rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Materialized {
    /// Nothing is written; readers run its SQL.
    View,
    /// As a view, but only models can see it.
    Ephemeral,
    /// A committed Delta Lake table, rebuilt whole.
    Table,
    /// A committed Delta Lake table, updated as [`IncrementalStrategy`] says.
    Incremental,
    /// A plain Parquet, CSV or JSON export.
    External,
    /// A committed Delta Lake table read from a CSV file of the project.
    Seed,
}

/// Configuration of a node, typed, with dbt's names and defaults.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// `enabled`.
    pub enabled: bool,
    /// `materialized`; for tests it says nothing.
    pub materialized: Materialized,
    /// `tags`, sorted, without repetition.
    pub tags: Vec<String>,
    /// `unique_key`, one or several columns.
    pub unique_key: Vec<String>,
    /// `recompute_by`: the columns by which an incremental model is taken apart.
    pub recompute_by: Vec<String>,
    /// `cluster_by`: the columns by which `optimize` sorts rows.
    pub cluster_by: Vec<String>,
    /// `incremental_strategy`, `on_schema_change` and what goes with them.
    pub incremental: IncrementalConfig,
    /// `full_refresh: false` shields a model from `--full-refresh`.
    pub full_refresh: Option<bool>,
    /// `external`: `location`, default `<target location>/<name>.<format>`, as written.
    pub location: Option<String>,
    /// `external`: `format` (parquet, csv, json). Default: by the location's ending, else parquet.
    pub format: Option<String>,
    /// `external` and `insert_overwrite`: `partition_by` columns.
    pub partition_by: Vec<String>,
    /// Seeds: `column_types`.
    pub column_types: BTreeMap<String, String>,
    /// Seeds: `delimiter`.
    pub delimiter: Option<char>,
    /// Tests: `where`.
    pub where_: Option<String>,
    /// Tests: `severity: warn` (the default is error).
    pub warn_only: bool,
    /// Tests: `warn_if`, default `!= 0`.
    pub warn_if: Option<String>,
    /// Tests: `error_if`, default `!= 0`.
    pub error_if: Option<String>,
    /// Tests: `limit`.
    pub limit: Option<u64>,
    /// Everything as merged, for the manifest and `config.get`.
    pub raw: Map<String, Value>,
}

/// What a node is, with what only such a node has.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A SQL model.
    Model,
    /// A CSV seed.
    Seed(Arc<SeedFile>),
    /// A table of a source, its location rendered.
    Source(Arc<ResolvedSource>),
    /// A generic test on `attached` (the tested node).
    DataTest {
        /// The test as written.
        test: Arc<DataTest>,
        /// The node it tests.
        attached: NodeId,
    },
    /// A singular test: a query that must return no row.
    SingularTest,
    /// A unit test of `model`. Its compiled SQL is the model's, with every input replaced.
    UnitTest {
        /// The test as written.
        test: Arc<UnitTest>,
        /// The model under test.
        model: NodeId,
        /// For each input: the relation as it is named in the compiled SQL, and its rows.
        given: Vec<(Relation, usize)>,
    },
}

/// A source table with its location rendered.
#[derive(Debug, Clone)]
pub struct ResolvedSource {
    /// As written.
    pub table: SourceTable,
    /// A URL, an absolute path or an absolute glob; `None` if the project names none.
    pub location: Option<String>,
}

/// SQL after Jinja, and the way back to the source.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    /// The SQL that runs.
    pub sql: String,
    /// Maps places in `sql` to the model's file.
    pub map: SourceMap,
    /// The SQL of a full refresh, where `sql` is that of an increment: `is_incremental()`
    /// was true.
    pub of_full_refresh: Option<String>,
}

/// Maps byte offsets of rendered SQL to byte offsets of the template.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    /// `(rendered start, rendered end, source start, source end)`, ascending. Inside literal
    /// text the two run in step; inside an expression all of the rendered range maps to the
    /// whole source range.
    pub spans: Vec<(usize, usize, usize, usize)>,
}

/// A node of the graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// Unique id.
    pub id: NodeId,
    /// Name.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Fully qualified name, for selection and configuration.
    pub fqn: Vec<String>,
    /// The file it is written in (the property file for sources and generic tests).
    pub file: Option<TextFile>,
    /// Typed configuration.
    pub config: NodeConfig,
    /// Description, columns, tests.
    pub properties: Properties,
    /// Its name in SQL; `None` for tests.
    pub relation: Option<Relation>,
    /// The SQL with its Jinja; empty for seeds and sources.
    pub raw_code: Arc<str>,
    /// The SQL that runs; empty for seeds and sources.
    pub compiled: Compiled,
    /// The nodes it reads, sorted.
    pub depends_on: Vec<NodeId>,
    /// Lower-case hex SHA-256 of the file.
    pub checksum: String,
}

/// The compiled project.
#[derive(Debug, Clone)]
pub struct Dag {
    /// The project it was compiled from.
    pub project: Arc<Project>,
    /// Nodes in an order in which every node comes after those it reads.
    pub nodes: Vec<Arc<Node>>,
    /// Lines that templates logged (`{{ log('…', info=true) }}`), in order.
    pub logs: Vec<String>,
}

/// What [`compile`] needs beside the project.
#[derive(Debug, Clone, Default)]
pub struct CompileOptions {
    /// `--full-refresh`.
    pub full_refresh: bool,
    /// `run_started_at`, RFC 3339; passed in, so that compiling is pure.
    pub run_started_at: String,
    /// `invocation_id`.
    pub invocation_id: String,
    /// `flags.WHICH`: the command (`build`, `run`, …).
    pub command: String,
}

/// Compiles the whole project.
pub async fn compile(
    project: Arc<Project>,
    options: &CompileOptions,
    schemas: &dyn SchemaResolver,
) -> Result<Dag> {
    build::Compiler::new(project, options, schemas)?.run().await
}

/// Compiles one ad-hoc query (`show --inline`, `query`) against a compiled graph. The node's
/// id is `sql_operation.<project>.inline_query`.
pub async fn compile_inline(
    dag: &Dag,
    sql: &str,
    options: &CompileOptions,
    schemas: &dyn SchemaResolver,
) -> Result<Node> {
    let mut compiler = build::Compiler::new(Arc::clone(&dag.project), options, schemas)?;
    let nodes: Vec<Node> = dag.nodes.iter().map(|node| (**node).clone()).collect();
    compiler.index = Arc::new(build::index(&nodes, &[])?);
    compiler.done = dag
        .nodes
        .iter()
        .map(|n| (Arc::clone(&n.id), Arc::clone(n)))
        .collect();
    let file = TextFile {
        path: "<inline>".into(),
        text: Arc::from(sql),
    };
    let mut node = compiler.inline_node(&file, "inline_query");
    let rendered = compiler
        .execute(&fragments::template(&file), &node, build::Job::default)
        .await?;
    node.depends_on = rendered.record.reads;
    node.depends_on.sort();
    node.depends_on.dedup();
    node.compiled = Compiled {
        sql: rendered.sql,
        map: rendered.map,
        of_full_refresh: None,
    };
    Ok(node)
}

/// Which nodes a command is about.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// `--select`: words of one argument are a union, commas an intersection. Empty: all.
    pub select: Vec<String>,
    /// `--exclude`.
    pub exclude: Vec<String>,
}

impl Dag {
    /// The node of that id.
    pub fn node(&self, id: &str) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|n| &*n.id == id)
    }

    /// The nodes `selection` names, in the graph's order: names, globs, folders (a prefix of
    /// the fqn with or without the project), `+m`, `m+`, `n+m`, `@m`, `tag:`, `path:`,
    /// `source:`, `config.materialized:`, `resource_type:`, `test_type:`.
    /// A word that matches nothing is an error with a suggestion; nothing left at all too
    /// (kind `Usage`). Tests are selected with the nodes they test (dbt's eager indirect selection).
    pub fn select(&self, selection: &Selection) -> Result<Vec<Arc<Node>>> {
        select::select(self, selection)
    }
}

#[cfg(test)]
mod tests;
