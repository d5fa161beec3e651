//! `accepted_values`: values outside the list, and how often they occur. Nulls pass.

use serde_json::Value;

use super::{TestInput, column};
use crate::runner::error::{ErrorKind, Result, RunnerError};

pub(super) const ARGUMENTS: &[&str] = &["values", "quote"];

pub(super) fn sql(input: &TestInput<'_>) -> Result<String> {
    let column = column("accepted_values", input)?;
    let wrong = |expected: &str| {
        let message = format!("data test `accepted_values` expects {expected}");
        RunnerError::new(ErrorKind::Project, message)
    };
    let values = input.arguments.get("values").and_then(Value::as_array);
    let values = values
        .filter(|v| !v.is_empty())
        .ok_or_else(|| wrong("a list for `values`"))?;
    let quoted = match input.arguments.get("quote") {
        None => true,
        Some(Value::Bool(quote)) => *quote,
        Some(other) => {
            return Err(wrong(&format!(
                "true or false for `quote`, found `{other}`"
            )));
        }
    };
    let literals: Vec<String> = values.iter().map(|v| literal(v, quoted)).collect();
    Ok(format!(
        "select {column} as value_field, count(*) as n_records from {} \
         where {column} not in ({}) group by {column}",
        input.relation,
        literals.join(", ")
    ))
}

fn literal(value: &Value, quoted: bool) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if quoted {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        text
    }
}
