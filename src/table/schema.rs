//! Arrow schemas and rows as Delta Lake can hold them.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit,
};
use datafusion::common::{DataFusionError, Result, exec_err, plan_err};

use crate::timestamp;

/// Characters that Delta Lake does not allow in a column's name.
const FORBIDDEN: &[char] = &[' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// The schema under which a query's result is committed: unsigned integers widened to
/// signed ones, timestamps to microseconds (UTC, also those without a zone), dictionaries and
/// views to plain strings, columns of nothing but nulls to strings, everything nullable; an
/// error names the column of a type Delta cannot hold.
pub(crate) fn committed_schema(schema: &SchemaRef) -> Result<SchemaRef> {
    if schema.fields().is_empty() {
        return plan_err!("a table needs at least one column, found none");
    }
    let mut names = BTreeSet::new();
    let fields = schema.fields().iter().map(|field| {
        let name = field.name();
        check_name(name)?;
        if !names.insert(name.to_lowercase()) {
            return plan_err!(
                "two columns are called `{name}` (Delta Lake does not tell cases apart)"
            );
        }
        let data_type = committed_type(field.data_type(), name)?;
        Ok(Field::new(name, data_type, true))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains(FORBIDDEN) {
        return plan_err!(
            "`{name}` cannot be a column's name in a Delta Lake table: expected no spaces, brackets and none of `,;=`; give it an alias (`… as name`)"
        );
    }
    Ok(())
}

fn committed_type(data_type: &DataType, column: &str) -> Result<DataType> {
    Ok(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32 => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Null | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, _) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
        }
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *precision <= 38 && *scale >= 0 =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, values) => committed_type(values, column)?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            DataType::List(committed_field(item, Some("element"), column)?)
        }
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|f| committed_field(f, None, column))
                .collect::<Result<_>>()?,
        ),
        other => {
            return plan_err!(
                "column `{column}` has the type `{other}`, which a Delta Lake table cannot hold; cast it (for example to varchar or bigint)"
            );
        }
    })
}

fn committed_field(field: &Field, name: Option<&str>, column: &str) -> Result<FieldRef> {
    let data_type = committed_type(field.data_type(), column)?;
    let name = name.unwrap_or(field.name());
    Ok(Arc::new(Field::new(name, data_type, true)))
}

/// `batch` with the types of `schema`; columns are matched by position.
pub(super) fn cast_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return exec_err!(
            "expected {} columns, found {}",
            schema.fields().len(),
            batch.num_columns()
        );
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(array, field)| {
            cast_column(array, field.data_type()).map_err(|e| {
                let column = field.name();
                e.context(format!("column `{column}` cannot be committed"))
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options);
    batch.map_err(DataFusionError::from)
}

/// `array` as a committed column of type `to`; a value that does not fit is an error.
pub(crate) fn cast_column(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (DataType::Timestamp(_, _), DataType::Timestamp(unit, zone)) => {
            timestamp::convert(array, *unit, zone.clone())
        }
        _ => {
            let options = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            Ok(cast_with_options(array, to, &options)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray, UInt64Array};
    use datafusion::arrow::datatypes::{Int64Type, IntervalUnit};

    use super::*;

    fn schema(data_type: DataType) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("c", data_type, false)]))
    }

    #[test]
    fn types_are_widened() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
        let text = Box::new(DataType::LargeUtf8);
        for (from, to) in [
            (DataType::UInt32, DataType::Int64),
            (DataType::Timestamp(TimeUnit::Nanosecond, None), utc),
            (
                DataType::Dictionary(Box::new(DataType::Int8), text),
                DataType::Utf8,
            ),
            (DataType::Null, DataType::Utf8),
        ] {
            let committed = committed_schema(&schema(from)).unwrap();
            assert_eq!(committed.field(0).data_type(), &to);
            assert!(committed.field(0).is_nullable());
        }
    }

    #[test]
    fn refusals_name_the_column() {
        for data_type in [
            DataType::Interval(IntervalUnit::DayTime),
            DataType::Time32(TimeUnit::Second),
        ] {
            let error = committed_schema(&schema(data_type)).unwrap_err();
            assert!(error.to_string().contains("column `c`"), "{error}");
        }
        let twice = Schema::new(vec![
            Field::new("a", DataType::Int8, true),
            Field::new("A", DataType::Int8, true),
        ]);
        assert!(committed_schema(&Arc::new(twice)).is_err());
        let bad = Schema::new(vec![Field::new("count(*)", DataType::Int64, true)]);
        let error = committed_schema(&Arc::new(bad)).unwrap_err();
        assert!(error.to_string().contains("alias"), "{error}");
    }

    #[test]
    fn values_that_do_not_fit_are_an_error() {
        let source = schema(DataType::UInt64);
        let to = committed_schema(&source).unwrap();
        let batch = |value: u64| {
            let array: ArrayRef = Arc::new(UInt64Array::from(vec![value]));
            RecordBatch::try_new(Arc::clone(&source), vec![array]).unwrap()
        };
        let cast = cast_batch(&batch(7), &to).unwrap();
        assert_eq!(cast.column(0).as_primitive::<Int64Type>().value(0), 7);
        let error = cast_batch(&batch(u64::MAX), &to).unwrap_err();
        assert!(error.to_string().contains("column `c`"), "{error}");
    }
}
