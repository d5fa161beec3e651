//! The configuration keys of each kind of resource, and what they hold.

use serde_json::{Number, Value};

use crate::runner::error::Result;
use crate::runner::project::yaml::{Data, Entry, Node, refused, unknown_key};

/// A kind of resource that can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Model,
    Seed,
    Source,
    DataTest,
    UnitTest,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// true or false.
    Flag,
    /// A string (numbers are taken as text).
    Text,
    /// A string or a list of strings; kept as a list.
    Texts,
    /// A string or a list of strings; kept as written.
    OneOrMore,
    /// A map.
    Map,
    /// A whole number from 0.
    Count,
    /// Anything: it is accepted and changes no result.
    Any,
    /// Not supported, with a hint: refused unless it switches nothing on.
    Refused(&'static str),
}

use Shape::{Any, Count, Flag, Map, OneOrMore, Refused, Text, Texts};

type Key = (&'static str, Shape);

const DATABASE: &str = "a model's catalog is the project's name; remove the key";
const HOOKS: &str = "hooks do not run here; put the SQL into a model";
const PREDICATES: &str = "all rows of the table are looked at; remove the key";

const COMMON: &[Key] = &[
    ("enabled", Flag),
    ("tags", Texts),
    ("meta", Map),
    ("description", Text),
    ("event_time", Any),
    ("static_analysis", Any),
];

const RELATION: &[Key] = &[
    ("schema", Text),
    ("alias", Text),
    ("docs", Map),
    ("group", Text),
    ("access", Text),
    ("persist_docs", Map),
    ("full_refresh", Flag),
    ("materialized", Text),
    ("cluster_by", OneOrMore),
    ("database", Refused(DATABASE)),
    ("pre_hook", Refused(HOOKS)),
    ("pre-hook", Refused(HOOKS)),
    ("post_hook", Refused(HOOKS)),
    ("post-hook", Refused(HOOKS)),
    (
        "grants",
        Refused("tables are files: grant access in their store"),
    ),
    (
        "contract",
        Refused("use `data_tests` to check a model's columns"),
    ),
];

const MODEL: &[Key] = &[
    ("unique_key", OneOrMore),
    ("incremental_strategy", Text),
    ("on_schema_change", Text),
    ("on_configuration_change", Any),
    ("location", Text),
    ("format", Text),
    ("options", Map),
    ("partition_by", Any),
    ("delimiter", Refused("exports are written with commas")),
    ("recompute_by", OneOrMore),
    ("deletion_vectors", Flag),
    ("sql_header", Refused("put the SQL into the model")),
    ("incremental_predicates", Refused(PREDICATES)),
    ("predicates", Refused(PREDICATES)),
    ("merge_update_columns", OneOrMore),
    ("merge_exclude_columns", OneOrMore),
    ("batch_size", Refused("microbatch models are not supported")),
    ("begin", Refused("microbatch models are not supported")),
    ("lookback", Refused("microbatch models are not supported")),
    (
        "concurrent_batches",
        Refused("microbatch models are not supported"),
    ),
    (
        "indexes",
        Refused("tables are Parquet files and have no indexes"),
    ),
    ("plugin", Refused("plugins are not supported")),
    (
        "glue_register",
        Refused("tables are not registered in a catalog"),
    ),
];

/// How tables of other databases are laid out: no row changes by it.
const LAYOUT: &[Key] = &[
    ("automatic_clustering", Any),
    ("backup", Any),
    ("bind", Any),
    ("buckets", Any),
    ("clustered_by", Any),
    ("dist", Any),
    ("file_format", Any),
    ("labels", Any),
    ("query_tag", Any),
    ("require_partition_filter", Any),
    ("snowflake_warehouse", Any),
    ("sort", Any),
    ("sort_type", Any),
    ("tblproperties", Any),
    ("transient", Any),
    ("unlogged", Any),
];

const SEED: &[Key] = &[
    ("column_types", Map),
    ("quote_columns", Flag),
    ("delimiter", Text),
];

const READING: &str = "files are read as they are: CSV with commas and a header";

const SOURCE: &[Key] = &[
    ("external_location", Text),
    ("format", Text),
    ("flatten", Flag),
    ("options", Refused(READING)),
    ("delimiter", Refused(READING)),
    ("schema", Text),
    ("database", Any),
    ("loader", Text),
    ("loaded_at_field", Any),
    ("loaded_at_query", Any),
    ("freshness", Any),
    (
        "formatter",
        Refused("write placeholders as `{name}`, the default"),
    ),
    (
        "plugin",
        Refused("plugins are not supported; use `external_location`"),
    ),
];

const STORED: &str = "failing rows are not stored; see them with `sessionize query`";

const DATA_TEST: &[Key] = &[
    ("where", Text),
    ("severity", Text),
    ("warn_if", Text),
    ("error_if", Text),
    ("limit", Count),
    ("group", Text),
    ("schema", Any),
    ("alias", Any),
    ("database", Any),
    ("docs", Map),
    ("store_failures", Refused(STORED)),
    ("store_failures_as", Refused(STORED)),
    (
        "fail_calc",
        Refused("a test counts the rows its query returns"),
    ),
    ("sql_header", Refused("put the SQL into the test")),
];

fn keys(resource: Resource) -> impl Iterator<Item = &'static Key> {
    let own: [&'static [Key]; 3] = match resource {
        Resource::Model => [RELATION, MODEL, LAYOUT],
        Resource::Seed => [RELATION, SEED, LAYOUT],
        Resource::Source => [SOURCE, &[], &[]],
        Resource::DataTest => [DATA_TEST, &[], &[]],
        Resource::UnitTest => [&[], &[], &[]],
    };
    COMMON.iter().chain(own.into_iter().flatten())
}

/// Whether `name` says how a table of another database is laid out.
pub(crate) fn is_layout(name: &str) -> bool {
    LAYOUT.iter().any(|(key, _)| *key == name)
}

/// Whether `name` is a key of `resource`.
pub(crate) fn is_key(resource: Resource, name: &str) -> bool {
    keys(resource).any(|(key, _)| *key == name)
}

/// Whether `name` is a key of `resource` that holds a map.
pub(crate) fn is_map_key(resource: Resource, name: &str) -> bool {
    keys(resource)
        .any(|(key, shape)| *key == name && matches!(shape, Map | Any | Refused(_)))
}

/// Checks one key of a configuration. `name` is the key without `+`; `what` is what
/// messages call the map it stands in. `None`: it is refused in general, but switches nothing on.
pub(crate) fn check(
    resource: Resource,
    name: &str,
    entry: &Entry,
    what: &str,
) -> Result<Option<Value>> {
    let Some((_, shape)) = keys(resource).find(|(key, _)| *key == name) else {
        let known: Vec<&str> = keys(resource).map(|(key, _)| *key).collect();
        let entry = Entry {
            name: name.to_owned(),
            ..entry.clone()
        };
        return Err(unknown_key(&entry, what, &known));
    };
    let node = &entry.value;
    match shape {
        Refused(_) if node.is_empty() => Ok(None),
        Refused(hint) => Err(refused(entry, what, hint)),
        _ if node.is_null() => Ok(Some(Value::Null)),
        Texts => node.strings().map(|texts| Some(Value::from(texts))),
        _ if node.is_template() => Ok(Some(node.json())),
        shape => check_shape(*shape, node).map(Some),
    }
}

fn check_shape(shape: Shape, node: &Node) -> Result<Value> {
    match shape {
        Flag => node.boolean().map(Value::Bool),
        Text => node.scalar().map(Value::String),
        Map => node.map().map(Value::Object),
        OneOrMore => node.strings().map(|_| node.json()),
        Count => match &node.data {
            Data::Number(number) if number.as_u64().is_some() => Ok(node.json()),
            Data::String(text) => match text.parse::<u64>() {
                Ok(number) => Ok(Value::Number(Number::from(number))),
                Err(_) => Err(node.mismatch("a whole number")),
            },
            _ => Err(node.mismatch("a whole number")),
        },
        Texts | Any | Refused(_) => Ok(node.json()),
    }
}
