//! Values of types that no table holds, as text.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::common::{Result, exec_datafusion_err};

/// Lists, maps and structs as JSON, as a JSON file would hold them.
pub(super) fn json(array: &ArrayRef) -> Result<ArrayRef> {
    let array = cast(array, &with_text_keys(array.data_type()))?;
    let field: FieldRef = Arc::new(Field::new("value", array.data_type().clone(), true));
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(&field, &array, &options)?;
    let mut texts = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        let text = std::str::from_utf8(&text);
        texts.append_value(text.map_err(|e| exec_datafusion_err!("{e}"))?);
    }
    Ok(Arc::new(texts.finish()))
}

/// The keys of JSON's objects are texts.
fn with_text_keys(data_type: &DataType) -> DataType {
    let of = |field: &FieldRef| -> FieldRef {
        let below = with_text_keys(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(below))
    };
    match data_type {
        DataType::List(item) => DataType::List(of(item)),
        DataType::LargeList(item) => DataType::LargeList(of(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(of(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(of).collect()),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return data_type.clone();
            };
            let pair = pair.iter().enumerate().map(|(index, field)| match index {
                0 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
                _ => of(field),
            });
            let pair = DataType::Struct(pair.collect());
            let entries = entries.as_ref().clone().with_data_type(pair);
            DataType::Map(Arc::new(entries), *sorted)
        }
        other => other.clone(),
    }
}

/// Bytes of one length as hexadecimal digits: identifiers are written so.
pub(super) fn hex(array: &ArrayRef) -> ArrayRef {
    let bytes = array.as_fixed_size_binary();
    let digits = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut digits, byte| {
            // writing to a string cannot fail
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    };
    let texts: StringArray = bytes.iter().map(|value| value.map(digits)).collect();
    Arc::new(texts)
}
