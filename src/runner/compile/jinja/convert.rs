//! Functions that only turn one value into another: `zip`, `set`, `tojson`, …

use minijinja::value::{Kwargs, from_args};
use minijinja::{Error, ErrorKind as JinjaKind, Value};
use serde_json::Value as Json;

use super::functions::fail;
use crate::runner::compile::generic_tests::md5_hex;
use crate::runner::template::{from_json, new_list, to_json};

/// Functions that only turn one value into another.
pub(super) fn convert(name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "set" => {
            let (value, default): (Value, Option<Value>) = from_args(args)?;
            match unique(&value) {
                Ok(items) => Ok(items),
                Err(_) => Ok(default.unwrap_or_default()),
            }
        }
        "set_strict" => {
            let (value,): (Value,) = from_args(args)?;
            unique(&value)
        }
        "local_md5" => {
            let (text,): (&str,) = from_args(args)?;
            Ok(Value::from(md5_hex(text)))
        }
        "zip" | "zip_strict" => {
            let lists: Vec<Vec<Value>> = args
                .iter()
                .map(|list| list.try_iter().map(Iterator::collect))
                .collect::<Result<_, _>>()?;
            let length = lists.iter().map(Vec::len).min().unwrap_or(0);
            let rows = (0..length).map(|i| {
                Value::from(lists.iter().map(|l| l[i].clone()).collect::<Vec<_>>())
            });
            new_list(&Value::from(rows.collect::<Vec<_>>()))
        }
        "tojson" | "toyaml" => {
            let (value, _rest): (Value, Kwargs) = from_args(args)?;
            let json = to_json(&value)?;
            Ok(Value::from(json.to_string()))
        }
        "fromjson" | "fromyaml" => {
            let (text, default): (&str, Option<Value>) = from_args(args)?;
            let parsed: Result<Json, String> = if name == "fromjson" {
                serde_json::from_str(text).map_err(|e| e.to_string())
            } else {
                serde_saphyr::from_str(text).map_err(|e| e.to_string())
            };
            match (parsed, default) {
                (Ok(json), _) => Ok(from_json(&json)),
                (Err(_), Some(default)) => Ok(default),
                (Err(error), None) => Err(fail(format!("`{name}`: {error}"))),
            }
        }
        other => Err(Error::new(
            JinjaKind::UnknownFunction,
            format!("{other} is unknown"),
        )),
    }
}

/// The items of `value`, each once.
fn unique(value: &Value) -> Result<Value, Error> {
    let mut unique: Vec<Value> = Vec::new();
    for item in value.try_iter()? {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    new_list(&Value::from(unique))
}
