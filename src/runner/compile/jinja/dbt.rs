//! `dbt.…`: dbt's cross-database helpers, as DataFusion SQL.

use minijinja::value::{Kwargs, from_args};
use minijinja::{Error, ErrorKind, Value};

/// What `dbt.…` offers.
pub(super) const NAMES: &[&str] = &[
    "any_value",
    "array_append",
    "array_concat",
    "array_construct",
    "bool_or",
    "cast",
    "cast_bool_to_text",
    "concat",
    "current_timestamp",
    "current_timestamp_backcompat",
    "current_timestamp_in_utc_backcompat",
    "date",
    "date_spine",
    "date_trunc",
    "dateadd",
    "datediff",
    "equals",
    "escape_single_quotes",
    "except",
    "hash",
    "intersect",
    "last_day",
    "length",
    "listagg",
    "position",
    "replace",
    "right",
    "safe_cast",
    "split_part",
    "string_literal",
    "type_bigint",
    "type_boolean",
    "type_float",
    "type_int",
    "type_numeric",
    "type_string",
    "type_timestamp",
];

/// The arguments of a helper, by position or by name.
struct Arguments<'a> {
    helper: &'a str,
    positional: Vec<Value>,
    named: Kwargs,
}

impl Arguments<'_> {
    fn optional(&self, index: usize, name: &str) -> Result<Option<String>, Error> {
        if let Some(value) = self.positional.get(index) {
            return Ok(Some(value.to_string()));
        }
        let value: Option<Value> = self.named.get(name)?;
        Ok(value.filter(|v| !v.is_none()).map(|v| v.to_string()))
    }

    fn text(&self, index: usize, name: &str) -> Result<String, Error> {
        self.optional(index, name)?.ok_or_else(|| {
            Error::new(
                ErrorKind::MissingArgument,
                format!("`dbt.{}` needs the argument `{name}`", self.helper),
            )
        })
    }
}

/// Calls the helper `name`; `None` if there is none of that name.
pub(super) fn call(name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    if !NAMES.contains(&name) {
        return Ok(None);
    }
    if matches!(name, "concat" | "array_construct") {
        return over_list(name, args).map(Some);
    }
    let (positional, named): (Vec<Value>, Kwargs) = split(args)?;
    let arguments = Arguments {
        helper: name,
        positional,
        named,
    };
    let sql = match type_name(name) {
        Some(sql) => sql.to_owned(),
        None => match dates(name, &arguments)? {
            Some(sql) => sql,
            None => texts(name, &arguments)?,
        },
    };
    arguments.named.assert_all_used()?;
    Ok(Some(Value::from(sql)))
}

fn split(args: &[Value]) -> Result<(Vec<Value>, Kwargs), Error> {
    let named = args.last().filter(|last| last.is_kwargs());
    let positional = &args[..args.len() - usize::from(named.is_some())];
    let (named,): (Kwargs,) = from_args(&args[positional.len()..])?;
    Ok((positional.to_vec(), named))
}

/// The helpers that take a list.
fn over_list(name: &str, args: &[Value]) -> Result<Value, Error> {
    let (positional, named) = split(args)?;
    let argument = if name == "concat" { "fields" } else { "inputs" };
    let items: Option<Value> = match positional.first() {
        Some(items) => Some(items.clone()),
        None => named.get(argument)?,
    };
    let items = match items {
        Some(items) => items.try_iter()?.map(|f| f.to_string()).collect(),
        None => Vec::new(),
    };
    Ok(Value::from(match name {
        "concat" => items.join(" || "),
        _ => format!("make_array({})", items.join(", ")),
    }))
}

fn type_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "type_string" => "varchar",
        "type_timestamp" => "timestamp",
        "type_int" => "int",
        "type_bigint" => "bigint",
        "type_float" => "double",
        "type_numeric" => "decimal(28, 6)",
        "type_boolean" => "boolean",
        _ => return None,
    })
}

fn dates(name: &str, a: &Arguments<'_>) -> Result<Option<String>, Error> {
    Ok(Some(match name {
        "current_timestamp"
        | "current_timestamp_backcompat"
        | "current_timestamp_in_utc_backcompat" => "now()".to_owned(),
        "datediff" => datediff(
            &a.text(0, "first_date")?,
            &a.text(1, "second_date")?,
            &a.text(2, "datepart")?,
        )?,
        "dateadd" => {
            let (part, interval) = (a.text(0, "datepart")?, a.text(1, "interval")?);
            dateadd(&part, &interval, &a.text(2, "from_date_or_timestamp")?)?
        }
        "date_spine" => date_spine(a)?,
        "date_trunc" => {
            let (part, date) = (a.text(0, "datepart")?, a.text(1, "date")?);
            format!("date_trunc('{}', {date})", unit(&part)?)
        }
        "last_day" => {
            let (date, part) = (a.text(0, "date")?, a.text(1, "datepart")?);
            let unit = unit(&part)?;
            let step = step(&unit);
            format!(
                "cast(date_trunc('{unit}', {date}) + interval '{step}' \
                 - interval '1 day' as date)"
            )
        }
        "date" => {
            let part = |i, n| a.text(i, n);
            let (y, m, d) = (part(0, "year")?, part(1, "month")?, part(2, "day")?);
            format!("make_date({y}, {m}, {d})")
        }
        _ => return Ok(None),
    }))
}

fn texts(name: &str, a: &Arguments<'_>) -> Result<String, Error> {
    Ok(match name {
        "split_part" => {
            let (text, delimiter) =
                (a.text(0, "string_text")?, a.text(1, "delimiter_text")?);
            let number = a.text(2, "part_number")?;
            format!("split_part({text}, {delimiter}, {number})")
        }
        "safe_cast" => {
            format!(
                "try_cast({} as {})",
                a.text(0, "field")?,
                a.text(1, "type")?
            )
        }
        "cast" => format!("cast({} as {})", a.text(0, "field")?, a.text(1, "type")?),
        "length" => format!("character_length({})", a.text(0, "expression")?),
        "replace" => {
            let (field, old) = (a.text(0, "field")?, a.text(1, "old_chars")?);
            format!("replace({field}, {old}, {})", a.text(2, "new_chars")?)
        }
        "hash" => format!("md5(cast({} as varchar))", a.text(0, "field")?),
        "any_value" => format!("first_value({})", a.text(0, "expression")?),
        "bool_or" => format!("bool_or({})", a.text(0, "expression")?),
        "string_literal" => format!("'{}'", a.text(0, "value")?),
        "escape_single_quotes" => a.text(0, "expression")?.replace('\'', "''"),
        "equals" => {
            let (one, other) = (a.text(0, "expr1")?, a.text(1, "expr2")?);
            format!("({one} is not distinct from {other})")
        }
        "array_append" => {
            let (array, element) = (a.text(0, "array")?, a.text(1, "new_element")?);
            format!("array_append({array}, {element})")
        }
        "array_concat" => {
            let (one, other) = (a.text(0, "array_1")?, a.text(1, "array_2")?);
            format!("array_concat({one}, {other})")
        }
        "right" => {
            format!(
                "right({}, {})",
                a.text(0, "string_text")?,
                a.text(1, "length_expression")?
            )
        }
        "position" => {
            let (part, text) = (a.text(0, "substring_text")?, a.text(1, "string_text")?);
            format!("strpos({text}, {part})")
        }
        "cast_bool_to_text" => format!("cast({} as varchar)", a.text(0, "field")?),
        "listagg" => listagg(a)?,
        other => other.to_owned(),
    })
}

fn listagg(a: &Arguments<'_>) -> Result<String, Error> {
    let measure = a.text(0, "measure")?;
    let delimiter = a
        .optional(1, "delimiter_text")?
        .unwrap_or_else(|| "','".to_owned());
    let order = a.optional(2, "order_by_clause")?;
    let order = order.map_or_else(String::new, |o| format!(" {o}"));
    if let Some(limit) = a.optional(3, "limit_num")? {
        return Ok(format!(
            "array_to_string(array_slice(array_agg({measure}{order}), 1, {limit}), \
             {delimiter})"
        ));
    }
    Ok(format!("string_agg({measure}, {delimiter}{order})"))
}

/// One `unit` as an interval.
fn step(unit: &str) -> String {
    match unit {
        "quarter" => "3 month".to_owned(),
        unit => format!("1 {unit}"),
    }
}

/// An interval cannot be multiplied in SQL here, so it is written as text. A text that is
/// written out is a time, and a date to which hours are added becomes one, as in dbt's
/// databases.
fn dateadd(part: &str, interval: &str, from: &str) -> Result<String, Error> {
    let unit = unit(part)?;
    let of_days = matches!(unit.as_str(), "day" | "week" | "month" | "quarter" | "year");
    let from = match (from.trim().starts_with('\''), of_days) {
        (true, _) => format!("cast({from} as timestamp)"),
        (false, true) => from.to_owned(),
        (false, false) => format!("date_trunc('microsecond', {from})"),
    };
    let number = format!("cast(({interval}) as int)");
    let (number, unit) = match unit.as_str() {
        "quarter" => (format!("{number} * 3"), "month"),
        unit => (number, unit),
    };
    Ok(format!(
        "({from} + cast(cast({number} as varchar) || ' {unit}' as interval))"
    ))
}

/// One row for each `datepart` from `start_date` up to, and without, `end_date`.
fn date_spine(a: &Arguments<'_>) -> Result<String, Error> {
    let unit = unit(&a.text(0, "datepart")?)?;
    let (start, end) = (a.text(1, "start_date")?, a.text(2, "end_date")?);
    Ok(format!(
        "select unnest(range(cast({start} as timestamp), cast({end} as timestamp), \
         interval '{}')) as date_{unit}",
        step(&unit)
    ))
}

const UNITS: &[&str] = &[
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
];

fn unit(part: &str) -> Result<String, Error> {
    let unit = part.trim().trim_matches('\'').to_lowercase();
    let unit = unit.strip_suffix('s').unwrap_or(&unit).to_owned();
    if UNITS.contains(&unit.as_str()) {
        return Ok(unit);
    }
    let message = format!(
        "`{part}` is no date part; supported: `{}`",
        UNITS.join("`, `")
    );
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// dbt's `datediff` counts the boundaries of `part` that lie between the two times.
fn datediff(first: &str, second: &str, part: &str) -> Result<String, Error> {
    let unit = unit(part)?;
    let time = |date: &str| format!("cast(({date}) as timestamp)");
    let counted = |date: &str| match unit.as_str() {
        "year" => format!("date_part('year', {})", time(date)),
        "quarter" | "month" => {
            let (name, per_year) = if unit == "month" {
                ("month", 12)
            } else {
                ("quarter", 4)
            };
            let t = time(date);
            format!("(date_part('year', {t}) * {per_year} + date_part('{name}', {t}))")
        }
        "microsecond" => format!("floor(date_part('epoch', {}) * 1000000)", time(date)),
        "millisecond" => format!("floor(date_part('epoch', {}) * 1000)", time(date)),
        _ => {
            let t = format!("date_trunc('{unit}', {})", time(date));
            format!("floor(date_part('epoch', {t}) / {})", seconds(&unit))
        }
    };
    Ok(format!(
        "(cast({} as bigint) - cast({} as bigint))",
        counted(second),
        counted(first)
    ))
}

fn seconds(unit: &str) -> u32 {
    match unit {
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        "week" => 604_800,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, args: &[&str]) -> String {
        let args: Vec<Value> = args.iter().map(|a| Value::from(*a)).collect();
        call(name, &args).unwrap().unwrap().to_string()
    }

    #[test]
    fn helpers_write_datafusion_sql() {
        let sql = run("datediff", &["a", "b", "seconds"]);
        assert_eq!(
            sql,
            "(cast(floor(date_part('epoch', date_trunc('second', cast((b) as timestamp))) / 1) \
             as bigint) - cast(floor(date_part('epoch', date_trunc('second', \
             cast((a) as timestamp))) / 1) as bigint))"
        );
        assert_eq!(
            run("split_part", &["x", "'/'", "1"]),
            "split_part(x, '/', 1)"
        );
        assert_eq!(run("type_string", &[]), "varchar");
        assert!(call("pivot", &[]).unwrap().is_none());
        let error = call("dateadd", &[Value::from("eon")]).unwrap_err();
        assert!(error.to_string().contains("`interval`"), "{error}");
    }
}
