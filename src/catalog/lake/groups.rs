//! Which files of a lake are read alike.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::listing::PartitionedFile;

use super::files::{Format, compression, delimiter};
use super::types::common;

/// Files that are read alike: all Parquet files (each is adapted as it is opened), CSV files
/// with one header, JSON files of one compression.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) schema: SchemaRef,
    pub(super) files: Vec<PartitionedFile>,
}

/// Files by header (CSV), compression and delimiter, in the order of the first of each.
pub(super) fn grouped(
    format: Format,
    files: Vec<PartitionedFile>,
    schemas: &[SchemaRef],
) -> Vec<Group> {
    let mut keys: Vec<(Vec<String>, bool, u8)> = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    for (file, schema) in files.into_iter().zip(schemas) {
        let names = schema.fields().iter().map(|f| f.name().clone());
        let names = (format == Format::Csv).then(|| names.collect());
        let path = &file.object_meta.location;
        let zipped = compression(path).is_compressed();
        let key = (names.unwrap_or_default(), zipped, delimiter(path));
        if let Some(index) = keys.iter().position(|k| *k == key) {
            let group = &mut groups[index];
            group.schema = union(&group.schema, schema);
            group.files.push(file);
        } else {
            keys.push(key);
            groups.push(Group {
                schema: Arc::clone(schema),
                files: vec![file],
            });
        }
    }
    groups
}

/// The columns of both, by name, of types that hold both.
fn union(a: &SchemaRef, b: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<Field> = a.fields().iter().map(|f| f.as_ref().clone()).collect();
    for field in b.fields() {
        match fields.iter_mut().find(|f| f.name() == field.name()) {
            Some(known) => {
                let both = common(known.data_type(), field.data_type());
                let both = both.unwrap_or_else(|| known.data_type().clone());
                *known = Field::new(known.name(), both, true);
            }
            None => fields.push(field.as_ref().clone()),
        }
    }
    Arc::new(Schema::new(fields))
}

/// The columns of a CSV or JSON file as text where the lake's type is not the one that was
/// found: no digit gets lost on the way. Those of CSV all are: their types were found in the
/// first rows alone, and the lake names column and value of a row that does not fit.
pub(super) fn as_text(format: Format, file: &SchemaRef, lake: &SchemaRef) -> SchemaRef {
    let fields = file.fields().iter().map(|field| {
        let known = lake.field_with_name(field.name());
        let same = known.is_ok_and(|f| f.data_type() == field.data_type());
        let kept = (same && format != Format::Csv) || field.data_type().is_nested();
        let data_type = match kept {
            true => field.data_type().clone(),
            false => DataType::Utf8,
        };
        Field::new(field.name(), data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
