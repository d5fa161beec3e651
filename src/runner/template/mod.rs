//! Jinja: strings in YAML files and the expressions inside them.
//!
//! With `compile`, the only room that knows minijinja.

mod errors;
mod literals;
mod unsupported;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind as JinjaKind, Value as Jinja};
use minijinja::{State, UndefinedBehavior};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde_json::{Map, Value};

use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};

pub(crate) use errors::{TemplateSource, carry, location_at, to_runner_error};
pub(crate) use literals::{OffsetMap, wrap_literals};
pub(crate) use values::{from_json, new_list, new_map, to_json};

/// What a template inside a YAML file may use: `env_var()`, `var()` and `target`.
#[derive(Debug, Clone, Default)]
pub struct YamlContext {
    /// The process environment, read once by the caller.
    pub env: BTreeMap<String, String>,
    /// Variables: the project's own, overlaid by those of the command line.
    pub vars: Map<String, Value>,
    /// The chosen target as `target.*`; null while `profiles.yml` itself is read.
    pub target: Value,
}

/// Renders one YAML string as dbt does.
///
/// A string without `{{` or `{%` comes back unchanged. A string that is exactly one
/// expression (`"{{ var('n') }}"`) keeps the type of its value; anything else is text.
/// The error's message names the expression; the caller adds file, line and column.
pub fn render_yaml_string(text: &str, context: &YamlContext) -> Result<Value> {
    if !text.contains("{{") && !text.contains("{%") {
        return Ok(Value::String(text.to_owned()));
    }
    let environment = yaml_environment(context);
    let names: Vec<String> = ["env_var", "var", "target"].map(str::to_owned).into();
    let fail = |error: Error| {
        let mapped = to_runner_error(&error, &|_| None, &names);
        let mut shown = RunnerError::new(
            mapped.kind(),
            format!("{} in `{}`", mapped.message(), text.trim()),
        );
        if let Some(hint) = mapped.hint() {
            shown = shown.with_hint(hint);
        }
        shown
    };
    if let Some(expression) = single_expression(text)
        && let Ok(expression) = environment.compile_expression(expression)
    {
        let value = expression.eval(()).map_err(fail)?;
        if value.is_undefined() {
            let detail = format!("`{}` is undefined", text.trim());
            return Err(RunnerError::new(ErrorKind::Template, detail));
        }
        return to_json(&value).map_err(fail);
    }
    let (source, _) = wrap_literals(text);
    let rendered = environment.render_str(&source, ()).map_err(fail)?;
    Ok(Value::String(rendered))
}

/// The expression of a text that is nothing but `{{ expression }}`.
fn single_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    Some(inner.strip_suffix('-').unwrap_or(inner))
}

fn yaml_environment(context: &YamlContext) -> Environment<'static> {
    let mut environment = environment();
    let env = Arc::new(context.env.clone());
    environment.add_function("env_var", move |name: &str, default: Option<Jinja>| {
        env_var(&env, name, default)
    });
    let vars = Arc::new(context.vars.clone());
    environment.add_function("var", move |args: Rest<Jinja>, named: Kwargs| {
        let mut args = args.0;
        args.push(named.into());
        let (name, default) = default_of(&args)?;
        match (vars.get(&name), default) {
            (Some(value), _) => Ok(from_json(value)),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(carry(missing_variable(&name, &vars))),
        }
    });
    if !context.target.is_null() {
        environment.add_global("target", from_json(&context.target));
    }
    environment
}

/// The arguments of `var(name[, default])`: none is a default as well.
pub(crate) fn default_of(args: &[Jinja]) -> Result<(String, Option<Jinja>), Error> {
    let named = args.last().filter(|last| last.is_kwargs());
    let positional = &args[..args.len() - usize::from(named.is_some())];
    let (name, default): (&str, Option<&Jinja>) = from_args(positional)?;
    let mut default = default.cloned().or_else(|| positional.get(1).cloned());
    if let Some(named) = named {
        let named = Kwargs::try_from(named.clone())?;
        if named.has("default") {
            default = Some(named.get("default")?);
        }
        named.assert_all_used()?;
    }
    Ok((name.to_owned(), default))
}

/// `env_var(name[, default])`.
pub(crate) fn env_var(
    env: &BTreeMap<String, String>,
    name: &str,
    default: Option<Jinja>,
) -> Result<Jinja, Error> {
    match (env.get(name), default) {
        (Some(value), _) => Ok(Jinja::from(value.as_str())),
        (None, Some(default)) => Ok(default),
        (None, None) => {
            let error = RunnerError::new(
                ErrorKind::Template,
                format!("environment variable `{name}` is not set"),
            );
            Err(carry(error.with_hint(format!(
                "set it, or give a default: `env_var('{name}', '…')`"
            ))))
        }
    }
}

/// The error for a variable that has neither a value nor a default.
pub(crate) fn missing_variable(name: &str, vars: &Map<String, Value>) -> RunnerError {
    let known: Vec<&str> = vars.keys().map(String::as_str).collect();
    let hint = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| {
        if known.is_empty() {
            "no variable is set: add it to `vars` of `dbt_project.yml` or use `--vars`"
                .to_owned()
        } else {
            format!("variables that are set: `{}`", known.join("`, `"))
        }
    });
    RunnerError::new(
        ErrorKind::Template,
        format!("variable `{name}` has no value and no default"),
    )
    .with_hint(hint)
}

/// An environment with what every template may use: Python's methods of strings, lists and
/// maps, lists and maps that can be changed, dbt's filters. An undefined name is an error
/// when it is printed, iterated or looked into, and false in a condition.
pub(crate) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_debug(true);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_recursion_limit(100);
    environment.set_unknown_method_callback(
        |state: &mut State<'_, '_>, value: &Jinja, method: &str, args: &[Jinja]| {
            unknown_method_callback(state, value, method, args)
        },
    );
    environment.add_function(literals::LIST, |value: Jinja| new_list(&value));
    environment.add_function(literals::MAP, |value: Jinja| new_map(&value));
    environment.add_filter("as_bool", as_bool);
    environment.add_filter("as_number", as_number);
    environment.add_filter("as_native", |value: Jinja| value);
    environment.add_filter("as_text", |value: Jinja| value.to_string());
    environment
}

fn as_bool(value: &Jinja) -> Result<Jinja, Error> {
    let text = value.to_string().to_lowercase();
    match text.trim() {
        "true" => Ok(Jinja::from(true)),
        "false" => Ok(Jinja::from(false)),
        _ => Err(Error::new(
            JinjaKind::InvalidOperation,
            format!("`as_bool` expects true or false, found `{value}`"),
        )),
    }
}

fn as_number(value: &Jinja) -> Result<Jinja, Error> {
    let text = value.to_string();
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Ok(Jinja::from(number));
    }
    text.parse::<f64>().map(Jinja::from).map_err(|_| {
        Error::new(
            JinjaKind::InvalidOperation,
            format!("`as_number` expects a number, found `{value}`"),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context() -> YamlContext {
        YamlContext {
            env: BTreeMap::from([("HOME_DIR".to_owned(), "/data".to_owned())]),
            vars: json!({"n": 3, "list": ["a"], "name": "x"})
                .as_object()
                .cloned()
                .unwrap(),
            target: json!({"name": "dev"}),
        }
    }

    #[test]
    fn one_expression_keeps_its_type() {
        let render = |text| render_yaml_string(text, &context()).unwrap();
        assert_eq!(render("plain {x}"), json!("plain {x}"));
        assert_eq!(render("{{ var('n') }}"), json!(3));
        assert_eq!(render("{{ var('list') }}"), json!(["a"]));
        assert_eq!(render(" {{ var('n') }}/{{ target.name }}"), json!(" 3/dev"));
        assert_eq!(render("{{ env_var('HOME_DIR') }}/x"), json!("/data/x"));
        assert_eq!(render("{{ env_var('NO', '7') | as_number }}"), json!(7));
        assert_eq!(render("{{ 'True' | as_bool }}"), json!(true));
        assert_eq!(render("{{ var('none', none) }}"), json!(null));
        assert_eq!(render("{{ var('none', default='d') }}"), json!("d"));
    }

    #[test]
    fn errors_name_the_expression_and_what_is_missing() {
        let error = render_yaml_string("{{ env_var('NOPE') }}", &context()).unwrap_err();
        assert!(error.message().contains("`NOPE` is not set in `{{ env_var"));
        let error = render_yaml_string("{{ var('nam') }}", &context()).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `name`?"));
        let error = render_yaml_string("a {{ targt.name }}", &context()).unwrap_err();
        assert!(error.message().contains("`targt` is undefined"), "{error}");
        assert_eq!(error.hint(), Some("did you mean `target`?"));
        assert!(render_yaml_string("{{ 1 +", &context()).is_err());
    }
}
