//! Where nodes lie: committed tables, exports and sources.

use serde_json::Value;
use url::Url;

use super::Engine;
use crate::catalog::{CatalogEntry, EventLakeOptions, LakeColumn};
use crate::runner::compile::{Node, ResolvedSource};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::{
    clean_message, execution_error, export_format, export_name,
};
use crate::runner::project::Column;
use crate::store::Stores;
use crate::table::Table;

impl Engine {
    /// The folder of the target's tables.
    pub(super) fn target_location(&self) -> Result<Url> {
        let target = &self.project.target;
        let parsed = Stores::parse(&target.location, &self.project.root);
        let url = parsed.map_err(|e| {
            let cause = clean_message(&e);
            let message = format!("`location` of target `{}`: {cause}", target.name);
            RunnerError::new(ErrorKind::Project, message).with_source(e)
        })?;
        let of = format!("`location` of target `{}`", target.name);
        writable(&url, &of).map(|()| url)
    }

    /// Where it is kept what the files of large lakes hold.
    pub(super) fn lake_memory(target: &Url) -> Result<Url> {
        below(target, &["_lakes"])
    }

    /// Makes the store of `url` readable for plans.
    pub(super) fn open_store(&self, url: &Url) -> Result<()> {
        let store = self.stores.get(url).map_err(execution_error)?;
        let mut root = Stores::registered(url);
        root.set_path("/");
        self.context.register_object_store(&root, store);
        Ok(())
    }

    /// The committed table of `node`: `<location>/<alias>`, below its configured `schema`.
    pub(crate) fn table(&self, node: &Node) -> Result<Table> {
        Ok(Table::new(self.table_url(node)?, self.stores.clone()))
    }

    /// The folder of the committed table of `node`.
    pub(crate) fn table_url(&self, node: &Node) -> Result<Url> {
        let mut folders = Vec::new();
        if let Some(Value::String(schema)) = node.config.raw.get("schema") {
            folders.push(schema.as_str());
        }
        folders.push(node.relation.as_ref().map_or(&node.name, |r| &r.name));
        below(&self.target_location()?, &folders)
    }

    /// Where the export of `node` goes. A relative `location` starts at the project's root.
    pub(crate) fn export_url(&self, node: &Node) -> Result<Url> {
        let url = match &node.config.location {
            Some(location) => {
                Stores::parse(location, &self.project.root).map_err(execution_error)?
            }
            None => below(&self.target_location()?, &[&export_name(node)?])?,
        };
        writable(&url, &format!("`location` of model `{}`", node.name))?;
        self.open_store(&url)?;
        Ok(url)
    }

    pub(super) fn export_lake(&self, node: &Node) -> Result<EventLakeOptions> {
        Ok(EventLakeOptions {
            name: format!("ref('{}')", node.name),
            location: self.export_url(node)?.to_string(),
            format: Some(export_format(node)?.to_owned()),
            columns: Vec::new(),
            flatten: false,
            base: self.project.root.clone(),
        })
    }

    pub(super) fn source_entry(&self, source: &ResolvedSource) -> Result<CatalogEntry> {
        match self.source_lake(source) {
            Some(lake) => Ok(CatalogEntry::Lake(lake)),
            None => Ok(CatalogEntry::Unavailable(missing(source))),
        }
    }

    /// How the files of `source` are read; `None` if the project names none.
    pub(super) fn source_lake(
        &self,
        source: &ResolvedSource,
    ) -> Option<EventLakeOptions> {
        let table = &source.table;
        let text = |key: &str| table.config.values.get(key).and_then(Value::as_str);
        let values = &table.config.values;
        let flag = |key: &str| values.get(key).and_then(Value::as_bool) == Some(true);
        Some(EventLakeOptions {
            name: format!("source('{}', '{}')", table.source_name, table.name),
            location: source.location.clone()?,
            format: text("format").map(ToOwned::to_owned),
            columns: table
                .properties
                .columns
                .iter()
                .filter_map(lake_column)
                .collect(),
            flatten: flag("flatten"),
            base: self.project.root.clone(),
        })
    }
}

/// A column readers count on: `meta.required: true`, or `meta.optional: true` with a type.
fn lake_column(column: &Column) -> Option<LakeColumn> {
    let says = |key: &str| column.meta.get(key).and_then(Value::as_bool) == Some(true);
    let required = says("required");
    let optional = says("optional") && column.data_type.is_some();
    (required || optional).then(|| LakeColumn {
        name: column.name.clone(),
        data_type: column.data_type.clone(),
        required,
    })
}

/// What reading a source without files is answered with.
pub(super) fn missing(source: &ResolvedSource) -> String {
    format!(
        "source('{}', '{}') has no files: give it an `external_location`",
        source.table.source_name, source.table.name
    )
}

/// An error if nothing can be written at `url`; `of` is what names it.
fn writable(url: &Url, of: &str) -> Result<()> {
    if !Stores::read_only(url) {
        return Ok(());
    }
    let message = format!("{of}: `{url}` can be read only");
    let hint = "name a folder, or a place in an object store";
    Err(RunnerError::new(ErrorKind::Project, message).with_hint(hint))
}

/// `base` with folders added; each is one segment, whatever it holds.
fn below(base: &Url, names: &[&str]) -> Result<Url> {
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => {
            segments.pop_if_empty().extend(names);
        }
        Err(()) => {
            let message = format!("`{base}` cannot hold tables");
            return Err(RunnerError::new(ErrorKind::Project, message));
        }
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_segments() {
        let base = Url::parse("s3://bucket/tables/").unwrap();
        let url = below(&base, &["a b", "c/d"]).unwrap();
        assert_eq!(url.as_str(), "s3://bucket/tables/a%20b/c%2Fd");
    }
}
