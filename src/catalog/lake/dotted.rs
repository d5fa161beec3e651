//! Fields of structs as columns: `context.page.url`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions::core::get_field;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_plan::PhysicalExpr;

use super::types::flat;

/// A file's columns with structs taken apart, of types that tables hold. A struct without
/// fields leaves nothing.
pub(super) fn flattened(file: &Schema) -> Result<Schema> {
    let mut fields: Vec<Field> = Vec::new();
    level(file.fields(), "", &mut fields);
    for (index, field) in fields.iter().enumerate() {
        if fields[..index].iter().any(|f| f.name() == field.name()) {
            let name = field.name();
            return plan_err!(
                "two columns are called `{name}` once structs are flattened"
            );
        }
    }
    Ok(Schema::new(fields))
}

fn level(fields: &Fields, above: &str, into: &mut Vec<Field>) {
    for field in fields {
        let name = format!("{above}{}", field.name());
        match field.data_type() {
            DataType::Struct(below) => level(below, &format!("{name}."), into),
            other => {
                let field = field.as_ref().clone().with_name(name);
                into.push(field.with_data_type(flat(other)).with_nullable(true));
            }
        }
    }
}

/// How the field that `name` means is read from a file, and its type; `folded`: also if it
/// alone differs by case only.
pub(super) fn read(
    file: &Schema,
    name: &str,
    folded: bool,
) -> Result<Option<(Arc<dyn PhysicalExpr>, DataType)>> {
    let exact = place(file.fields(), name, |a, b| a == b);
    let place = match exact {
        None if folded => place(file.fields(), name, |a, b| a.eq_ignore_ascii_case(b)),
        found => found,
    };
    let Some([first, rest @ ..]) = place.as_deref() else {
        return Ok(None);
    };
    let mut field = Arc::clone(&file.fields()[*first]);
    let mut value: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), *first));
    for index in rest {
        let DataType::Struct(fields) = field.data_type() else {
            return Ok(None);
        };
        let below = Arc::clone(&fields[*index]);
        let key = ScalarValue::Utf8(Some(below.name().clone()));
        let arguments = vec![value, Arc::new(Literal::new(key)) as _];
        let options = Arc::new(ConfigOptions::default());
        let of = ScalarFunctionExpr::try_new(get_field(), arguments, file, options)?;
        value = Arc::new(of);
        field = below;
    }
    Ok(Some((value, field.data_type().clone())))
}

/// The way down to the field of that name.
fn place(
    fields: &Fields,
    name: &str,
    same: impl Fn(&str, &str) -> bool + Copy,
) -> Option<Vec<usize>> {
    fields.iter().enumerate().find_map(|(index, field)| {
        let DataType::Struct(below) = field.data_type() else {
            return same(field.name(), name).then(|| vec![index]);
        };
        let (head, rest) = name.split_at_checked(field.name().len())?;
        let rest = rest.strip_prefix('.')?;
        let found = same(head, field.name()).then(|| place(below, rest, same))??;
        Some([vec![index], found].concat())
    })
}
