//! The functions templates can call.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, from_args};
use minijinja::{Error, ErrorKind as JinjaKind, State, Value};
use serde_json::{Map, Value as Json};

use super::context::NodeContext;
use super::relation::RelationObject;
use super::{dbt, dbt_utils};
use crate::runner::compile::config::check_key;
use crate::runner::error::{ErrorKind, RunnerError, did_you_mean};
use crate::runner::template::{
    carry, env_var, environment, from_json, missing_variable, new_list, to_json,
};

fn fail(message: impl Into<String>) -> Error {
    carry(RunnerError::new(ErrorKind::Template, message))
}

/// A function by name.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) context: Arc<NodeContext>,
}

impl Object for Builtin {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        args: &[Value],
    ) -> Result<Value, Error> {
        let context = &self.context;
        match self.name {
            "ref" => reference(context, args),
            "source" => {
                let (source, table): (&str, &str) = from_args(args)?;
                let target = context.sourced(source, table).map_err(carry)?;
                Ok(context.read(target))
            }
            "var" => variable(context, args),
            "env_var" => {
                let (name, default): (&str, Option<Value>) = from_args(args)?;
                env_var(&context.project.env, name, default)
            }
            "config" => configure(context, args),
            "is_incremental" => Ok(Value::from(context.execute && context.incremental)),
            "return" => {
                let (value,): (Option<Value>,) = from_args(args)?;
                context.record().returned = Some(value.unwrap_or_default());
                Err(fail("`return()` works only inside a macro"))
            }
            "log" => {
                let (message, flag, named): (Value, Option<bool>, Kwargs) =
                    from_args(args)?;
                let info = named.get::<Option<bool>>("info")?.or(flag).unwrap_or(false);
                named.assert_all_used()?;
                if info && context.execute {
                    context.record().logs.push(message.to_string());
                }
                Ok(Value::from(""))
            }
            "print" => {
                let (message,): (Value,) = from_args(args)?;
                if context.execute {
                    context.record().logs.push(message.to_string());
                }
                Ok(Value::from(""))
            }
            other => convert(other, args),
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if self.name != "config" {
            return Err(fail(format!("`{}` has no method `{method}`", self.name)));
        }
        let values = self.context.merged_config();
        let (name, default, named): (&str, Option<Value>, Kwargs) = from_args(args)?;
        let default = default.or(named.get("default")?);
        named.get::<Option<Value>>("validator")?;
        named.assert_all_used()?;
        let found = match method {
            "get" | "require" => values.get(name),
            "meta_get" | "meta_require" => values.get("meta").and_then(|m| m.get(name)),
            _ => return Err(fail(format!("`config` has no method `{method}`"))),
        };
        match found {
            Some(value) if !value.is_null() => Ok(from_json(value)),
            _ if method.ends_with("require") && self.context.execute => Err(fail(
                format!("configuration `{name}` is required and not set"),
            )),
            _ => Ok(default.unwrap_or_default()),
        }
    }
}

fn reference(context: &NodeContext, args: &[Value]) -> Result<Value, Error> {
    let (first, second, named): (&str, Option<&str>, Kwargs) = from_args(args)?;
    if named.args().next().is_some() {
        return Err(fail("`ref` with a version is not supported"));
    }
    let name = match second {
        None => first,
        Some(name) if first == context.project.name => name,
        Some(_) => {
            let own = &context.project.name;
            return Err(carry(
                RunnerError::new(
                    ErrorKind::Graph,
                    format!("`ref` names package `{first}`, which is not here"),
                )
                .with_hint(format!("the only package is the project itself, `{own}`")),
            ));
        }
    };
    let target = context.referred(name).map_err(carry)?;
    Ok(context.read(target))
}

fn variable(context: &Arc<NodeContext>, args: &[Value]) -> Result<Value, Error> {
    let (name, default, named): (&str, Option<Value>, Kwargs) = from_args(args)?;
    let default = default.or(named.get("default")?);
    named.assert_all_used()?;
    match (context.vars.get(name), default) {
        (Some(Json::String(text)), _) if text.contains("{{") => {
            if context.enter() > 20 {
                return Err(fail(format!("variable `{name}` refers to itself")));
            }
            let root = Value::from_dyn_object(Arc::clone(context));
            let rendered = environment().render_str(text, root);
            context.leave();
            rendered.map(Value::from)
        }
        (Some(value), _) => Ok(from_json(value)),
        (None, Some(default)) => Ok(default),
        (None, None) => {
            let error = missing_variable(name, &context.vars);
            let message = format!("{}, in `{}`", error.message(), context.name);
            let hint = error.hint().unwrap_or_default().to_owned();
            let error = RunnerError::new(ErrorKind::Template, message);
            Err(carry(error.with_hint(hint)))
        }
    }
}

fn configure(context: &NodeContext, args: &[Value]) -> Result<Value, Error> {
    let (map, named): (Option<Value>, Kwargs) = from_args(args)?;
    let mut given = Map::new();
    if let Some(map) = map {
        let Json::Object(map) = to_json(&map)? else {
            return Err(fail(format!(
                "`config` expects names and values, found `{map}`"
            )));
        };
        given.extend(map);
    }
    for name in named.args() {
        given.insert(name.to_owned(), to_json(&named.peek::<Value>(name)?)?);
    }
    for (key, value) in &given {
        check_key(key, value).map_err(carry)?;
    }
    let checked = crate::runner::project::ConfigMap {
        values: given.clone(),
        ..Default::default()
    };
    super::super::config::typed(&checked, crate::runner::compile::Materialized::View)
        .map_err(carry)?;
    super::super::config::merge(&mut context.record().config, &given);
    Ok(Value::from(""))
}

/// Functions that only turn one value into another.
fn convert(name: &str, args: &[Value]) -> Result<Value, Error> {
    match name {
        "set" => {
            let (value, default): (Value, Option<Value>) = from_args(args)?;
            let Ok(items) = value.try_iter() else {
                return Ok(default.unwrap_or_default());
            };
            let mut unique: Vec<Value> = Vec::new();
            for item in items {
                if !unique.contains(&item) {
                    unique.push(item);
                }
            }
            new_list(&Value::from(unique))
        }
        "zip" => {
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

/// `dbt.…`, `dbt_utils.…`, `adapter.…`, `exceptions.…`, `<project>.…` and the like.
#[derive(Debug)]
pub(super) struct Namespace {
    name: &'static str,
    context: Arc<NodeContext>,
}

impl Namespace {
    pub(super) fn value(name: &'static str, context: &Arc<NodeContext>) -> Value {
        Value::from_object(Self {
            name,
            context: Arc::clone(context),
        })
    }

    fn unsupported(&self, method: &str, supported: &[&str]) -> Error {
        let message = format!("`{}.{method}` is not supported", self.name);
        let list = format!("supported: `{}`", supported.join("`, `"));
        let hint = did_you_mean(method, supported.iter().copied()).unwrap_or(list);
        carry(RunnerError::new(ErrorKind::Template, message).with_hint(hint))
    }

    fn adapter(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "dispatch" => self.dispatch(args),
            "get_columns_in_relation" => {
                let (relation,): (Value,) = from_args(args)?;
                let columns = columns_of(&self.context, &relation)?;
                let columns = columns.into_iter().map(|(name, data_type)| {
                    Value::from_pairs([
                        ("name", Value::from(name.as_str())),
                        ("column", Value::from(name.as_str())),
                        ("quoted", Value::from(super::relation::quote(&name))),
                        ("dtype", Value::from(data_type.as_str())),
                        ("data_type", Value::from(data_type)),
                    ])
                });
                new_list(&Value::from(columns.collect::<Vec<_>>()))
            }
            "quote" => {
                let (name,): (&str,) = from_args(args)?;
                Ok(Value::from(super::relation::quote(name)))
            }
            _ => Err(self
                .unsupported(method, &["dispatch", "get_columns_in_relation", "quote"])),
        }
    }

    /// The macro that `adapter.dispatch` names, in the order most specific first.
    fn dispatch(&self, args: &[Value]) -> Result<Value, Error> {
        let (name, package, named): (&str, Option<&str>, Kwargs) = from_args(args)?;
        let package = package.or(named.get("macro_namespace")?);
        named.assert_all_used()?;
        for prefix in ["sessionize__", "datafusion__", "default__"] {
            if let Some(found) = self.context.macros.get(&format!("{prefix}{name}")) {
                return Ok(found);
            }
        }
        let built_in = match package {
            Some("dbt_utils") => dbt_utils::NAMES.contains(&name).then_some("dbt_utils"),
            None | Some("dbt") => dbt::NAMES.contains(&name).then_some("dbt"),
            Some(_) => None,
        };
        match built_in {
            Some(package) => Ok(Value::from_object(Helper {
                package: Self {
                    name: package,
                    context: Arc::clone(&self.context),
                },
                name: name.to_owned(),
            })),
            None => Err(fail(format!(
                "`adapter.dispatch` finds no macro `default__{name}`"
            ))),
        }
    }

    fn exception(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "raise_compiler_error" => {
                let (message,): (Value,) = from_args(args)?;
                Err(fail(message.to_string()))
            }
            "warn" => {
                let (message,): (Value,) = from_args(args)?;
                if self.context.execute {
                    self.context
                        .record()
                        .logs
                        .push(format!("warning: {message}"));
                }
                Ok(Value::from(""))
            }
            _ => Err(self.unsupported(method, &["raise_compiler_error", "warn"])),
        }
    }

    fn helper(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        if self.name == "dbt" {
            let found = dbt::call(method, args)?;
            return found.ok_or_else(|| self.unsupported(method, dbt::NAMES));
        }
        if method == "star" {
            let star = dbt_utils::Star::parse(args)?;
            if !self.context.execute {
                return Ok(Value::from("*"));
            }
            let columns = columns_of(&self.context, &star.from)?;
            return Ok(Value::from(star.sql(&columns)));
        }
        let found = dbt_utils::call(method, args)?;
        found.ok_or_else(|| self.unsupported(method, dbt_utils::NAMES))
    }
}

/// The columns of a relation; while dependencies are discovered there are none.
fn columns_of(
    context: &NodeContext,
    relation: &Value,
) -> Result<Vec<(String, String)>, Error> {
    let Some(object) = relation.downcast_object::<RelationObject>() else {
        return Err(fail(format!("expected a relation, found `{relation}`")));
    };
    if !context.execute {
        return Ok(Vec::new());
    }
    let Some(node) = &object.node else {
        return Err(fail(format!("the columns of `{relation}` are not known")));
    };
    if let Some(columns) = context.columns.get(node) {
        return Ok(columns.clone());
    }
    context.record().wanted = Some(Arc::clone(node));
    Err(fail(format!(
        "the columns of `{relation}` are not known yet"
    )))
}

impl Object for Namespace {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (self.name, key.as_str()?) {
            ("", name) => self.context.macros.get(name),
            _ => None,
        }
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match self.name {
            "" => match self.context.macros.get(method) {
                Some(found) => found.call(state, args),
                None => Err(carry(self.context.macros.unknown(method))),
            },
            "adapter" => self.adapter(method, args),
            "exceptions" => self.exception(method, args),
            "dbt" | "dbt_utils" => self.helper(method, args),
            "builtins" => match method {
                "ref" | "source" | "config" | "var" => {
                    let root = Value::from_dyn_object(Arc::clone(&self.context));
                    root.get_attr(method)?.call(state, args)
                }
                _ => Err(self.unsupported(method, &["ref", "source", "config", "var"])),
            },
            "run_started_at" => self.started_at(method, args),
            _ => Err(self.unsupported(method, &[])),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            "run_started_at" => f.write_str(&self.context.options.run_started_at),
            name => write!(f, "<{name}>"),
        }
    }
}

impl Namespace {
    fn started_at(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        let text = &self.context.options.run_started_at;
        let time = chrono::DateTime::parse_from_rfc3339(text)
            .map_err(|e| fail(format!("`run_started_at` is `{text}`: {e}")))?;
        match method {
            "strftime" => {
                let (format,): (&str,) = from_args(args)?;
                let mut shown = String::new();
                fmt::Write::write_fmt(
                    &mut shown,
                    format_args!("{}", time.format(format)),
                )
                .map_err(|_| fail(format!("`{format}` is no time format")))?;
                Ok(Value::from(shown))
            }
            "isoformat" => Ok(Value::from(time.to_rfc3339())),
            "timestamp" => Ok(Value::from(time.timestamp())),
            _ => Err(self.unsupported(method, &["strftime", "isoformat", "timestamp"])),
        }
    }
}

/// A built-in helper as a value, for `adapter.dispatch`.
#[derive(Debug)]
struct Helper {
    package: Namespace,
    name: String,
}

impl Object for Helper {
    fn call(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        args: &[Value],
    ) -> Result<Value, Error> {
        self.package.helper(&self.name, args)
    }
}
