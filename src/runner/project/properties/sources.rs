//! `sources:` of property files.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{PropertyFile, PropertySet, columns, data_tests, models};
use crate::runner::error::Result;
use crate::runner::project::config::Resource;
use crate::runner::project::types::{ConfigMap, Located, Properties, SourceTable};
use crate::runner::project::yaml::{Data, Fields, Node};

const EXTERNAL: &str =
    "name the files with `external_location`, in `config` or `meta` of the table";

/// What a source says for all of its tables.
struct Source {
    name: String,
    config: ConfigMap,
    location: Option<Located<String>>,
}

/// Reads an entry of `sources:` and puts its tables into `set`.
pub(super) fn source(
    file: &PropertyFile<'_>,
    node: &Node,
    set: &mut PropertySet,
) -> Result<()> {
    let (name, mut fields) = Fields::named(node, "source")?;
    fields.refuse(
        "overrides",
        "sources of other packages cannot be overridden",
    )?;
    fields.string("description")?;
    let config = facts(&mut fields, node, set)?;
    let source = Source {
        location: external_location(node)?,
        name,
        config,
    };
    let tables = fields.list("tables")?;
    fields.finish()?;
    for node in tables {
        let table = table(file, node, &source, set)?;
        let same =
            |t: &&SourceTable| t.source_name == table.source_name && t.name == table.name;
        if let Some(first) = set.sources.iter().find(same) {
            let message = format!(
                "source table `{}.{}` is defined twice, first in `{}`",
                table.source_name,
                table.name,
                first.file.path.display()
            );
            return Err(node.error(message));
        }
        set.sources.push(table);
    }
    Ok(())
}

fn table(
    file: &PropertyFile<'_>,
    node: &Node,
    source: &Source,
    set: &mut PropertySet,
) -> Result<SourceTable> {
    let (name, mut fields) = Fields::named(node, "source table")?;
    fields.refuse("external", EXTERNAL)?;
    let mut config = source.config.clone();
    config.merge(&facts(&mut fields, node, set)?);
    let properties = Properties {
        location: Some(node.place.location()),
        description: fields.string("description")?.unwrap_or_default(),
        columns: columns::columns(&mut fields)?,
        data_tests: data_tests::data_tests(&mut fields, None)?,
    };
    let identifier = fields.scalar("identifier")?;
    fields.finish()?;
    let own = external_location(node)?;
    Ok(SourceTable {
        source_name: source.name.clone(),
        identifier: identifier.unwrap_or_else(|| name.clone()),
        fqn: file.fqn(&[source.name.as_str(), name.as_str()]),
        external_location: own.or_else(|| source.location.clone()),
        config,
        properties,
        file: (*file.file).clone(),
        name,
    })
}

/// The keys that a source and its tables share, as configuration.
fn facts(
    fields: &mut Fields<'_>,
    node: &Node,
    set: &mut PropertySet,
) -> Result<ConfigMap> {
    const FACTS: &[&str] = &["schema", "database", "loader", "loaded_at_field"];
    fields.ignore(FACTS);
    fields.ignore(&["loaded_at_query", "quoting"]);
    if let Some(freshness) = fields.optional("freshness")
        && !freshness.is_empty()
    {
        let message = format!("`freshness` of {} is not checked", fields.what());
        set.warnings.push(Arc::new(freshness.error(message)));
    }
    let mut config = ConfigMap::beside(node, FACTS, Resource::Source, fields.what())?;
    config.merge(&models::config(fields, node, Resource::Source)?);
    Ok(config)
}

/// `external_location` of a source or table: in `config`, in `meta`, or in the `meta` of
/// `config`.
fn external_location(node: &Node) -> Result<Option<Located<String>>> {
    const PLACES: [&[&str]; 3] = [
        &["config", "external_location"],
        &["meta", "external_location"],
        &["config", "meta", "external_location"],
    ];
    for path in PLACES {
        if let Some(found) = path.iter().try_fold(node, |n, key| below(n, key))
            && !found.is_null()
        {
            return Ok(Some(Located {
                value: found.string()?,
                location: found.place.location(),
            }));
        }
    }
    Ok(None)
}

fn below<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Data::Map(entries) = &node.data else {
        return None;
    };
    entries.iter().find(|e| e.name == key).map(|e| &e.value)
}

/// `external_location` that the tree of `dbt_project.yml` gives, for tables that name none.
pub(crate) fn location_in(config: &ConfigMap) -> Option<Located<String>> {
    let meta = config.values.get("meta").and_then(Value::as_object);
    let own = |map: &Map<String, Value>| {
        map.get("external_location")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let (key, value) = match own(&config.values) {
        Some(value) => ("external_location", value),
        None => ("meta", meta.and_then(own)?),
    };
    let location = config.locations.get(key)?.clone();
    Some(Located { value, location })
}
