//! Generic data tests: `not_null`, `unique`, `accepted_values`, `relationships`.
//!
//! Each writes a query whose rows are what is wrong; no row means the test passes.

mod accepted_values;
mod not_null;
mod relationships;
mod unique;

use serde_json::{Map, Value};

use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};

/// What a test is asked.
#[derive(Debug, Clone)]
pub(crate) struct TestInput<'a> {
    /// The tested relation as SQL, narrowed by `where`.
    pub(crate) relation: &'a str,
    /// The tested column as SQL.
    pub(crate) column: Option<&'a str>,
    /// The arguments, rendered; relations are SQL.
    pub(crate) arguments: &'a Map<String, Value>,
}

/// One generic test.
struct GenericTest {
    name: &'static str,
    arguments: &'static [&'static str],
    sql: fn(&TestInput<'_>) -> Result<String>,
}

/// The list: a new test is a file and a line here.
const TESTS: &[GenericTest] = &[
    GenericTest {
        name: "accepted_values",
        arguments: accepted_values::ARGUMENTS,
        sql: accepted_values::sql,
    },
    GenericTest {
        name: "not_null",
        arguments: &[],
        sql: not_null::sql,
    },
    GenericTest {
        name: "relationships",
        arguments: relationships::ARGUMENTS,
        sql: relationships::sql,
    },
    GenericTest {
        name: "unique",
        arguments: &[],
        sql: unique::sql,
    },
];

/// Whether `name` is built in.
pub(crate) fn exists(name: &str) -> bool {
    TESTS.iter().any(|test| test.name == name)
}

/// The error for a test that does not exist; `custom` are the project's own.
pub(crate) fn unknown(name: &str, custom: &[&str]) -> RunnerError {
    let names: Vec<&str> = TESTS
        .iter()
        .map(|t| t.name)
        .chain(custom.iter().copied())
        .collect();
    let hint = did_you_mean(name, names.iter().copied())
        .unwrap_or_else(|| format!("tests: `{}`", names.join("`, `")));
    RunnerError::new(ErrorKind::Project, format!("unknown data test `{name}`"))
        .with_hint(hint)
}

/// The query of the built-in test `name`.
pub(crate) fn sql(name: &str, input: &TestInput<'_>) -> Result<String> {
    let Some(test) = TESTS.iter().find(|test| test.name == name) else {
        return Err(unknown(name, &[]));
    };
    for argument in input.arguments.keys() {
        if !test.arguments.contains(&argument.as_str()) {
            let message = format!("data test `{name}` has no argument `{argument}`");
            let error = RunnerError::new(ErrorKind::Project, message);
            let accepted = test.arguments.iter().copied();
            return Err(match did_you_mean(argument, accepted) {
                Some(hint) => error.with_hint(hint),
                None => error,
            });
        }
    }
    (test.sql)(input)
}

/// The column, or an error that says where the test belongs.
fn column<'a>(name: &str, input: &TestInput<'a>) -> Result<&'a str> {
    input.column.ok_or_else(|| {
        RunnerError::new(
            ErrorKind::Project,
            format!("data test `{name}` needs a column"),
        )
        .with_hint("write it under the column, or give `column_name`")
    })
}

fn text<'a>(name: &str, input: &TestInput<'a>, argument: &str) -> Result<&'a str> {
    let found = input.arguments.get(argument);
    found.and_then(Value::as_str).ok_or_else(|| {
        let found = found.map_or_else(|| "nothing".to_owned(), |f| format!("`{f}`"));
        RunnerError::new(
            ErrorKind::Project,
            format!("data test `{name}` expects a text for `{argument}`, found {found}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(name: &str, arguments: &Value) -> Result<String> {
        let input = TestInput {
            relation: "t",
            column: Some("\"c\""),
            arguments: arguments.as_object().unwrap(),
        };
        sql(name, &input)
    }

    #[test]
    fn queries_return_what_is_wrong() {
        assert_eq!(
            run("not_null", &json!({})).unwrap(),
            "select * from t where \"c\" is null"
        );
        let values = json!({"values": ["a", "it's"]});
        assert!(
            run("accepted_values", &values)
                .unwrap()
                .contains("'a', 'it''s'")
        );
        let values = json!({"values": [1, 2], "quote": false});
        assert!(run("accepted_values", &values).unwrap().contains("(1, 2)"));
        let to = json!({"to": "p", "field": "id"});
        assert!(run("relationships", &to).unwrap().contains("from p"));
    }

    #[test]
    fn wrong_tests_and_arguments_are_named() {
        let error = run("not_nul", &json!({})).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `not_null`?"));
        let error = run("accepted_values", &json!({"value": ["a"]})).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `values`?"));
        assert!(run("accepted_values", &json!({})).is_err());
        assert!(run("relationships", &json!({"to": "x"})).is_err());
    }
}
