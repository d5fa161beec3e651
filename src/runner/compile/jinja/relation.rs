//! What `ref`, `source` and `this` return: a relation that prints as quoted SQL.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use crate::runner::compile::{NodeId, Relation};

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            catalog,
            schema,
            name,
        } = self;
        write!(f, "{}.{}.{}", quote(catalog), quote(schema), quote(name))
    }
}

/// A quoted SQL identifier.
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A relation inside a template.
#[derive(Debug, Clone)]
pub(super) struct RelationObject {
    pub(super) catalog: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) name: Option<String>,
    /// The node behind it, to ask for its columns.
    pub(super) node: Option<NodeId>,
}

const KEYS: &[&str] = &["database", "schema", "identifier", "name", "table", "type"];

impl RelationObject {
    pub(super) fn new(relation: &Relation, node: NodeId) -> Self {
        Self {
            catalog: Some(relation.catalog.clone()),
            schema: Some(relation.schema.clone()),
            name: Some(relation.name.clone()),
            node: Some(node),
        }
    }

    fn text(&self) -> String {
        let parts = [&self.catalog, &self.schema, &self.name];
        let parts: Vec<String> = parts.into_iter().flatten().map(|p| quote(p)).collect();
        parts.join(".")
    }

    /// `include(database=…, schema=…, identifier=…)`: which parts are printed.
    fn include(&self, args: &[Value]) -> Result<Value, Error> {
        let (named,): (Kwargs,) = from_args(args)?;
        let part = |key: &str, value: &Option<String>| -> Result<Option<String>, Error> {
            let wanted = named.get::<Option<bool>>(key)?.unwrap_or(true);
            Ok(value.clone().filter(|_| wanted))
        };
        let included = Self {
            catalog: part("database", &self.catalog)?,
            schema: part("schema", &self.schema)?,
            name: part("identifier", &self.name)?,
            node: self.node.clone(),
        };
        named.assert_all_used()?;
        Ok(Value::from_object(included))
    }
}

impl Object for RelationObject {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let part = match key.as_str()? {
            "database" => &self.catalog,
            "schema" => &self.schema,
            "identifier" | "name" | "table" => &self.name,
            _ => return None,
        };
        Some(part.as_deref().map_or_else(Value::default, Value::from))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(KEYS)
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "render" => Ok(Value::from(self.text())),
            "include" => self.include(args),
            _ => {
                let message = format!(
                    "a relation has no method `{method}`; it has `render` and `include`"
                );
                Err(Error::new(ErrorKind::InvalidOperation, message))
            }
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
