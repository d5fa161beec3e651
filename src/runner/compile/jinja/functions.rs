//! The functions templates can call.

use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, from_args};
use minijinja::{Error, State, Value};
use serde_json::{Map, Value as Json};

use super::context::NodeContext;
use super::convert::convert;
use crate::runner::compile::config::check_key;
use crate::runner::error::{ErrorKind, RunnerError};
use crate::runner::template::{
    carry, default_of, env_var, environment, from_json, missing_variable, to_json,
};

pub(super) fn fail(message: impl Into<String>) -> Error {
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
            "should_full_refresh" => {
                let own = context.merged_config();
                let own = own.get("full_refresh").and_then(Json::as_bool);
                Ok(Value::from(own.unwrap_or(context.options.full_refresh)))
            }
            "is_incremental" => {
                context.record().asked_for_increment = true;
                Ok(Value::from(context.execute && context.incremental))
            }
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
        let message = format!("`ref('{first}')` with a version is not supported");
        let error = RunnerError::new(ErrorKind::Template, message);
        return Err(carry(
            error.with_hint("give each version a model of its own, and name it"),
        ));
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
    let (name, default) = default_of(args)?;
    let name = name.as_str();
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
