//! The key columns that a model's configuration names.

use datafusion::common::Column;
use datafusion::logical_expr::LogicalPlan;

use super::lineage::Reason;
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};
use crate::runner::materialization::Job;

/// The output columns that `recompute_by`, or else `unique_key`, names.
pub(super) fn key_columns(
    job: &Job,
    plan: &LogicalPlan,
) -> std::result::Result<Vec<Column>, Reason> {
    let config = &job.node.config;
    let names = match config.recompute_by.is_empty() {
        true => &config.unique_key,
        false => &config.recompute_by,
    };
    if names.is_empty() {
        return Err("neither `recompute_by` nor `unique_key` is configured".to_owned());
    }
    let schema = plan.schema();
    let column = |name: &String| {
        let found = (0..schema.fields().len()).find(|i| schema.field(*i).name() == name);
        let found = found.map(|i| Column::from(schema.qualified_field(i)));
        found.ok_or_else(|| format!("its key `{name}` is no column of it"))
    };
    names.iter().map(column).collect()
}

/// Refuses a key that the model does not have: it would be rebuilt for ever.
pub(super) fn keys_are_columns(job: &Job) -> Result<()> {
    let config = &job.node.config;
    let known = job.rows.schema().fields();
    for (option, names) in [
        ("unique_key", &config.unique_key),
        ("recompute_by", &config.recompute_by),
    ] {
        let missing = names.iter().find(|n| !known.iter().any(|f| f.name() == *n));
        if let Some(name) = missing {
            let known = known.iter().map(|f| f.name().as_str());
            return Err(no_such_column(option, name, &job.node.name, known));
        }
    }
    Ok(())
}

/// The error on a configuration that names a column which is not there.
pub(super) fn no_such_column<'a>(
    option: &str,
    name: &str,
    model: &str,
    known: impl Iterator<Item = &'a str>,
) -> RunnerError {
    let known: Vec<&str> = known.collect();
    let message = format!("`{option}` names `{name}`, which is no column of `{model}`");
    let hint = did_you_mean(name, known.iter().copied());
    RunnerError::new(ErrorKind::Sql, message).with_hint(
        hint.unwrap_or_else(|| format!("its columns: `{}`", known.join("`, `"))),
    )
}
