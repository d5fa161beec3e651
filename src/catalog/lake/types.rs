//! Column types of a lake: what differing files have in common, what users declare.

use std::sync::Arc;

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::prelude::SessionContext;

use crate::timestamp::per_second;

/// The type with dictionaries, views and long offsets taken off, and one name for UTC.
pub(super) fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Timestamp(unit, Some(zone)) if is_utc(zone) => {
            DataType::Timestamp(*unit, Some(utc()))
        }
        other => other.clone(),
    }
}

/// The type that a column of a flattened file has: one that tables hold and that SQL turns into
/// text. Nothing that it holds is lost on the way (see [`super::text`]).
pub(super) fn flat(data_type: &DataType) -> DataType {
    match plain(data_type) {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            let below = plain(item.data_type());
            match below.is_nested() || flat(&below) != below {
                true => DataType::Utf8,
                false => DataType::new_list(below, true),
            }
        }
        DataType::Decimal256(precision, scale) if precision <= 38 => {
            DataType::Decimal128(precision, scale)
        }
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Decimal256(_, _)
        | DataType::FixedSizeBinary(_) => DataType::Utf8,
        other if other.is_nested() => DataType::Utf8,
        other => other,
    }
}

fn is_utc(zone: &str) -> bool {
    let names = ["utc", "z", "+00:00", "+00", "etc/utc", "gmt"];
    names.iter().any(|name| zone.eq_ignore_ascii_case(name))
}

fn utc() -> Arc<str> {
    Arc::from("UTC")
}

/// The narrowest type that holds both; `None` if there is none.
pub(super) fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    let (a, b) = (plain(a), plain(b));
    Some(match (&a, &b) {
        _ if a == b => a,
        (DataType::Null, _) => b,
        (_, DataType::Null) => a,
        _ if a.is_integer() && b.is_integer() => common_integer(a, b),
        _ if a.is_numeric() && b.is_numeric() => {
            let fractions = [&a, &b].iter().any(|t| t.is_floating());
            if fractions {
                DataType::Float64
            } else {
                DataType::Decimal128(38, scale(&a).max(scale(&b)))
            }
        }
        (DataType::Timestamp(left, x), DataType::Timestamp(right, y)) => {
            let finer = if per_second(*left) >= per_second(*right) {
                *left
            } else {
                *right
            };
            let zone = if x == y { x.clone() } else { Some(utc()) };
            DataType::Timestamp(finer, zone)
        }
        // `true` in one file and 1 in another
        (DataType::Boolean, other) | (other, DataType::Boolean) if other.is_numeric() => {
            DataType::Utf8
        }
        (DataType::Date32, DataType::Timestamp(_, _)) => b,
        (DataType::Timestamp(_, _), DataType::Date32) => a,
        (DataType::Utf8, other) | (other, DataType::Utf8) if !other.is_nested() => {
            DataType::Utf8
        }
        _ => return None,
    })
}

fn common_integer(a: DataType, b: DataType) -> DataType {
    let wider = a.primitive_width() >= b.primitive_width();
    if a.is_signed_integer() == b.is_signed_integer() {
        return if wider { a } else { b };
    }
    DataType::Int64
}

fn scale(data_type: &DataType) -> i8 {
    match data_type {
        DataType::Decimal32(_, s)
        | DataType::Decimal64(_, s)
        | DataType::Decimal128(_, s)
        | DataType::Decimal256(_, s) => *s,
        _ => 0,
    }
}

/// The type of a SQL type's name. Timestamps are in microseconds, and with a zone in UTC,
/// whatever the session's time zone is.
pub(super) async fn declared(context: &SessionContext, text: &str) -> Result<DataType> {
    let name = text.trim().to_ascii_lowercase();
    let words: Vec<_> = name.split_whitespace().collect();
    let name = words.join(" ");
    let head = name.split('(').next().unwrap_or_default().trim_end();
    Ok(match (head, name.as_str()) {
        (_, "timestamp with time zone") | ("timestamptz", _) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(utc()))
        }
        (_, "timestamp" | "datetime" | "timestamp without time zone") => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        ("varchar" | "text" | "string" | "char" | "character varying" | "utf8", _) => {
            DataType::Utf8
        }
        (_, "bigint" | "int8" | "long" | "int64") => DataType::Int64,
        (_, "int" | "integer" | "int4" | "int32") => DataType::Int32,
        (_, "smallint" | "int2" | "int16") => DataType::Int16,
        (_, "tinyint") => DataType::Int8,
        (_, "double" | "double precision" | "float8" | "float64") => DataType::Float64,
        (_, "real" | "float" | "float4" | "float32") => DataType::Float32,
        (_, "boolean" | "bool") => DataType::Boolean,
        (_, "date") => DataType::Date32,
        _ => parsed(context, &name).await?,
    })
}

async fn parsed(context: &SessionContext, name: &str) -> Result<DataType> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " _(),<>[]:".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        return plan_err!("`{name}` is not a SQL type");
    }
    let sql = format!("SELECT CAST(NULL AS {name}) AS value");
    let plan = context.state().create_logical_plan(&sql).await;
    match plan {
        Ok(plan) => Ok(plain(plan.schema().field(0).data_type())),
        Err(e) => Err(e.context(format!("`{name}` is not a SQL type"))),
    }
}

/// Whether values of a file can be read as `to`; numbers are no instants.
pub(super) fn readable(from: &DataType, to: &DataType) -> bool {
    let from = plain(from);
    match (&from, to) {
        (from, to) if from == to => true,
        (from, DataType::Timestamp(_, _)) => {
            from.is_null()
                || from == &DataType::Utf8
                || matches!(from, DataType::Timestamp(_, _) | DataType::Date32)
        }
        (from, to) => can_cast_types(from, to),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Field;

    use super::*;

    #[test]
    fn types_in_common() {
        let stamp = |unit, zone: Option<&str>| {
            DataType::Timestamp(unit, zone.map(Arc::<str>::from))
        };
        let text = Box::new(DataType::LargeUtf8);
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), text);
        for (a, b, both) in [
            (DataType::Int8, DataType::Int32, DataType::Int32),
            (DataType::UInt16, DataType::Int8, DataType::Int64),
            (DataType::Int64, DataType::Float32, DataType::Float64),
            (dictionary, DataType::Utf8View, DataType::Utf8),
            (DataType::Null, DataType::Date32, DataType::Date32),
            (DataType::Int64, DataType::Utf8, DataType::Utf8),
            (
                stamp(TimeUnit::Second, None),
                stamp(TimeUnit::Nanosecond, Some("+00:00")),
                stamp(TimeUnit::Nanosecond, Some("UTC")),
            ),
            (
                stamp(TimeUnit::Millisecond, None),
                stamp(TimeUnit::Microsecond, None),
                stamp(TimeUnit::Microsecond, None),
            ),
        ] {
            assert_eq!(common(&a, &b), Some(both.clone()), "{a} {b}");
            assert_eq!(common(&b, &a), Some(both), "{b} {a}");
        }
        assert_eq!(common(&DataType::Boolean, &DataType::Date32), None);
    }

    #[test]
    fn flattened_columns_have_types_that_tables_hold() {
        let list = |item| DataType::new_list(item, true);
        let large = |item| DataType::LargeList(Arc::new(Field::new("item", item, true)));
        let pair =
            || DataType::Struct(vec![Field::new("a", DataType::Utf8, true)].into());
        let stamp = DataType::Timestamp(TimeUnit::Millisecond, None);
        for (found, expected) in [
            (DataType::Int8, DataType::Int8),
            (DataType::Binary, DataType::Binary),
            (DataType::Time64(TimeUnit::Nanosecond), DataType::Utf8),
            (DataType::Duration(TimeUnit::Second), DataType::Utf8),
            (DataType::FixedSizeBinary(16), DataType::Utf8),
            (DataType::Decimal256(60, 2), DataType::Utf8),
            (DataType::Decimal256(20, 2), DataType::Decimal128(20, 2)),
            (DataType::UInt64, DataType::Decimal128(20, 0)),
            (DataType::Date64, stamp),
            (large(DataType::LargeUtf8), list(DataType::Utf8)),
            (list(DataType::Time32(TimeUnit::Second)), DataType::Utf8),
            (list(list(DataType::Int64)), DataType::Utf8),
            (list(pair()), DataType::Utf8),
        ] {
            assert_eq!(flat(&found), expected, "{found}");
        }
    }

    #[tokio::test]
    async fn declared_types_do_not_depend_on_the_session() {
        let context = SessionContext::new();
        let sql = "SET datafusion.execution.time_zone = 'America/New_York'";
        context.sql(sql).await.unwrap();
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some(utc()));
        for (text, expected) in [
            ("TIMESTAMP WITH  TIME ZONE", utc.clone()),
            ("timestamptz", utc),
            ("varchar(20)", DataType::Utf8),
            ("decimal(10, 2)", DataType::Decimal128(10, 2)),
        ] {
            assert_eq!(declared(&context, text).await.unwrap(), expected, "{text}");
        }
        for text in ["banana", "int); drop", ""] {
            let error = declared(&context, text).await.unwrap_err();
            assert!(error.to_string().contains("not a SQL type"), "{error}");
        }
    }
}
