//! The schema of a lake: what its files have, what users declare, what folders say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{Result, ScalarValue, plan_err};

use super::json::is_long;
use super::types::{common, plain, readable};

/// A declared column with its type resolved.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) data_type: Option<DataType>,
    pub(super) required: bool,
}

/// The schema of a lake, and each file's values of the folders' columns.
#[derive(Debug)]
pub(super) struct LakeSchema {
    /// Columns inside of the files.
    pub(super) files: SchemaRef,
    /// Columns of the `key=value` folders.
    pub(super) folders: Vec<FieldRef>,
    /// A row a file.
    pub(super) values: Vec<Vec<ScalarValue>>,
    /// How many of the files' columns, the first ones, are in a file.
    pub(super) found: usize,
    /// Declared columns that are also found under another case.
    pub(super) folded: Arc<BTreeSet<String>>,
}

impl LakeSchema {
    /// The same, with text for columns that have no value anywhere.
    pub(super) fn without_null_types(mut self) -> Self {
        let fields = self.files.fields().iter().map(|field| {
            let field = field.as_ref().clone();
            match field.data_type() {
                DataType::Null => field.with_data_type(DataType::Utf8),
                _ => field,
            }
        });
        self.files = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        self
    }
}

/// A column of the files and the file it was first seen in.
struct Found {
    data_type: DataType,
    file: String,
    /// Holds whole numbers that a double would round.
    long: bool,
}

/// The schema of files with `schemas`; `files` is what errors call them.
pub(super) fn lake(
    declared: &[Declared],
    files: &[String],
    schemas: &[SchemaRef],
    mut folders: Vec<FieldRef>,
    mut values: Vec<Vec<ScalarValue>>,
) -> Result<LakeSchema> {
    let by_folder: BTreeSet<_> = folders.iter().map(|f| f.name().clone()).collect();
    let wanted: Vec<_> = declared
        .iter()
        .filter(|d| !by_folder.contains(&d.name))
        .collect();
    let mut order = Vec::new();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let mut folded = BTreeSet::new();
    for (index, schema) in schemas.iter().enumerate() {
        let file = files.get(index).map_or("the table", String::as_str);
        for (name, field) in named(schema, &wanted, file, &mut folded)? {
            if by_folder.contains(&name) {
                continue;
            }
            let known = wanted.iter().find(|d| d.name == name);
            let known = known.and_then(|d| d.data_type.as_ref());
            if let Some(previous) = found.get_mut(&name) {
                merge(&name, previous, field, known, file)?;
                continue;
            }
            check(&name, field.data_type(), known, file)?;
            let data_type = known.cloned().unwrap_or_else(|| plain(field.data_type()));
            let file = file.to_owned();
            order.push(name.clone());
            let long = is_long(field);
            found.insert(
                name,
                Found {
                    data_type,
                    file,
                    long,
                },
            );
        }
    }
    let mut fields: Vec<Field> = order
        .iter()
        .filter_map(|name| found.get(name).map(|f| (name, f)))
        .map(|(name, f)| Field::new(name, f.data_type.clone(), true))
        .collect();
    for column in wanted.iter().filter(|d| !found.contains_key(&d.name)) {
        fields.push(absent(column, files, schemas)?);
    }
    cast_folders(declared, &mut folders, &mut values)?;
    let found = order.len();
    Ok(LakeSchema {
        found,
        files: Arc::new(Schema::new(fields)),
        folders,
        values,
        folded: Arc::new(folded),
    })
}

/// A file's columns under the lake's names: a declared name also finds the one column that
/// differs by case only.
fn named<'a>(
    schema: &'a Schema,
    declared: &[&Declared],
    file: &str,
    folded: &mut BTreeSet<String>,
) -> Result<Vec<(String, &'a Field)>> {
    let mut named = Vec::new();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for field in schema.fields() {
        let name = field.name();
        let meant = declared.iter().find(|d| {
            d.name.eq_ignore_ascii_case(name) && schema.index_of(&d.name).is_err()
        });
        let lake_name = meant.map_or(name, |d| &d.name).clone();
        if let Some(other) = taken.insert(lake_name.clone(), name) {
            return plan_err!(
                "the columns `{other}` and `{name}` of the file `{file}` differ by case only; expected one of them to be `{lake_name}`"
            );
        }
        if &lake_name != name {
            folded.insert(lake_name.clone());
        }
        named.push((lake_name, field.as_ref()));
    }
    Ok(named)
}

fn merge(
    name: &str,
    previous: &mut Found,
    field: &Field,
    known: Option<&DataType>,
    file: &str,
) -> Result<()> {
    if known.is_some() {
        return check(name, field.data_type(), known, file);
    }
    previous.long |= is_long(field);
    match common(&previous.data_type, field.data_type()) {
        Some(data_type) if previous.long && data_type.is_floating() => {
            previous.data_type = DataType::Utf8;
            Ok(())
        }
        Some(data_type) => {
            previous.data_type = data_type;
            Ok(())
        }
        None => plan_err!(
            "column `{name}` is `{}` in the file `{}` and `{}` in the file `{file}`, which have no type in common; declare its `data_type`",
            previous.data_type,
            previous.file,
            field.data_type()
        ),
    }
}

fn check(name: &str, from: &DataType, to: Option<&DataType>, file: &str) -> Result<()> {
    match to {
        Some(to) if !readable(from, to) => plan_err!(
            "column `{name}` of the file `{file}` is `{from}`, which cannot be read as the declared `{to}`"
        ),
        _ => Ok(()),
    }
}

/// A declared column that no file has.
fn absent(column: &Declared, files: &[String], schemas: &[SchemaRef]) -> Result<Field> {
    let name = &column.name;
    match &column.data_type {
        Some(data_type) if !column.required => {
            Ok(Field::new(name, data_type.clone(), true))
        }
        None if !column.required => {
            plan_err!("no file has the optional column `{name}`; declare its `data_type`")
        }
        _ => {
            let file = files.first().map_or("the table", String::as_str);
            let fields = schemas.first().map(|s| s.fields().iter());
            let there: Vec<_> = fields
                .into_iter()
                .flatten()
                .map(|f| format!("`{}`", f.name()))
                .collect();
            plan_err!(
                "the required column `{name}` is missing; the file `{file}` has the columns {}",
                there.join(", ")
            )
        }
    }
}

fn cast_folders(
    declared: &[Declared],
    folders: &mut [FieldRef],
    values: &mut [Vec<ScalarValue>],
) -> Result<()> {
    for (index, field) in folders.iter_mut().enumerate() {
        let name = field.name().clone();
        let known = declared.iter().find(|d| d.name == name);
        let Some(to) = known.and_then(|d| d.data_type.as_ref()) else {
            continue;
        };
        for row in values.iter_mut() {
            row[index] = row[index].cast_to(to).map_err(|e| {
                e.context(format!("a folder's value of `{name}` is no `{to}`"))
            })?;
        }
        *field = Arc::new(Field::new(name, to.clone(), true));
    }
    Ok(())
}
