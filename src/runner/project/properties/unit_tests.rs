//! `unit_tests:` of property files.

use serde_json::{Map, Value};

use super::{PropertyFile, models};
use crate::runner::error::{Result, did_you_mean};
use crate::runner::project::config::Resource;
use crate::runner::project::types::{UnitTest, UnitTestInput, UnitTestRows};
use crate::runner::project::yaml::{Fields, Node, names};

const FORMATS: &[&str] = &["dict", "csv", "sql"];

/// Reads an entry of `unit_tests:`.
pub(super) fn unit_test(file: &PropertyFile<'_>, node: &Node) -> Result<UnitTest> {
    let (name, mut fields) = Fields::named(node, "unit test")?;
    fields.refuse("versions", "models have no versions here")?;
    let model = fields.required("model")?.string()?;
    let config = models::config(&mut fields, node, Resource::UnitTest)?;
    let mut given = vec![];
    for node in fields.list("given")? {
        given.push(input(file, node)?);
    }
    let expect = fields.required("expect")?;
    let expect = rows(
        file,
        Fields::new(expect, format!("`expect` of {}", fields.what()))?,
    )?;
    let (vars, macros) = match fields.optional("overrides") {
        Some(node) => overrides(node)?,
        None => (Map::new(), Map::new()),
    };
    let description = fields.string("description")?.unwrap_or_default();
    fields.finish()?;
    Ok(UnitTest {
        fqn: file.fqn(&[model.as_str(), name.as_str()]),
        name,
        model,
        description,
        given,
        expect,
        vars,
        macros,
        config,
        location: node.place.location(),
    })
}

fn input(file: &PropertyFile<'_>, node: &Node) -> Result<UnitTestInput> {
    let mut fields = Fields::new(node, "an entry of `given`")?;
    let input = fields.required("input")?.string()?;
    let rows = rows(file, fields)?;
    Ok(UnitTestInput { input, rows })
}

/// `rows` or `fixture` in one of the formats; finishes the map.
fn rows(file: &PropertyFile<'_>, mut fields: Fields<'_>) -> Result<UnitTestRows> {
    let format = format(fields.optional("format"))?;
    let rows = fields.optional("rows");
    let fixture = fields.optional("fixture");
    let what = fields.what().to_owned();
    fields.finish()?;
    if let (Some(_), Some(fixture)) = (rows, fixture) {
        let message = format!("{what} has both `rows` and `fixture`");
        return Err(fixture.error(message));
    }
    if format == "dict" {
        return dict(rows, fixture, &what);
    }
    let text = match (rows, fixture) {
        (Some(rows), _) => rows.string()?,
        (None, Some(fixture)) => fixture_text(file, fixture, format)?,
        (None, None) => String::new(),
    };
    Ok(match format {
        "csv" => UnitTestRows::Csv(text),
        _ => UnitTestRows::Sql(text),
    })
}

/// The format that is named, one of [`FORMATS`].
fn format(node: Option<&Node>) -> Result<&'static str> {
    let Some(node) = node else {
        return Ok("dict");
    };
    let name = node.string()?;
    let known = FORMATS.iter().copied().find(|format| *format == name);
    known.ok_or_else(|| {
        let hint = did_you_mean(&name, FORMATS.iter().copied())
            .unwrap_or_else(|| format!("expected one of {}", names(FORMATS)));
        node.error(format!("unknown format `{name}`"))
            .with_hint(hint)
    })
}

fn dict(rows: Option<&Node>, fixture: Option<&Node>, what: &str) -> Result<UnitTestRows> {
    if let Some(fixture) = fixture {
        let message = format!("`fixture` of {what} needs `format: csv` or `format: sql`");
        return Err(fixture.error(message));
    }
    let rows = rows.map_or(Ok([].as_slice()), Node::list)?;
    let rows = rows.iter().map(|row| match row.is_null() {
        true => Err(row.mismatch("a map")),
        false => row.map(),
    });
    Ok(UnitTestRows::Dict(rows.collect::<Result<_>>()?))
}

/// The text of `<name>.<ending>` below `fixtures/` of a test path.
fn fixture_text(file: &PropertyFile<'_>, node: &Node, ending: &str) -> Result<String> {
    let name = node.string()?;
    let known = format!("{name}.{ending}");
    let found = file
        .fixtures
        .get(&known)
        .or_else(|| file.fixtures.get(&name));
    if let Some(found) = found {
        return Ok(found.read()?.text.to_string());
    }
    let message = format!("there is no fixture `{known}`");
    let hint = did_you_mean(&known, file.fixtures.keys().map(String::as_str))
        .unwrap_or_else(|| "fixtures lie in `fixtures/` below a test path".to_owned());
    Err(node.error(message).with_hint(hint))
}

type Overrides = (Map<String, Value>, Map<String, Value>);

fn overrides(node: &Node) -> Result<Overrides> {
    let mut fields = Fields::new(node, "`overrides`")?;
    let vars = fields.map("vars")?;
    fields.refuse("env_vars", "give the environment to the command instead")?;
    let mut macros = Map::new();
    for entry in fields
        .optional("macros")
        .map_or(Ok([].as_slice()), Node::entries)?
    {
        match entry.name.as_str() {
            "is_incremental" => {
                entry.value.boolean()?;
            }
            "ref" | "source" | "config" | "return" => {
                let message = format!("`{}` cannot be overridden", entry.name);
                return Err(entry.place.error(message));
            }
            _ => {
                entry.value.scalar()?;
            }
        }
        macros.insert(entry.name.clone(), entry.value.json());
    }
    fields.finish()?;
    Ok((vars, macros))
}
