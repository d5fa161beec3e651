//! Lists and maps that templates can change, and the way between JSON and template values.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use serde_json::Value as Json;

/// A changeable list of the items of `value`.
pub(crate) fn new_list(value: &Value) -> Result<Value, Error> {
    let items = value.try_iter()?.collect();
    Ok(Value::from_object(List(Mutex::new(items))))
}

/// A changeable map of the entries of `value`.
pub(crate) fn new_map(value: &Value) -> Result<Value, Error> {
    Ok(Value::from_object(Dict(Mutex::new(entries(value)?))))
}

/// A template value for JSON; lists and maps are changeable copies.
pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Array(items) => {
            let items = items.iter().map(from_json).collect();
            Value::from_object(List(Mutex::new(items)))
        }
        Json::Object(map) => {
            let entries = map
                .iter()
                .map(|(k, v)| (Value::from(k.as_str()), from_json(v)))
                .collect();
            Value::from_object(Dict(Mutex::new(entries)))
        }
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64()),
        },
    }
}

/// JSON for a template value; undefined becomes null.
pub(crate) fn to_json(value: &Value) -> Result<Json, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => match value.as_i64() {
            Some(number) if value.is_integer() => Json::from(number),
            _ => Json::from(f64::try_from(value.clone())?),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.map(|item| to_json(&item));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        ValueKind::Map => {
            let pairs = entries(value)?;
            let pairs = pairs.iter().map(|(k, v)| Ok((k.to_string(), to_json(v)?)));
            Json::Object(pairs.collect::<Result<_, Error>>()?)
        }
        _ => Json::String(value.to_string()),
    })
}

fn entries(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    value
        .try_iter()?
        .map(|key| value.get_item(&key).map(|item| (key, item)))
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct List(Mutex<Vec<Value>>);

impl List {
    fn position(&self, index: Option<i64>) -> Result<usize, Error> {
        let length = lock(&self.0).len();
        let index = index.unwrap_or(-1);
        let at = if index < 0 {
            index + length as i64
        } else {
            index
        };
        usize::try_from(at)
            .ok()
            .filter(|at| *at < length)
            .ok_or_else(|| {
                let message = format!("no item {index} in a list of {length}");
                Error::new(ErrorKind::InvalidOperation, message)
            })
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        lock(&self.0).get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(lock(&self.0).len())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "append" => {
                let (item,): (Value,) = from_args(args)?;
                lock(&self.0).push(item);
            }
            "extend" => {
                let (items,): (Value,) = from_args(args)?;
                let items: Vec<Value> = items.try_iter()?.collect();
                lock(&self.0).extend(items);
            }
            "insert" => {
                let (at, item): (usize, Value) = from_args(args)?;
                let mut list = lock(&self.0);
                let at = at.min(list.len());
                list.insert(at, item);
            }
            "pop" => {
                let (index,): (Option<i64>,) = from_args(args)?;
                let at = self.position(index)?;
                return Ok(lock(&self.0).remove(at));
            }
            "remove" => {
                let (item,): (Value,) = from_args(args)?;
                let found = lock(&self.0).iter().position(|i| *i == item);
                let Some(at) = found else {
                    let message = format!("`{item}` is not in the list");
                    return Err(Error::new(ErrorKind::InvalidOperation, message));
                };
                lock(&self.0).remove(at);
            }
            "reverse" => lock(&self.0).reverse(),
            "clear" => lock(&self.0).clear(),
            "copy" => {
                let items = lock(&self.0).clone();
                return Ok(Value::from_object(Self(Mutex::new(items))));
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(Value::from(()))
    }
}

#[derive(Debug)]
struct Dict(Mutex<Vec<(Value, Value)>>);

impl Dict {
    fn set(&self, key: Value, value: Value) {
        let mut entries = lock(&self.0);
        match entries.iter_mut().find(|(k, _)| *k == key) {
            Some(entry) => entry.1 = value,
            None => entries.push((key, value)),
        }
    }

    fn update(&self, args: &[Value]) -> Result<(), Error> {
        let (other, named): (Option<Value>, Kwargs) = from_args(args)?;
        if let Some(other) = other {
            for (key, value) in entries(&other)? {
                self.set(key, value);
            }
        }
        for name in named.args() {
            self.set(Value::from(name), named.peek(name)?);
        }
        Ok(())
    }
}

impl Object for Dict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let entries = lock(&self.0);
        entries
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(lock(&self.0).iter().map(|(k, _)| k.clone()).collect())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "update" => self.update(args).map(|()| Value::from(())),
            "pop" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                let mut entries = lock(&self.0);
                match entries.iter().position(|(k, _)| *k == key) {
                    Some(at) => Ok(entries.remove(at).1),
                    None => default.ok_or_else(|| {
                        let message = format!("no key `{key}` in the map");
                        Error::new(ErrorKind::InvalidOperation, message)
                    }),
                }
            }
            "setdefault" => {
                let (key, default): (Value, Value) = from_args(args)?;
                if let Some(value) = self.get_value(&key) {
                    return Ok(value);
                }
                self.set(key, default.clone());
                Ok(default)
            }
            "clear" => {
                lock(&self.0).clear();
                Ok(Value::from(()))
            }
            "copy" => {
                let entries = lock(&self.0).clone();
                Ok(Value::from_object(Self(Mutex::new(entries))))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{environment, wrap_literals};
    use super::*;

    fn render(source: &str) -> String {
        let (source, _) = wrap_literals(source);
        environment().render_str(&source, ()).unwrap()
    }

    #[test]
    fn maps_and_lists_change_in_place() {
        let text = "{% set d = {'a': 1} %}{% set l = [] %}\
            {% for x in ['p', 'q'] %}{% do d.update({x: loop.index}) %}\
            {% do l.append(x) %}{% endfor %}{{ d }} {{ l }} {{ l|join('-') }} {{ d.get('z', 9) }}";
        assert_eq!(render(text), "{'a': 1, 'p': 1, 'q': 2} ['p', 'q'] p-q 9");
        assert_eq!(render("{{ [1] + [2] }}{{ 2 in [1, 2] }}"), "[1, 2]True");
        assert_eq!(
            render("{% set l = [1, 2] %}{{ l.pop() }}{{ l|length }}"),
            "21"
        );
    }

    #[test]
    fn json_comes_back_as_it_was() {
        let json = json!({"b": [1, 2.5, null, true, "x"], "a": {"c": {}}});
        assert_eq!(to_json(&from_json(&json)).unwrap(), json);
    }
}
