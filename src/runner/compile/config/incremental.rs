//! `incremental_strategy`, `on_schema_change` and what goes with them.

use serde_json::Value;

use super::{NodeConfig, Reader};
use crate::runner::compile::Materialized;
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};

/// What an incremental run does with the rows of the model's SQL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum IncrementalStrategy {
    /// The SQL gives all rows; those of the keys that new data reaches are recomputed, so
    /// that the table always equals a full refresh. `is_incremental()` is false.
    #[default]
    Keys,
    /// The SQL gives new rows: they are added.
    Append,
    /// The SQL gives new rows, one a `unique_key`: rows of that key are updated, the others
    /// are added. A null key matches nothing.
    Merge,
    /// The SQL gives new rows: those of the same `unique_key` are deleted, then all are
    /// added. A null key matches nothing.
    DeleteInsert,
    /// The SQL gives whole partitions (`partition_by`; null is one), or else the whole
    /// table: they are replaced.
    InsertOverwrite,
}

/// What an incremental run does when the columns of its rows are not the table's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OnSchemaChange {
    /// Only the table's columns are written; a missing one is an error.
    #[default]
    Ignore,
    /// An error that lists the differences.
    Fail,
    /// New columns are added (null in the rows that are there), missing ones are null.
    AppendNewColumns,
    /// The table gets the columns of the rows: new, missing and retyped ones.
    SyncAllColumns,
}

/// How an incremental model takes its rows in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncrementalConfig {
    /// `incremental_strategy`.
    pub strategy: IncrementalStrategy,
    /// `on_schema_change`.
    pub on_schema_change: OnSchemaChange,
    /// `merge_update_columns`: all that `merge` updates; empty: every column.
    pub merge_update_columns: Vec<String>,
    /// `merge_exclude_columns`: what `merge` leaves as it is in rows that are there.
    pub merge_exclude_columns: Vec<String>,
    /// `deletion_vectors: false`: files that lose rows are copied without them, for readers
    /// that know no deletion vectors.
    pub without_deletion_vectors: bool,
}

const STRATEGIES: [(&str, IncrementalStrategy); 5] = [
    ("keys", IncrementalStrategy::Keys),
    ("append", IncrementalStrategy::Append),
    ("merge", IncrementalStrategy::Merge),
    ("delete+insert", IncrementalStrategy::DeleteInsert),
    ("insert_overwrite", IncrementalStrategy::InsertOverwrite),
];

const ON_SCHEMA_CHANGE: [(&str, OnSchemaChange); 4] = [
    ("ignore", OnSchemaChange::Ignore),
    ("fail", OnSchemaChange::Fail),
    ("append_new_columns", OnSchemaChange::AppendNewColumns),
    ("sync_all_columns", OnSchemaChange::SyncAllColumns),
];

impl IncrementalStrategy {
    /// Its word in a configuration.
    pub fn name(self) -> &'static str {
        let found = STRATEGIES.iter().find(|(_, strategy)| *strategy == self);
        found.map_or("keys", |(name, _)| name)
    }
}

impl IncrementalConfig {
    /// Reads the keys of a configuration.
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self> {
        Ok(Self {
            strategy: word(reader, "incremental_strategy", &STRATEGIES)?,
            on_schema_change: word(reader, "on_schema_change", &ON_SCHEMA_CHANGE)?,
            merge_update_columns: reader.strings("merge_update_columns")?,
            merge_exclude_columns: reader.strings("merge_exclude_columns")?,
            without_deletion_vectors: reader.flag("deletion_vectors")? == Some(false),
        })
    }
}

/// What the word under `key` means; a wrong one is an error with all that there are.
fn word<T: Copy + Default>(
    reader: &Reader<'_>,
    key: &str,
    words: &[(&str, T)],
) -> Result<T> {
    let Some(text) = reader.text(key)? else {
        return Ok(T::default());
    };
    if let Some((_, meaning)) = words.iter().find(|w| w.0.eq_ignore_ascii_case(&text)) {
        return Ok(*meaning);
    }
    let names: Vec<&str> = words.iter().map(|w| w.0).collect();
    let supported = format!("supported: `{}`", names.join("`, `"));
    let hint = match did_you_mean(&text.replace('_', "+"), names.iter().copied())
        .or_else(|| did_you_mean(&text, names.iter().copied()))
    {
        Some(guess) => format!("{guess} {supported}"),
        None => supported,
    };
    let message = format!("unknown value for `{key}`: `{text}`");
    let error = RunnerError::new(ErrorKind::Project, message);
    Err(reader.place(key, error.with_hint(hint)))
}

/// What a strategy needs and what does not go with it, once all of a model's
/// configuration is known.
pub(crate) fn check_incremental(name: &str, config: &NodeConfig) -> Result<()> {
    if config.materialized != Materialized::Incremental {
        return Ok(());
    }
    let IncrementalConfig {
        strategy,
        merge_update_columns: update,
        merge_exclude_columns: exclude,
        ..
    } = &config.incremental;
    let word = strategy.name();
    let fail = |message: String, hint: &str| {
        Err(RunnerError::new(ErrorKind::Project, message).with_hint(hint))
    };
    if *strategy == IncrementalStrategy::DeleteInsert && config.unique_key.is_empty() {
        return fail(
            format!("`{name}` has the strategy `{word}` and no `unique_key`"),
            "name the columns by which rows are replaced; `append` adds rows alone",
        );
    }
    let of_merge = [
        ("merge_update_columns", update),
        ("merge_exclude_columns", exclude),
    ];
    for (key, columns) in of_merge {
        if !columns.is_empty() && *strategy != IncrementalStrategy::Merge {
            return fail(
                format!("`{name}` has `{key}` and the strategy `{word}`"),
                "`incremental_strategy: merge` updates columns; no other does",
            );
        }
    }
    if !update.is_empty() && !exclude.is_empty() {
        return fail(
            format!(
                "`{name}` has both `merge_update_columns` and `merge_exclude_columns`"
            ),
            "one of them says it all",
        );
    }
    let by_map = matches!(config.raw.get("partition_by"), Some(Value::Object(_)));
    if by_map && *strategy == IncrementalStrategy::InsertOverwrite {
        return fail(
            format!("`partition_by` of `{name}` expects columns, found a map"),
            "give the partition a column of its own, for example a date",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::runner::compile::config::typed;
    use crate::runner::project::ConfigMap;

    fn read(values: &Value) -> Result<NodeConfig> {
        let mut values = values.as_object().cloned().unwrap();
        values.insert("materialized".to_owned(), json!("incremental"));
        let config = ConfigMap {
            values,
            locations: BTreeMap::new(),
        };
        let config = typed(&config, Materialized::View)?;
        check_incremental("m", &config)?;
        Ok(config)
    }

    #[test]
    fn every_word_means_itself() {
        for (name, strategy) in STRATEGIES {
            let values = json!({"incremental_strategy": name, "unique_key": "id"});
            assert_eq!(read(&values).unwrap().incremental.strategy, strategy);
            assert_eq!(strategy.name(), name);
        }
        assert_eq!(read(&json!({})).unwrap().incremental, Default::default());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let fails = |value: Value, message: &str, hint: &str| {
            let error = read(&value).unwrap_err();
            assert_eq!(error.message(), message);
            assert_eq!(error.hint(), Some(hint));
        };
        fails(
            json!({"incremental_strategy": "delete_insert"}),
            "unknown value for `incremental_strategy`: `delete_insert`",
            "did you mean `delete+insert`? supported: `keys`, `append`, `merge`, \
             `delete+insert`, `insert_overwrite`",
        );
        fails(
            json!({"on_schema_change": "sync"}),
            "unknown value for `on_schema_change`: `sync`",
            "supported: `ignore`, `fail`, `append_new_columns`, `sync_all_columns`",
        );
        fails(
            json!({"incremental_strategy": "delete+insert"}),
            "`m` has the strategy `delete+insert` and no `unique_key`",
            "name the columns by which rows are replaced; `append` adds rows alone",
        );
        fails(
            json!({"merge_update_columns": ["a"]}),
            "`m` has `merge_update_columns` and the strategy `keys`",
            "`incremental_strategy: merge` updates columns; no other does",
        );
        fails(
            json!({"incremental_strategy": "merge", "merge_update_columns": "a",
                   "merge_exclude_columns": "b"}),
            "`m` has both `merge_update_columns` and `merge_exclude_columns`",
            "one of them says it all",
        );
        fails(
            json!({"incremental_strategy": "insert_overwrite",
                   "partition_by": {"field": "day"}}),
            "`partition_by` of `m` expects columns, found a map",
            "give the partition a column of its own, for example a date",
        );
    }
}
