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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The files' chunks are as the table's would be.
    Copied,
    /// The table has another type.
    Decoded,
    /// No column of files, but a place among those made.
    Made(usize),
}

/// A field of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) index: usize,
    pub(super) form: Form,
    /// In the files; none if it is made.
    pub(super) name: Option<&'a str>,
}

impl Splice {
    /// The table's fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = Column<'_>> {
        let forms = self.forms.iter().zip(&self.kept.columns).enumerate();
        forms.map(|(index, (form, source))| Column {
            index,
            form: *form,
            name: match source {
                ColumnSource::File(name) => Some(name),
                ColumnSource::Made(_) => None,
            },
        })
    }

    /// The form of each field, whose types in the plan are those of `planned`; `None` if the
    /// plan gives other values than the files have.
    pub(super) fn forms(&self, planned: &Schema) -> Result<Option<Vec<Form>>> {
        let sources = self.kept.columns.iter();
        let mut forms: Vec<Form> = sources
            .map(|source| match source {
                ColumnSource::File(_) => Form::Copied,
                ColumnSource::Made(place) => Form::Made(*place),
            })
            .collect();
        let mut before: Option<&Group> = None;
        for group in self.partitions.iter().flatten() {
            let same = before.is_some_and(|b| Arc::ptr_eq(&b.metadata, &group.metadata));
            if !same && !self.narrow(group, planned, &mut forms)? {
                return Ok(None);
            }
            before = Some(group);
        }
        Ok(Some(forms))
    }

    /// Finds the columns that have to be decoded for the sake of one file; whether its values
    /// are those of the plan.
    fn narrow(
        &self,
        group: &Group,
        planned: &Schema,
        forms: &mut [Form],
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
            forms[index] = Form::Decoded;
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
