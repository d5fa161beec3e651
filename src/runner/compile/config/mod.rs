//! Configuration as written -> [`NodeConfig`], checked key by key.

mod incremental;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Materialized, NodeConfig};
use crate::runner::error::{ErrorKind, Location, Result, RunnerError, did_you_mean};
use crate::runner::project::{ConfigMap, is_layout};

pub use incremental::{IncrementalConfig, IncrementalStrategy, OnSchemaChange};

pub(super) use incremental::check_incremental;

/// Keys with a meaning here.
const KEYS: &[&str] = &[
    "enabled",
    "materialized",
    "tags",
    "meta",
    "schema",
    "alias",
    "unique_key",
    "recompute_by",
    "deletion_vectors",
    "cluster_by",
    "incremental_strategy",
    "on_schema_change",
    "merge_update_columns",
    "merge_exclude_columns",
    "full_refresh",
    "location",
    "format",
    "partition_by",
    "column_types",
    "delimiter",
    "quote_columns",
    "where",
    "severity",
    "warn_if",
    "error_if",
    "limit",
];

/// Keys that describe and change nothing.
const DESCRIBING: &[&str] = &[
    "access",
    "description",
    "docs",
    "event_time",
    "external_location",
    "flatten",
    "freshness",
    "group",
    "loaded_at_field",
    "loaded_at_query",
    "loader",
    "name",
    "on_configuration_change",
    "persist_docs",
    "recompute_by",
    "static_analysis",
];

/// What dbt has and this runner has not.
const REFUSED: &[&str] = &[
    "batch_size",
    "begin",
    "codec",
    "concurrent_batches",
    "contract",
    "database",
    "fail_calc",
    "glue_register",
    "grants",
    "hooks",
    "indexes",
    "incremental_predicates",
    "lookback",
    "options",
    "per_thread_output",
    "plugin",
    "post-hook",
    "post_hook",
    "pre-hook",
    "pre_hook",
    "predicates",
    "quoting",
    "sql_header",
    "store_failures",
    "store_failures_as",
];

const MATERIALIZATIONS: &[(&str, Materialized)] = &[
    ("view", Materialized::View),
    ("ephemeral", Materialized::Ephemeral),
    ("table", Materialized::Table),
    ("incremental", Materialized::Incremental),
    ("external", Materialized::External),
];

/// Checks one key of `config(…)` in a model.
pub(super) fn check_key(key: &str, value: &Value) -> Result<()> {
    if KEYS.contains(&key) || DESCRIBING.contains(&key) || is_layout(key) {
        return Ok(());
    }
    let empty = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if REFUSED.contains(&key) {
        if empty {
            return Ok(());
        }
        let message = format!("configuration `{key}` is not supported");
        return Err(RunnerError::new(ErrorKind::Project, message));
    }
    let error =
        RunnerError::new(ErrorKind::Project, format!("unknown configuration `{key}`"));
    let hint = did_you_mean(key, KEYS.iter().copied())
        .unwrap_or_else(|| "keys of your own belong under `meta`".to_owned());
    Err(error.with_hint(hint))
}

/// Merges `over` over `base`: `tags` and `meta` add up, everything else is replaced.
pub(super) fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (key.as_str(), base.get_mut(key)) {
            ("tags", Some(tags)) => {
                let mut all = strings_of(tags);
                all.extend(strings_of(value));
                *tags = Value::Array(all.into_iter().map(Value::String).collect());
            }
            ("meta", Some(Value::Object(meta))) => {
                if let Value::Object(more) = value {
                    meta.extend(more.clone());
                }
            }
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

fn strings_of(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items
            .iter()
            .filter_map(|i| i.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// The keys of `config` that change nothing: they lay out tables of other databases, or a
/// table that such a model does not have.
pub(super) fn without_effect(config: &NodeConfig) -> Vec<&str> {
    use Materialized::{External, Incremental, Seed, Table};
    let partitioned = match config.materialized {
        External => true,
        Incremental => {
            config.incremental.strategy == IncrementalStrategy::InsertOverwrite
        }
        _ => false,
    };
    let committed = matches!(config.materialized, Table | Incremental | Seed);
    let set = config.raw.iter().filter(|(_, value)| !value.is_null());
    let names = set.map(|(key, _)| key.as_str());
    let idle = |key: &&str| match *key {
        "partition_by" => !partitioned,
        "cluster_by" => !committed,
        key => is_layout(key),
    };
    names.filter(idle).collect()
}

/// Types a merged map whose strings are rendered. `default` is the materialization of a
/// node that names none.
pub(super) fn typed(config: &ConfigMap, default: Materialized) -> Result<NodeConfig> {
    let reader = Reader {
        values: &config.values,
        locations: &config.locations,
    };
    for (key, value) in &config.values {
        check_key(key, value).map_err(|e| reader.place(key, e))?;
    }
    let materialized = match default {
        Materialized::Seed => Materialized::Seed,
        _ => reader.materialized()?.unwrap_or(default),
    };
    let mut tags = reader.strings("tags")?;
    tags.sort();
    tags.dedup();
    Ok(NodeConfig {
        enabled: reader.flag("enabled")?.unwrap_or(true),
        materialized,
        tags,
        unique_key: reader.strings("unique_key")?,
        recompute_by: reader.strings("recompute_by")?,
        cluster_by: reader.strings("cluster_by")?,
        incremental: IncrementalConfig::read(&reader)?,
        full_refresh: reader.flag("full_refresh")?,
        location: reader.text("location")?,
        format: reader.one_of("format", &["parquet", "csv", "json"])?,
        partition_by: reader.partition_by(materialized)?,
        column_types: reader.column_types()?,
        delimiter: reader.delimiter(default)?,
        where_: reader.text("where")?,
        warn_only: reader.one_of("severity", &["warn", "error"])?.as_deref()
            == Some("warn"),
        warn_if: reader.text("warn_if")?,
        error_if: reader.text("error_if")?,
        limit: reader.number("limit")?,
        raw: config.values.clone(),
    })
}

/// The configuration of a node that has none.
pub(super) fn defaults() -> NodeConfig {
    NodeConfig {
        enabled: true,
        materialized: Materialized::View,
        tags: Vec::new(),
        unique_key: Vec::new(),
        recompute_by: Vec::new(),
        cluster_by: Vec::new(),
        incremental: IncrementalConfig::default(),
        full_refresh: None,
        location: None,
        format: None,
        partition_by: Vec::new(),
        column_types: BTreeMap::new(),
        delimiter: None,
        where_: None,
        warn_only: false,
        warn_if: None,
        error_if: None,
        limit: None,
        raw: Map::new(),
    }
}

struct Reader<'a> {
    values: &'a Map<String, Value>,
    locations: &'a BTreeMap<String, Location>,
}

impl Reader<'_> {
    fn place(&self, key: &str, error: RunnerError) -> RunnerError {
        match self.locations.get(key) {
            Some(location) => error.with_location(location.clone()),
            None => error,
        }
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value) -> RunnerError {
        let message = format!("`{key}` expects {expected}, found `{found}`");
        self.place(key, RunnerError::new(ErrorKind::Project, message))
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|v| !v.is_null())
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(s)) if s.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(s)) if s.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(other) => Err(self.wrong(key, "true or false", other)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong(key, "a text", other)),
        }
    }

    fn number(&self, key: &str) -> Result<Option<u64>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let parsed = match value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        };
        let number = parsed.ok_or_else(|| self.wrong(key, "a whole number", value))?;
        Ok(Some(number))
    }

    fn strings(&self, key: &str) -> Result<Vec<String>> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let wrong = || self.wrong(key, "a text or a list of texts", value);
        match value {
            Value::String(text) => Ok(vec![text.clone()]),
            Value::Array(items) => items
                .iter()
                .map(|i| i.as_str().map(str::to_owned).ok_or_else(wrong))
                .collect(),
            _ => Err(wrong()),
        }
    }

    fn one_of(&self, key: &str, accepted: &[&str]) -> Result<Option<String>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let lower = text.to_lowercase();
        if accepted.contains(&lower.as_str()) {
            return Ok(Some(lower));
        }
        Err(self.unknown_word(key, &text, accepted))
    }

    fn unknown_word(&self, key: &str, found: &str, accepted: &[&str]) -> RunnerError {
        let message = format!("unknown value for `{key}`: `{found}`");
        let hint = did_you_mean(found, accepted.iter().copied())
            .unwrap_or_else(|| format!("supported: `{}`", accepted.join("`, `")));
        let error = RunnerError::new(ErrorKind::Project, message);
        self.place(key, error.with_hint(hint))
    }

    fn materialized(&self) -> Result<Option<Materialized>> {
        let Some(word) = self.text("materialized")? else {
            return Ok(None);
        };
        let known = MATERIALIZATIONS.iter().find(|(name, _)| *name == word);
        match known {
            Some((_, materialized)) => Ok(Some(*materialized)),
            None => {
                let names: Vec<&str> = MATERIALIZATIONS.iter().map(|m| m.0).collect();
                Err(self.unknown_word("materialized", &word, &names))
            }
        }
    }

    fn column_types(&self) -> Result<BTreeMap<String, String>> {
        let Some(value) = self.get("column_types") else {
            return Ok(BTreeMap::new());
        };
        let wrong = || self.wrong("column_types", "a map of columns to types", value);
        let map = value.as_object().ok_or_else(wrong)?;
        map.iter()
            .map(|(column, name)| {
                let name = name.as_str().ok_or_else(wrong)?;
                Ok((column.clone(), name.to_owned()))
            })
            .collect()
    }

    /// Columns; tables of other databases are partitioned by maps as well.
    fn partition_by(&self, materialized: Materialized) -> Result<Vec<String>> {
        match (self.get("partition_by"), materialized) {
            (_, Materialized::External) => self.strings("partition_by"),
            (Some(Value::Object(_)), _) => Ok(Vec::new()),
            _ => self.strings("partition_by"),
        }
    }

    fn delimiter(&self, default: Materialized) -> Result<Option<char>> {
        let Some(text) = self.text("delimiter")? else {
            return Ok(None);
        };
        if default != Materialized::Seed {
            let message = "`delimiter` is not supported: exports are written with commas";
            let error = RunnerError::new(ErrorKind::Project, message);
            return Err(self.place("delimiter", error));
        }
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => Ok(Some(character)),
            _ => {
                let found = Value::String(text);
                Err(self.wrong("delimiter", "one character", &found))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(values: &Value) -> Result<NodeConfig> {
        let config = ConfigMap {
            values: values.as_object().cloned().unwrap(),
            locations: BTreeMap::new(),
        };
        typed(&config, Materialized::View)
    }

    #[test]
    fn values_are_typed() {
        let config = read(&json!({
            "materialized": "incremental", "tags": ["b", "a", "b"], "unique_key": "id",
            "severity": "WARN", "limit": "5", "enabled": "false", "sort": ["a"],
            "partition_by": {"field": "t", "granularity": "day"},
        }))
        .unwrap();
        assert_eq!(config.materialized, Materialized::Incremental);
        assert_eq!(config.tags, ["a", "b"]);
        assert_eq!(config.unique_key, ["id"]);
        assert!(config.warn_only && !config.enabled);
        assert_eq!((config.limit, config.partition_by.len()), (Some(5), 0));
        assert_eq!(without_effect(&config), ["sort", "partition_by"]);
        assert_eq!(read(&json!({})).unwrap().materialized, Materialized::View);
    }

    #[test]
    fn wrong_values_and_keys_are_named() {
        let fails = |value, hint: Option<&str>, message: &str| {
            let error = read(&value).unwrap_err();
            assert_eq!(error.message(), message);
            assert_eq!(error.hint(), hint);
        };
        fails(
            json!({"materialized": "tabel"}),
            Some("did you mean `table`?"),
            "unknown value for `materialized`: `tabel`",
        );
        fails(
            json!({"enabled": 3}),
            None,
            "`enabled` expects true or false, found `3`",
        );
        fails(
            json!({"materialised": "table"}),
            Some("did you mean `materialized`?"),
            "unknown configuration `materialised`",
        );
        fails(
            json!({"delimiter": ";"}),
            None,
            "`delimiter` is not supported: exports are written with commas",
        );
        fails(
            json!({"materialized": "external", "partition_by": {"field": "t"}}),
            None,
            "`partition_by` expects a text or a list of texts, found `{\"field\":\"t\"}`",
        );
        fails(
            json!({"post_hook": "select 1"}),
            None,
            "configuration `post_hook` is not supported",
        );
    }

    #[test]
    fn tags_and_meta_add_up() {
        let mut base = json!({"tags": "a", "meta": {"x": 1}, "enabled": true});
        let over = json!({"tags": ["b"], "meta": {"y": 2}, "enabled": false});
        merge(base.as_object_mut().unwrap(), over.as_object().unwrap());
        assert_eq!(
            base,
            json!({"tags": ["a", "b"], "meta": {"x": 1, "y": 2}, "enabled": false})
        );
    }
}
