//! `models:`, `seeds:` and `data_tests:` of property files.

use super::{Entry, PropertyFile, columns, data_tests};
use crate::runner::error::Result;
use crate::runner::project::config::Resource;
use crate::runner::project::types::{ConfigMap, Properties};
use crate::runner::project::yaml::{Fields, Node};

const CONSTRAINTS: &str = "use `data_tests`, such as `not_null` and `unique`";

/// Configuration that may also stand beside `config:`.
const BESIDE: &[&str] = &["tags", "meta", "docs", "group", "access", "enabled"];

/// An entry of `models:`.
pub(super) fn model(file: &PropertyFile<'_>, node: &Node) -> Result<Entry> {
    let (name, mut fields) = Fields::named(node, "model")?;
    fields.refuse("versions", "give each version a model of its own")?;
    fields.refuse("constraints", CONSTRAINTS)?;
    fields.ignore(&[
        "latest_version",
        "deprecation_date",
        "primary_key",
        "time_spine",
    ]);
    table(file, node, name, fields, Resource::Model)
}

/// An entry of `seeds:`.
pub(super) fn seed(file: &PropertyFile<'_>, node: &Node) -> Result<Entry> {
    let (name, fields) = Fields::named(node, "seed")?;
    table(file, node, name, fields, Resource::Seed)
}

/// An entry of `data_tests:`: it describes a singular test.
pub(super) fn singular_test(file: &PropertyFile<'_>, node: &Node) -> Result<Entry> {
    let (name, mut fields) = Fields::named(node, "data test")?;
    let config = config(&mut fields, node, Resource::DataTest)?;
    let properties = Properties {
        location: Some(node.place.location()),
        description: fields.string("description")?.unwrap_or_default(),
        ..Properties::default()
    };
    fields.finish()?;
    Ok(entry(file, node, name, config, properties))
}

fn table(
    file: &PropertyFile<'_>,
    node: &Node,
    name: String,
    mut fields: Fields<'_>,
    resource: Resource,
) -> Result<Entry> {
    let config = config(&mut fields, node, resource)?;
    let properties = Properties {
        location: Some(node.place.location()),
        description: fields.string("description")?.unwrap_or_default(),
        columns: columns::columns(&mut fields)?,
        data_tests: data_tests::data_tests(&mut fields, None)?,
    };
    fields.finish()?;
    Ok(entry(file, node, name, config, properties))
}

/// `config:` and the keys of it that stand beside it.
pub(super) fn config(
    fields: &mut Fields<'_>,
    node: &Node,
    resource: Resource,
) -> Result<ConfigMap> {
    let what = fields.what().to_owned();
    let mut config = ConfigMap::beside(node, BESIDE, resource, &what)?;
    fields.ignore(BESIDE);
    let what = format!("the `config` of {what}");
    config.merge(&ConfigMap::read(
        fields.optional("config"),
        resource,
        &what,
    )?);
    Ok(config)
}

fn entry(
    file: &PropertyFile<'_>,
    node: &Node,
    name: String,
    config: ConfigMap,
    properties: Properties,
) -> Entry {
    Entry {
        name,
        place: node.place.clone(),
        config,
        properties,
        folders: file.folders.clone(),
    }
}
