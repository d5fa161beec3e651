//! Generic data tests: `unique`, `accepted_values: {values: [...]}`, …

use serde_json::{Map, Value};

use crate::runner::error::Result;
use crate::runner::project::config::{Resource, check, is_key};
use crate::runner::project::types::{ConfigMap, DataTest};
use crate::runner::project::yaml::{Data, Entry, Fields, Node};

/// Reads `data_tests:` (before dbt 1.8 `tests:`).
pub(super) fn data_tests(
    fields: &mut Fields<'_>,
    column: Option<&str>,
) -> Result<Vec<DataTest>> {
    let what = fields.what().to_owned();
    let Some(node) = fields.either("data_tests", "tests")? else {
        return Ok(vec![]);
    };
    let tests = node.list()?.iter();
    tests.map(|node| data_test(node, column, &what)).collect()
}

fn data_test(node: &Node, column: Option<&str>, what: &str) -> Result<DataTest> {
    let mut test = DataTest {
        test: String::new(),
        column: column.map(str::to_owned),
        name: None,
        arguments: Map::new(),
        config: ConfigMap::default(),
        description: String::new(),
        location: node.place.location(),
    };
    let Data::Map(entries) = &node.data else {
        test.test = match &node.data {
            Data::String(name) => name.clone(),
            _ => return Err(node.mismatch("the name of a test or a map")),
        };
        return Ok(test);
    };
    // the long form: `name:` and `test_name:` beside the arguments
    if let Some(name) = entries.iter().find(|e| e.name == "test_name") {
        test.test = name.value.string()?;
        body(node, &mut test, what)?;
        return Ok(test);
    }
    let [entry] = entries.as_slice() else {
        let message = format!("a test of {what} must have one name");
        let hint =
            "write `- name: {argument: value}`; arguments are indented below the name";
        return Err(node.error(message).with_hint(hint));
    };
    test.test.clone_from(&entry.name);
    test.location = entry.place.location();
    body(&entry.value, &mut test, what)?;
    Ok(test)
}

/// Reads what stands below the test's name.
fn body(node: &Node, test: &mut DataTest, what: &str) -> Result<()> {
    let what = format!("test `{}` of {what}", test.test);
    let mut config = ConfigMap::default();
    for entry in node.entries()? {
        match entry.name.as_str() {
            "test_name" => {}
            "name" => test.name = Some(entry.value.scalar()?),
            "description" => test.description = entry.value.string()?,
            "arguments" => arguments(entry, test)?,
            "config" => {
                let what = format!("the `config` of {what}");
                let below =
                    ConfigMap::read(Some(&entry.value), Resource::DataTest, &what)?;
                config.merge(&below);
            }
            name if is_key(Resource::DataTest, name) => {
                if let Some(value) = check(Resource::DataTest, name, entry, &what)? {
                    test.config.put(name, entry, value);
                }
            }
            name => argument(name, entry.value.json(), entry, test)?,
        }
    }
    test.config.merge(&config);
    Ok(())
}

fn arguments(entry: &Entry, test: &mut DataTest) -> Result<()> {
    for inner in entry.value.entries()? {
        argument(&inner.name, inner.value.json(), inner, test)?;
    }
    Ok(())
}

fn argument(name: &str, value: Value, entry: &Entry, test: &mut DataTest) -> Result<()> {
    if test.arguments.insert(name.to_owned(), value).is_some() {
        let message = format!("argument `{name}` of test `{}` is given twice", test.test);
        return Err(entry.place.error(message));
    }
    Ok(())
}
