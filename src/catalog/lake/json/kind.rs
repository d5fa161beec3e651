//! What the records of a file hold: a type a field that every one of its values fits.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, plan_err};

use super::scan::{entries, items, unquoted};

/// Marks a field of whole numbers that a double would round.
const LONG: &str = "sessionize.long";
/// A double holds every whole number up to here.
const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

/// Whether a field of a file holds whole numbers that a double would round.
pub(in super::super) fn is_long(field: &Field) -> bool {
    field.metadata().contains_key(LONG)
}

/// What the values of a field have in common.
#[derive(Debug)]
enum Kind {
    Null,
    Boolean,
    Integer,
    /// Whole numbers of which a double would round some.
    Long,
    Number,
    Text,
    Object(Columns),
    List(Box<Self>),
    /// Objects or lists, and other things.
    Mixed,
}

/// The fields of objects, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Columns {
    fields: Vec<(String, Kind)>,
    /// By key as it is written.
    places: HashMap<Vec<u8>, usize>,
}

impl Columns {
    /// Takes the fields of one more object into account.
    pub(super) fn see(&mut self, object: &[u8]) -> Result<()> {
        for (key, value) in entries(object) {
            let place = match self.places.get(key) {
                Some(place) => *place,
                None => self.add(key)?,
            };
            self.fields[place].1.see(value)?;
        }
        Ok(())
    }

    fn add(&mut self, key: &[u8]) -> Result<usize> {
        let Some(name) = unquoted(key) else {
            let key = String::from_utf8_lossy(key);
            return plan_err!("the key {key} is no text");
        };
        // the same name may be written with other escapes
        let known = self.fields.iter().position(|(known, _)| *known == name);
        let place = known.unwrap_or(self.fields.len());
        if known.is_none() {
            self.fields.push((name, Kind::Null));
        }
        self.places.insert(key.to_owned(), place);
        Ok(place)
    }

    /// The fields with their types.
    pub(super) fn fields(&self) -> Result<Fields> {
        let fields = self.fields.iter().map(|(name, kind)| {
            let data_type = kind.data_type(name)?;
            let field = Field::new(name, data_type, true);
            Ok(match kind {
                Kind::Long => field.with_metadata([(LONG.into(), String::new())].into()),
                _ => field,
            })
        });
        fields.collect()
    }
}

impl Kind {
    fn see(&mut self, value: &[u8]) -> Result<()> {
        let seen = match value.first() {
            Some(b'n') | None => return Ok(()),
            Some(b'{') => return self.see_object(value),
            Some(b'[') => return self.see_list(value),
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Boolean,
            Some(_) => number(value),
        };
        let kept = match (&*self, seen) {
            (Self::Null, seen) => seen,
            (Self::Text, _) => return Ok(()),
            (Self::Object(_) | Self::List(_) | Self::Mixed, _) => Self::Mixed,
            (Self::Boolean, Self::Boolean) => Self::Boolean,
            (Self::Integer, Self::Integer) => Self::Integer,
            (Self::Integer | Self::Long, Self::Integer | Self::Long) => Self::Long,
            (Self::Integer | Self::Number, Self::Integer | Self::Number) => Self::Number,
            _ => Self::Text,
        };
        *self = kept;
        Ok(())
    }

    fn see_object(&mut self, value: &[u8]) -> Result<()> {
        if matches!(self, Self::Null) {
            *self = Self::Object(Columns::default());
        }
        match self {
            Self::Object(columns) => columns.see(value)?,
            other => *other = Self::Mixed,
        }
        Ok(())
    }

    fn see_list(&mut self, value: &[u8]) -> Result<()> {
        if matches!(self, Self::Null) {
            *self = Self::List(Box::new(Self::Null));
        }
        match self {
            Self::List(kind) => items(value).try_for_each(|item| kind.see(item))?,
            other => *other = Self::Mixed,
        }
        Ok(())
    }

    fn data_type(&self, name: &str) -> Result<DataType> {
        Ok(match self {
            Self::Null => DataType::Null,
            Self::Boolean => DataType::Boolean,
            Self::Integer | Self::Long => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Object(columns) => DataType::Struct(columns.fields()?),
            Self::List(kind) => DataType::new_list(kind.data_type(name)?, true),
            Self::Mixed => {
                return plan_err!(
                    "the field `{name}` holds an object or a list in one record and something else in another; set `flatten: true` in the source's `config`"
                );
            }
        })
    }
}

/// Whole numbers of 64 bits, other numbers, and those that no number type holds.
fn number(value: &[u8]) -> Kind {
    let text = std::str::from_utf8(value).unwrap_or_default();
    if !value.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) {
        return match text.parse::<i64>() {
            Ok(whole) if whole.unsigned_abs() <= EXACT => Kind::Integer,
            Ok(_) => Kind::Long,
            Err(_) => Kind::Text,
        };
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Kind::Number,
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(objects: &[&str]) -> Result<Vec<(String, DataType)>> {
        let mut columns = Columns::default();
        for object in objects {
            columns.see(object.as_bytes())?;
        }
        let fields = columns.fields()?;
        let pairs = fields.iter();
        Ok(pairs
            .map(|f| (f.name().clone(), f.data_type().clone()))
            .collect())
    }

    #[test]
    fn a_type_holds_every_value_whatever_their_order() {
        let cases = [
            ("1", "2", DataType::Int64),
            ("1", "1.5", DataType::Float64),
            ("1", "\"a\"", DataType::Utf8),
            ("1", "9007199254740993", DataType::Int64),
            ("1.5", "9007199254740992", DataType::Float64),
            ("1.5", "9007199254740993", DataType::Utf8),
            ("1.5", "-9223372036854775808", DataType::Utf8),
            ("true", "1", DataType::Utf8),
            ("null", "true", DataType::Boolean),
            ("null", "null", DataType::Null),
            ("1", "92233720368547758080", DataType::Utf8),
            ("1.5", "1e400", DataType::Utf8),
            ("[1]", "[1.5]", DataType::new_list(DataType::Float64, true)),
        ];
        for (a, b, expected) in cases {
            for (a, b) in [(a, b), (b, a)] {
                let objects = [format!("{{\"x\":{a}}}"), format!("{{\"x\": {b} }}")];
                let found = types(&[&objects[0], &objects[1]]).unwrap();
                assert_eq!(found, [("x".to_owned(), expected.clone())], "{a} {b}");
            }
        }
    }

    #[test]
    fn keys_are_one_field_however_they_are_written() {
        let found = types(&[r#"{"é": 1, "b": {"c": 1}}"#, r#"{"\u00e9": 2}"#]).unwrap();
        let inner = DataType::Struct(vec![Field::new("c", DataType::Int64, true)].into());
        let expected = [("é".to_owned(), DataType::Int64), ("b".to_owned(), inner)];
        assert_eq!(found, expected);
        for mixed in [["{\"x\":{}}", "{\"x\":1}"], ["{\"x\":[]}", "{\"x\":{}}"]] {
            let error = types(&mixed).unwrap_err().to_string();
            assert!(
                error.contains("`x`") && error.contains("flatten"),
                "{error}"
            );
        }
        assert!(types(&[r#"{"\ud800": 1}"#]).is_err());
    }
}
