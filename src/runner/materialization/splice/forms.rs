//! How each column of the table is written: copied, decoded from files, or made.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::parquet::schema::types::ColumnDescPtr;

use super::{Group, Splice, parquet_error};
use crate::operators::ColumnSource;
use crate::runner::error::Result;

/// How a field of the table is written; columns of files by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// The files' chunks are as the table's would be.
    Copied(&'a str),
    /// The table has another type.
    Decoded(&'a str),
    /// No column of files, but a place among those made.
    Made(usize),
}

impl Splice {
    /// The table's fields, in their order.
    pub(super) fn forms(&self) -> impl Iterator<Item = Form<'_>> {
        let sources = self.kept.columns.iter().zip(&self.decoded);
        sources.map(|(source, decoded)| match source {
            ColumnSource::File(name) if *decoded => Form::Decoded(name),
            ColumnSource::File(name) => Form::Copied(name),
            ColumnSource::Made(place) => Form::Made(*place),
        })
    }

    /// Which fields, whose types in the plan are those of `planned`, have to be decoded; `None`
    /// if the plan gives other values than the files have.
    pub(super) fn decoded(&self, planned: &Schema) -> Result<Option<Vec<bool>>> {
        let mut decoded = vec![false; self.kept.columns.len()];
        let mut before: Option<&Group> = None;
        for group in self.partitions.iter().flatten() {
            let same = before.is_some_and(|b| Arc::ptr_eq(&b.metadata, &group.metadata));
            if !same && !self.decode_of(group, planned, &mut decoded)? {
                return Ok(None);
            }
            before = Some(group);
        }
        Ok(Some(decoded))
    }

    /// Finds the columns that have to be decoded for the sake of one file; whether its values
    /// are those of the plan.
    fn decode_of(
        &self,
        group: &Group,
        planned: &Schema,
        decoded: &mut [bool],
    ) -> Result<bool> {
        let of_file = group.metadata.file_metadata();
        let keys = of_file.key_value_metadata();
        let types = parquet_to_arrow_schema(of_file.schema_descr(), keys);
        let types = types.map_err(parquet_error)?;
        for (index, source) in self.kept.columns.iter().enumerate() {
            let ColumnSource::File(name) = source else {
                continue;
            };
            let Ok(field) = types.field_with_name(name) else {
                return Ok(false);
            };
            if !chunks_are_inside(group, name) {
                return Ok(false);
            }
            let of_table = self.schema.field(index).data_type();
            if field.data_type() == of_table && self.is_alike(group, name, index) {
                continue;
            }
            if field.data_type() != planned.field(index).data_type() {
                return Ok(false);
            }
            decoded[index] = true;
        }
        Ok(true)
    }

    /// Whether a file's column is written as the table's is.
    fn is_alike(&self, group: &Group, name: &str, index: usize) -> bool {
        let Some(leaf) = leaf(&group.metadata, name) else {
            return false;
        };
        let from = group.metadata.file_metadata().schema_descr().column(leaf);
        let [to] = &self.columns[self.leaves[index].clone()] else {
            return false;
        };
        from.physical_type() == to.physical_type()
            && from.type_length() == to.type_length()
            && from.max_def_level() == to.max_def_level()
            && from.max_rep_level() == to.max_rep_level()
    }
}

/// Whether the chunks of a column are where a file of that size can have them.
fn chunks_are_inside(group: &Group, name: &str) -> bool {
    let Some(leaf) = leaf(&group.metadata, name) else {
        return true;
    };
    let size = i64::try_from(group.file.object_meta.size).unwrap_or(i64::MAX);
    group.metadata.row_groups().iter().all(|of_file| {
        let chunk = of_file.column(leaf);
        let start = chunk.dictionary_page_offset();
        let start = start.unwrap_or_else(|| chunk.data_page_offset());
        let end = start.checked_add(chunk.compressed_size());
        start > 0 && end.is_some_and(|end| end <= size)
    })
}

/// The place of a column among a file's leaves; `None` if it has parts.
pub(super) fn leaf(metadata: &ParquetMetaData, name: &str) -> Option<usize> {
    let columns = metadata.file_metadata().schema_descr().columns();
    columns.iter().position(|column| {
        let parts = column.path().parts();
        parts.len() == 1 && parts[0] == name
    })
}

/// Which of `columns` each field has.
pub(super) fn leaves(schema: &SchemaRef, columns: &[ColumnDescPtr]) -> Vec<Range<usize>> {
    let mut from = 0;
    let leaves = schema.fields().iter().map(|field| {
        let of_field = columns[from..].iter();
        let of_field = of_field.take_while(|column| {
            let root = column.path().parts().first();
            root.is_some_and(|root| root == field.name())
        });
        let range = from..from + of_field.count();
        from = range.end;
        range
    });
    leaves.collect()
}
