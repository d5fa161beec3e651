//! `columns:` of models, seeds and source tables.

use super::data_tests;
use crate::runner::error::Result;
use crate::runner::project::config::{Resource, meta_of};
use crate::runner::project::types::{Column, ConfigMap};
use crate::runner::project::yaml::{Fields, Node};

/// Reads `columns:`; each name may stand there once.
pub(super) fn columns(fields: &mut Fields<'_>) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = vec![];
    let what = fields.what().to_owned();
    for node in fields.list("columns")? {
        let column = column(node)?;
        if columns.iter().any(|c| c.name == column.name) {
            let message = format!("column `{}` stands twice in {what}", column.name);
            return Err(node.error(message));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn column(node: &Node) -> Result<Column> {
    let (name, mut fields) = Fields::named(node, "column")?;
    fields.refuse("constraints", "use `data_tests`, such as `not_null`")?;
    fields.ignore(&["quote", "docs", "granularity", "policy_tags"]);
    let what = format!("the `config` of {}", fields.what());
    let config = ConfigMap::read(fields.optional("config"), Resource::UnitTest, &what)?;
    let mut tags = fields.strings("tags")?.unwrap_or_default();
    if let Some(more) = config.values.get("tags").and_then(|t| t.as_array()) {
        let more = more.iter().filter_map(|t| t.as_str());
        tags.extend(more.map(str::to_owned));
    }
    let column = Column {
        description: fields.string("description")?.unwrap_or_default(),
        data_type: fields.string("data_type")?,
        meta: meta_of(fields.map("meta")?, &config),
        tags,
        data_tests: data_tests::data_tests(&mut fields, Some(&name))?,
        location: node.place.location(),
        name,
    };
    fields.finish()?;
    Ok(column)
}
