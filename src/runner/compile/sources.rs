//! Where a source's files are.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{NodeId, ResolvedSource};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::project::{Project, SourceTable};
use crate::runner::template::{YamlContext, render_yaml_string};

/// `source.<project>.<source>.<table>`.
pub(super) fn id(project: &Project, table: &SourceTable) -> NodeId {
    NodeId::from(format!(
        "source.{}.{}.{}",
        project.name, table.source_name, table.name
    ))
}

/// Renders the location of a source table.
pub(super) fn resolve(
    project: &Project,
    table: &SourceTable,
    yaml: &YamlContext,
) -> Result<Arc<ResolvedSource>> {
    let location = match &table.external_location {
        None => None,
        Some(located) => {
            let place =
                |error: RunnerError| error.with_location(located.location.clone());
            let rendered = render_yaml_string(&located.value, yaml).map_err(place)?;
            let Value::String(text) = rendered else {
                let message = format!(
                    "the location of source `{}.{}` is no text: `{rendered}`",
                    table.source_name, table.name
                );
                return Err(place(RunnerError::new(ErrorKind::Source, message)));
            };
            Some(absolute(project, &filled(table, &text)))
        }
    };
    Ok(Arc::new(ResolvedSource {
        table: table.clone(),
        location,
    }))
}

/// dbt-duckdb's placeholders.
fn filled(table: &SourceTable, text: &str) -> String {
    text.replace("{name}", &table.name)
        .replace("{identifier}", &table.identifier)
        .replace("{schema}", &table.source_name)
}

/// URLs and absolute paths stay; a path that a command-line variable gave starts at the
/// current directory, any other at the project's root.
fn absolute(project: &Project, text: &str) -> String {
    if text.contains("://") || Path::new(text).is_absolute() {
        return text.to_owned();
    }
    let from_command_line = project.cli_vars.iter().any(|name| {
        let value = project.vars.get(name).and_then(Value::as_str);
        value.is_some_and(|v| !v.is_empty() && text.starts_with(v))
    });
    let base = if from_command_line {
        &project.current_dir
    } else {
        &project.root
    };
    base.join(text).to_string_lossy().into_owned()
}
