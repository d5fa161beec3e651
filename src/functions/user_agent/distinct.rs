//! The distinct texts of a column, and which of them each row has.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{HashMap, Result, internal_err};

use super::super::text::TextColumn;

/// The texts of `array`, each once, and for each row its place among them; null for null.
/// Of a dictionary, only the values that a row has.
pub(super) fn distinct(array: &ArrayRef) -> Result<(Vec<&str>, UInt32Array)> {
    let mut texts = Texts::default();
    let Some(dictionary) = array.as_any_dictionary_opt() else {
        let column = TextColumn::try_new(array)?;
        let rows = (0..array.len()).map(|row| texts.place(column.get(row)?));
        let places = rows.collect();
        return Ok((texts.seen, places));
    };
    let column = TextColumn::try_new(dictionary.values())?;
    let keys = cast(dictionary.keys(), &DataType::Int64)?;
    let mut placed: Vec<Option<u32>> = vec![None; dictionary.values().len()];
    let mut places = Vec::with_capacity(array.len());
    for key in keys.as_primitive::<Int64Type>() {
        let Some(key) = key else {
            places.push(None);
            continue;
        };
        let slot = usize::try_from(key).ok();
        let Some(slot) = slot.filter(|slot| *slot < placed.len()) else {
            return internal_err!("a dictionary has no value {key}");
        };
        if placed[slot].is_none() {
            placed[slot] = column.get(slot).and_then(|text| texts.place(text));
        }
        places.push(placed[slot]);
    }
    Ok((texts.seen, UInt32Array::from(places)))
}

#[derive(Debug, Default)]
struct Texts<'a> {
    seen: Vec<&'a str>,
    places: HashMap<&'a str, u32>,
}

impl<'a> Texts<'a> {
    /// Its place; a batch has fewer rows than places can be counted.
    fn place(&mut self, text: &'a str) -> Option<u32> {
        if let Some(place) = self.places.get(text) {
            return Some(*place);
        }
        let place = u32::try_from(self.seen.len()).ok()?;
        self.seen.push(text);
        self.places.insert(text, place);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::StringArray;

    use super::*;

    fn texts() -> ArrayRef {
        let texts = [Some("a"), None, Some("b"), Some("a"), Some("")];
        Arc::new(StringArray::from(texts.to_vec()))
    }

    #[test]
    fn each_text_is_there_once() {
        let array = texts();
        let (texts, places) = distinct(&array).unwrap();
        assert_eq!(texts, ["a", "b", ""]);
        let expected = [Some(0), None, Some(1), Some(0), Some(2)];
        assert_eq!(places.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn of_a_dictionary_only_what_rows_have() {
        for key in [DataType::Int8, DataType::UInt64] {
            let dictionary =
                DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8));
            let array = cast(&texts(), &dictionary).unwrap().slice(1, 2);
            let (texts, places) = distinct(&array).unwrap();
            assert_eq!(texts, ["b"]);
            assert_eq!(places.iter().collect::<Vec<_>>(), [None, Some(0)]);
            let empty = array.slice(0, 0);
            assert_eq!(distinct(&empty).unwrap().0.len(), 0);
        }
    }
}
