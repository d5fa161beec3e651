//! Nodes for generic data tests, with dbt's names and ids.

use std::collections::HashSet;
use std::sync::Arc;

use md5::{Digest, Md5};
use regex::Regex;
use serde_json::{Map, Value};

use super::build::{Compiler, Draft};
use super::jinja::quote;
use super::{Materialized, Node, NodeConfig, NodeId, NodeKind};
use crate::runner::data_tests::{self, TestInput};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::project::{ConfigMap, DataTest, Properties, TextFile};
use crate::runner::template::render_yaml_string;

/// The tested node.
pub(super) struct Tested<'a> {
    pub(super) id: &'a NodeId,
    /// `sessions`, or `segment_pages` for a source's table.
    pub(super) name: String,
    pub(super) is_source: bool,
    /// Its name as SQL.
    pub(super) relation: String,
    pub(super) fqn: &'a [String],
}

/// All generic tests of a node.
pub(super) fn drafts(
    compiler: &Compiler<'_>,
    tested: &Tested<'_>,
    properties: &Properties,
) -> Result<Vec<Draft>> {
    let of_columns = properties.columns.iter().flat_map(|column| {
        column
            .data_tests
            .iter()
            .map(move |t| (t, Some(&column.name)))
    });
    let of_table = properties.data_tests.iter().map(|t| (t, None));
    let mut seen: HashSet<NodeId> = HashSet::new();
    let mut drafts = Vec::new();
    for (test, column) in of_table.chain(of_columns) {
        let draft = draft(compiler, tested, test, column).map_err(|e| placed(e, test))?;
        let Some(draft) = draft else { continue };
        if !seen.insert(Arc::clone(&draft.node.id)) {
            let message = format!("data test `{}` is written twice", draft.node.name);
            let error = RunnerError::new(ErrorKind::Project, message);
            return Err(placed(error.with_hint("give one of them a `name`"), test));
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

fn placed(error: RunnerError, test: &DataTest) -> RunnerError {
    if error.location().is_some() {
        return error;
    }
    error.with_location(test.location.clone())
}

fn named_column(arguments: &mut Map<String, Value>) -> Option<String> {
    match arguments.remove("column_name") {
        Some(Value::String(name)) => Some(name),
        _ => None,
    }
}

/// What the test reads: the tested node, or its rows that `where` keeps.
fn filtered(tested: &Tested<'_>, config: &NodeConfig) -> String {
    let relation = &tested.relation;
    match config.where_.as_deref() {
        Some(condition) => {
            format!("(select * from {relation} where {condition}) dbt_subquery")
        }
        None => relation.clone(),
    }
}

fn property_file(test: &DataTest) -> TextFile {
    TextFile {
        path: test.location.file.clone(),
        text: Arc::clone(&test.location.text),
    }
}

fn properties(test: &DataTest) -> Properties {
    Properties {
        description: test.description.clone(),
        location: Some(test.location.clone()),
        ..Properties::default()
    }
}

fn draft(
    compiler: &Compiler<'_>,
    tested: &Tested<'_>,
    test: &DataTest,
    column: Option<&String>,
) -> Result<Option<Draft>> {
    let mut written = test.config.clone();
    written.values.remove("database");
    let config = compiler.config(&written, Materialized::View)?;
    if !config.enabled {
        return Ok(None);
    }
    let mut arguments = test.arguments.clone();
    let named = named_column(&mut arguments);
    let column = test.column.as_ref().or(column).cloned().or(named);
    let names = Names::new(tested, test, column.as_deref());
    let name = test.name.clone().unwrap_or(names.full);
    let id = format!("test.{}.{name}.{}", compiler.project.name, names.hash);
    let mut reads = vec![Arc::clone(tested.id)];
    let arguments = rendered_arguments(compiler, &name, arguments, &mut reads)?;
    let query = Query {
        compiler,
        tested,
        test,
        column: column.as_deref().map(column_sql),
        arguments: &arguments,
    };
    let Some((sql, mut config)) = query.sql(config, &mut reads)? else {
        return Ok(None);
    };
    config
        .raw
        .insert("alias".to_owned(), Value::String(names.short));
    reads.sort();
    reads.dedup();
    let node = Node {
        id: NodeId::from(id),
        kind: NodeKind::DataTest {
            test: Arc::new(DataTest {
                column,
                ..test.clone()
            }),
            attached: Arc::clone(tested.id),
        },
        fqn: fqn_of(tested, &name),
        name,
        checksum: compiler.checksum(&sql),
        file: Some(property_file(test)),
        config,
        properties: properties(test),
        relation: None,
        raw_code: Arc::from(sql.as_str()),
        compiled: super::Compiled {
            sql,
            ..super::Compiled::default()
        },
        depends_on: reads,
    };
    Ok(Some(Draft { node, source: None }))
}

/// A test is listed where the node that it tests is.
fn fqn_of(tested: &Tested<'_>, name: &str) -> Vec<String> {
    let folders = tested
        .fqn
        .split_last()
        .map_or(&[][..], |(_, folders)| folders);
    let mut fqn = folders.to_vec();
    fqn.push(name.to_owned());
    fqn
}

/// What the query of a test is made from.
struct Query<'a> {
    compiler: &'a Compiler<'a>,
    tested: &'a Tested<'a>,
    test: &'a DataTest,
    column: Option<String>,
    arguments: &'a Map<String, Value>,
}

impl Query<'_> {
    /// The query and the configuration it runs under; `None` if the test's own block
    /// switches it off.
    fn sql(
        &self,
        config: NodeConfig,
        reads: &mut Vec<NodeId>,
    ) -> Result<Option<(String, NodeConfig)>> {
        let name = &self.test.test;
        let relation = filtered(self.tested, &config);
        let (sql, config) = if data_tests::exists(name) {
            (data_tests::sql(name, &self.input(&relation))?, config)
        } else {
            self.custom(config, &relation, reads)?
        };
        if !config.enabled {
            return Ok(None);
        }
        Ok(Some(match config.limit {
            Some(limit) => (format!("{sql}\nlimit {limit}"), config),
            None => (sql, config),
        }))
    }

    fn input<'b>(&'b self, relation: &'b str) -> TestInput<'b> {
        TestInput {
            relation,
            column: self.column.as_deref(),
            arguments: self.arguments,
        }
    }

    /// A `{% test %}` block of the project: what it gives to `config(…)` stands below what
    /// the property file says.
    fn custom(
        &self,
        config: NodeConfig,
        relation: &str,
        reads: &mut Vec<NodeId>,
    ) -> Result<(String, NodeConfig)> {
        let name = &self.test.test;
        let macros = self.compiler.renderer.macros.names();
        let custom: Vec<&str> = macros.filter_map(|m| m.strip_prefix("test_")).collect();
        if !custom.contains(&name.as_str()) {
            return Err(data_tests::unknown(name, &custom));
        }
        let rendered = self.compiler.custom_test(name, &self.input(relation))?;
        reads.extend(rendered.record.reads);
        let mut values = rendered.record.config;
        if values.is_empty() {
            return Ok((rendered.sql, config));
        }
        super::config::merge(&mut values, &config.raw);
        let merged = ConfigMap {
            values,
            ..ConfigMap::default()
        };
        let config = super::config::typed(&merged, Materialized::View)?;
        let narrowed = filtered(self.tested, &config);
        if narrowed == relation {
            return Ok((rendered.sql, config));
        }
        let rendered = self.compiler.custom_test(name, &self.input(&narrowed))?;
        Ok((rendered.sql, config))
    }
}

/// A column of a property file as SQL: names are exact, expressions stay.
fn column_sql(column: &str) -> String {
    let plain = column
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | ' ' | '-'));
    if plain {
        quote(column)
    } else {
        column.to_owned()
    }
}

/// Renders arguments; `to` becomes SQL and a dependency.
fn rendered_arguments(
    compiler: &Compiler<'_>,
    name: &str,
    arguments: Map<String, Value>,
    reads: &mut Vec<NodeId>,
) -> Result<Map<String, Value>> {
    let mut rendered = Map::new();
    for (key, value) in arguments {
        let value = match value {
            Value::String(text) if is_relation(&text) => {
                let (relation, read) = compiler.relation_of(name, &text)?;
                reads.push(read);
                Value::String(relation)
            }
            Value::String(text) => render_yaml_string(&text, &compiler.yaml)?,
            other => other,
        };
        rendered.insert(key, value);
    }
    Ok(rendered)
}

fn is_relation(text: &str) -> bool {
    let inner = text.trim().trim_start_matches("{{").trim_start();
    ["ref(", "source("]
        .iter()
        .any(|call| inner.starts_with(call))
}

/// dbt's names of a generic test.
struct Names {
    full: String,
    /// At most 63 characters.
    short: String,
    hash: String,
}

impl Names {
    fn new(tested: &Tested<'_>, test: &DataTest, column: Option<&str>) -> Self {
        let mut arguments: Vec<(&str, Vec<String>)> = test
            .arguments
            .iter()
            .filter(|(key, _)| *key != "column_name")
            .map(|(key, value)| (key.as_str(), flat(value)))
            .collect();
        if let Some(column) = column {
            arguments.push(("column_name", vec![column.to_owned()]));
        }
        arguments.sort();
        let values: Vec<String> = arguments
            .iter()
            .flat_map(|(_, v)| v.iter().map(|v| clean(v)))
            .collect();
        let prefix = if tested.is_source { "source_" } else { "" };
        let identifier = format!("{prefix}{}_{}", test.test, tested.name);
        let full = format!("{identifier}_{}", values.join("__"));
        let short = if full.chars().count() >= 64 {
            let start: String = identifier.chars().take(30).collect();
            format!("{start}_{}", md5_hex(&full))
        } else {
            full.clone()
        };
        let written = format!("{}|{arguments:?}|{}", test.test, tested.id);
        let hash = md5_hex(&written)[22..].to_owned();
        Self { full, short, hash }
    }
}

fn flat(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null => "None".to_owned(),
        other => other.to_string(),
    };
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        Value::Object(map) => map.values().map(text).collect(),
        other => vec![text(other)],
    }
}

/// Everything that is no letter, digit or `_` becomes one `_`.
fn clean(text: &str) -> String {
    match Regex::new("[^0-9a-zA-Z_]+") {
        Ok(pattern) => pattern.replace_all(text, "_").into_owned(),
        Err(_) => text.to_owned(),
    }
}

/// Lower-case hex MD5.
pub(super) fn md5_hex(text: &str) -> String {
    use std::fmt::Write as _;
    Md5::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
