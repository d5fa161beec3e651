//! Names with a dot: `dbt.…`, `dbt_utils.…`, `adapter.…`, `exceptions.…`, `<project>.…`.

use std::fmt;
use std::sync::{Arc, LazyLock};

use chrono_tz::TZ_VARIANTS;
use minijinja::value::{Kwargs, Object, ObjectRepr, from_args};
use minijinja::{Error, State, Value};

use super::context::NodeContext;
use super::functions::fail;
use super::relation::RelationObject;
use super::{dbt, dbt_utils};
use crate::runner::error::{ErrorKind, RunnerError, did_you_mean};
use crate::runner::template::{carry, new_list};

/// The names of all time zones that SQL knows.
static TIME_ZONES: LazyLock<Vec<&str>> =
    LazyLock::new(|| TZ_VARIANTS.iter().map(|zone| zone.name()).collect());

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
            Some(package) => Ok(Helper::value(package, name, &self.context)),
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
        if method == "surrogate_key" {
            let message = "`dbt_utils.surrogate_key` is not supported";
            return Err(carry(RunnerError::new(ErrorKind::Template, message).with_hint(
                "use `dbt_utils.generate_surrogate_key`; it tells null from the empty text",
            )));
        }
        if let Some(found) = dbt_utils::call(method, args)? {
            return Ok(found);
        }
        // before dbt_utils 1.0 dbt's own helpers stood there
        let found = dbt::call(method, args)?;
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
            ("modules", "pytz") => Some(Value::from_pairs([(
                "all_timezones",
                TIME_ZONES.iter().copied().collect::<Value>(),
            )])),
            _ => None,
        }
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let package = match self.name {
            "" => &self.context.project.name,
            name => name,
        };
        if let Some(value) = self.context.overridden(&format!("{package}.{method}")) {
            return value.call(state, args);
        }
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

/// A built-in helper as a value: for `adapter.dispatch`, and for dbt's own helpers, which
/// need no `dbt.`.
#[derive(Debug)]
pub(super) struct Helper {
    package: Namespace,
    name: String,
}

impl Helper {
    pub(super) fn value(
        package: &'static str,
        name: &str,
        context: &Arc<NodeContext>,
    ) -> Value {
        Value::from_object(Self {
            package: Namespace {
                name: package,
                context: Arc::clone(context),
            },
            name: name.to_owned(),
        })
    }
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
