//! Rows written in a unit test -> batches typed like the real thing.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use serde_json::{Map, Value};

use crate::csv::parse_csv;
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};

/// Rows as text, with the columns that were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The named columns, in order.
    pub(super) columns: Vec<String>,
    /// The rows; every row has one value a column.
    pub(super) rows: Vec<Vec<Option<String>>>,
}

/// `format: dict`. A column that a row does not name is null there.
pub(super) fn from_dict(rows: &[Map<String, Value>]) -> Result<Written> {
    let mut columns: Vec<String> = Vec::new();
    for name in rows.iter().flat_map(Map::keys) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let row = |row: &Map<String, Value>| {
        let value = |c: &String| row.get(c).map_or(Ok(None), |v| text(c, v));
        columns.iter().map(value).collect::<Result<Vec<_>>>()
    };
    let rows = rows.iter().map(row).collect::<Result<Vec<_>>>()?;
    Ok(Written { columns, rows })
}

/// `format: csv`. An empty field is null.
pub(super) fn from_csv(csv: &str) -> Result<Written> {
    let parsed = parse_csv(csv.trim_start(), ',').map_err(|e| {
        let message = format!("rows in CSV, line {}: {}", e.line, e.message);
        RunnerError::new(ErrorKind::Project, message)
    })?;
    let field = |f: Option<String>| f.filter(|f| !f.eq_ignore_ascii_case("null"));
    let row = |(_, fields): (usize, Vec<Option<String>>)| {
        fields.into_iter().map(field).collect()
    };
    Ok(Written {
        columns: parsed.header,
        rows: parsed.records.into_iter().map(row).collect(),
    })
}

fn text(column: &str, value: &Value) -> Result<Option<String>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(RunnerError::new(
            ErrorKind::Project,
            format!(
                "column `{column}`: lists and maps are not supported in `format: dict`; write the rows with `format: sql`"
            ),
        )),
    }
}

/// The rows with the types of `schema`. With `all`, columns that are not named are null;
/// without, only the named ones are there.
pub(super) fn typed(
    written: &Written,
    schema: &SchemaRef,
    all: bool,
) -> Result<RecordBatch> {
    for column in &written.columns {
        if schema.field_with_name(column).is_err() {
            return Err(unknown(column, schema));
        }
    }
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for field in schema.fields() {
        let index = written.columns.iter().position(|c| c == field.name());
        let array = match index {
            Some(index) => cast(written, index, field)?,
            None if all => new_null_array(field.data_type(), written.rows.len()),
            None => continue,
        };
        fields.push(Field::new(field.name(), field.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(written.rows.len()));
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new_with_options(schema, arrays, &options)
        .map_err(|e| RunnerError::new(ErrorKind::Internal, e.to_string()))
}

/// What is said of a column that is not there.
pub(super) fn unknown(column: &str, schema: &SchemaRef) -> RunnerError {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let message = format!("there is no column `{column}`; found {}", names.join(", "));
    let error = RunnerError::new(ErrorKind::Project, message);
    match did_you_mean(column, names) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn cast(written: &Written, index: usize, field: &Field) -> Result<ArrayRef> {
    let values: Vec<Option<&str>> = written
        .rows
        .iter()
        .map(|row| row.get(index).and_then(Option::as_deref))
        .collect();
    let column: StringArray = values.iter().copied().collect();
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let data_type = field.data_type();
    let array = cast_with_options(&column, data_type, &options).map_err(|e| {
        let message = format!(
            "column `{}`: a {data_type} cannot be written as text; write the rows with `format: sql`",
            field.name()
        );
        RunnerError::new(ErrorKind::Project, message).with_source(DataFusionError::from(e))
    })?;
    let lost = |row: &usize| column.is_valid(*row) && array.is_null(*row);
    if let Some(row) = (0..values.len()).find(lost) {
        let value = values.get(row).copied().flatten().unwrap_or_default();
        let message = format!(
            "row {}, column `{}`: expected a value of type {}, found `{value}`",
            row + 1,
            field.name(),
            data_type
        );
        return Err(RunnerError::new(ErrorKind::Project, message));
    }
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::DataType;
    use serde_json::json;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
        ]))
    }

    fn dict(value: &Value) -> Written {
        let rows = value.as_array().unwrap().iter();
        let rows: Vec<_> = rows.map(|r| r.as_object().unwrap().clone()).collect();
        from_dict(&rows).unwrap()
    }

    #[test]
    fn columns_that_are_not_named_are_null() {
        let batch =
            typed(&dict(&json!([{"id": 1}, {"id": "2"}])), &schema(), true).unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (2, 2));
        assert_eq!(batch.column(1).null_count(), 2);
    }

    #[test]
    fn a_wrong_value_names_row_and_column() {
        let error = typed(&dict(&json!([{"id": 1}, {"id": "x"}])), &schema(), true);
        assert_eq!(
            error.unwrap_err().message(),
            "row 2, column `id`: expected a value of type Int64, found `x`"
        );
    }

    #[test]
    fn an_unknown_column_has_a_suggestion() {
        let error = typed(&dict(&json!([{"nam": 1}])), &schema(), true).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `name`?"));
    }

    #[test]
    fn csv_rows_are_read() {
        let written = from_csv("id,name\n1,\n2,b\n").unwrap();
        assert_eq!(written.rows[0], [Some("1".to_owned()), None]);
        assert_eq!(typed(&written, &schema(), false).unwrap().num_rows(), 2);
    }
}
