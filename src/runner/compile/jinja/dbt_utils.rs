//! `dbt_utils.…`: the helpers of that package that are built in, as DataFusion SQL.

use minijinja::value::{Kwargs, from_args};
use minijinja::{Error, ErrorKind, Value};

use super::relation::quote;

/// What `dbt_utils.…` offers.
pub(super) const NAMES: &[&str] = &[
    "generate_surrogate_key",
    "get_url_host",
    "get_url_parameter",
    "get_url_path",
    "group_by",
    "safe_add",
    "safe_divide",
    "safe_subtract",
    "star",
];

/// Calls a helper that needs nothing but its arguments; `None` if there is none.
pub(super) fn call(name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let sql = match name {
        "generate_surrogate_key" => {
            let fields = list("field_list", args)?;
            if fields.is_empty() {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "`dbt_utils.generate_surrogate_key` needs at least one column",
                ));
            }
            format!("surrogate_key({})", fields.join(", "))
        }
        "get_url_host" => url_host(&one("field", args)?),
        "get_url_path" => url_path(&one("field", args)?),
        "get_url_parameter" => {
            let (field, parameter) = two(("field", "url_parameter"), args)?;
            let marker = format!("{}=", parameter.replace('\'', "''"));
            format!("nullif(split_part(split_part({field}, '{marker}', 2), '&', 1), '')")
        }
        "group_by" => {
            let n: usize = one("n", args)?.parse().map_err(|_| {
                Error::new(
                    ErrorKind::InvalidOperation,
                    "`dbt_utils.group_by` expects a number of columns",
                )
            })?;
            let columns: Vec<String> = (1..=n).map(|i| i.to_string()).collect();
            format!("group by {}", columns.join(","))
        }
        "safe_divide" => {
            let (above, below) = two(("numerator", "denominator"), args)?;
            format!("(({above}) / nullif(({below}), 0))")
        }
        "safe_add" => sum(&list("field_list", args)?, "+"),
        "safe_subtract" => sum(&list("field_list", args)?, "-"),
        _ => return Ok(None),
    };
    Ok(Some(Value::from(sql)))
}

/// What stands before the first `/` and `?`, without the scheme.
fn url_host(field: &str) -> String {
    format!(
        "split_part(split_part(replace(replace(replace({field}, 'android-app://', ''), \
         'http://', ''), 'https://', ''), '/', 1), '?', 1)"
    )
}

/// What stands between the host's `/` and the first `?`.
fn url_path(field: &str) -> String {
    let stripped = format!("replace(replace({field}, 'http://', ''), 'https://', '')");
    format!(
        "split_part(case when strpos({stripped}, '/') = 0 then '' \
         else substr({stripped}, strpos({stripped}, '/') + 1) end, '?', 1)"
    )
}

fn sum(fields: &[String], operator: &str) -> String {
    let fields: Vec<String> =
        fields.iter().map(|f| format!("coalesce({f}, 0)")).collect();
    format!("({})", fields.join(&format!(" {operator} ")))
}

fn list(name: &str, args: &[Value]) -> Result<Vec<String>, Error> {
    let (fields, named): (Option<Value>, Kwargs) = from_args(args)?;
    let fields = match fields {
        Some(fields) => fields,
        None => named.get(name)?,
    };
    named.assert_all_used()?;
    if fields.as_str().is_some() {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("expected a list of columns, found `{fields}`"),
        ));
    }
    Ok(fields.try_iter()?.map(|f| f.to_string()).collect())
}

fn one(name: &str, args: &[Value]) -> Result<String, Error> {
    let (value, named): (Option<Value>, Kwargs) = from_args(args)?;
    let value = match value {
        Some(value) => value,
        None => named.get(name)?,
    };
    named.assert_all_used()?;
    Ok(value.to_string())
}

fn two(names: (&str, &str), args: &[Value]) -> Result<(String, String), Error> {
    let (first, second, named): (Option<Value>, Option<Value>, Kwargs) = from_args(args)?;
    let pick = |value: Option<Value>, name: &str| match value {
        Some(value) => Ok(value),
        None => named.get::<Value>(name),
    };
    let pair = (pick(first, names.0)?, pick(second, names.1)?);
    named.assert_all_used()?;
    Ok((pair.0.to_string(), pair.1.to_string()))
}

/// The arguments of `dbt_utils.star`.
#[derive(Debug)]
pub(super) struct Star {
    pub(super) from: Value,
    alias: Option<String>,
    except: Vec<String>,
    prefix: String,
    suffix: String,
    quoted: bool,
}

impl Star {
    pub(super) fn parse(args: &[Value]) -> Result<Self, Error> {
        let (from, named): (Option<Value>, Kwargs) = from_args(args)?;
        let from = match from {
            Some(from) => from,
            None => named.get("from")?,
        };
        let text = |name: &str| -> Result<Option<String>, Error> {
            let value: Option<Value> = named.get(name)?;
            let value = value.filter(|v| !v.is_none() && v.is_true());
            Ok(value.map(|v| v.to_string()))
        };
        let except: Option<Value> = named.get("except")?;
        let except = match except.filter(|v| !v.is_none()) {
            Some(columns) => columns.try_iter()?.map(|c| c.to_string()).collect(),
            None => Vec::new(),
        };
        let star = Self {
            alias: text("relation_alias")?,
            except,
            prefix: text("prefix")?.unwrap_or_default(),
            suffix: text("suffix")?.unwrap_or_default(),
            quoted: named
                .get::<Option<bool>>("quote_identifiers")?
                .unwrap_or(true),
            from,
        };
        named.assert_all_used()?;
        Ok(star)
    }

    /// The list of columns; `except` ignores case, as in dbt_utils.
    pub(super) fn sql(&self, columns: &[(String, String)]) -> String {
        let kept = columns.iter().filter(|(name, _)| {
            !self.except.iter().any(|e| e.eq_ignore_ascii_case(name))
        });
        let columns: Vec<String> = kept.map(|(name, _)| self.column(name)).collect();
        if columns.is_empty() {
            return "/* no columns */".to_owned();
        }
        columns.join(",\n  ")
    }

    fn column(&self, name: &str) -> String {
        let shown = |n: &str| if self.quoted { quote(n) } else { n.to_owned() };
        let alias = self
            .alias
            .as_ref()
            .map(|a| format!("{a}."))
            .unwrap_or_default();
        let column = format!("{alias}{}", shown(name));
        if self.prefix.is_empty() && self.suffix.is_empty() {
            return column;
        }
        let renamed = format!("{}{name}{}", self.prefix, self.suffix);
        format!("{column} as {}", shown(&renamed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_leaves_out_and_renames() {
        let kwargs = Kwargs::from_iter([
            ("except", Value::from(vec!["ID"])),
            ("prefix", Value::from("p_")),
            ("relation_alias", Value::from("t")),
        ]);
        let star = Star::parse(&[Value::from("x"), kwargs.into()]).unwrap();
        let columns = [("id", ""), ("a", "")].map(|(n, t)| (n.to_owned(), t.to_owned()));
        assert_eq!(star.sql(&columns), "t.\"a\" as \"p_a\"");
        assert_eq!(star.sql(&columns[..1]), "/* no columns */");
    }

    #[test]
    fn keys_and_urls() {
        let keys = call("generate_surrogate_key", &[Value::from(vec!["a", "b"])]);
        assert_eq!(keys.unwrap().unwrap().to_string(), "surrogate_key(a, b)");
        assert!(call("generate_surrogate_key", &[Value::from("a")]).is_err());
        let group = call("group_by", &[Value::from(3)]).unwrap().unwrap();
        assert_eq!(group.to_string(), "group by 1,2,3");
        assert!(call("pivot", &[]).unwrap().is_none());
    }
}
