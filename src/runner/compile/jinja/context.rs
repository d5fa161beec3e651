//! What a template of one node can see: the root of its names.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::Value;
use minijinja::value::{Object, ObjectRepr, Rest};
use serde_json::{Map, Value as Json, json};

use super::dbt;
use super::functions::Builtin;
use super::macros::MacroLibrary;
use super::namespace::{Helper, Namespace};
use super::relation::RelationObject;
use crate::runner::compile::{CompileOptions, NodeId, Relation};
use crate::runner::error::{ErrorKind, RunnerError, did_you_mean};
use crate::runner::project::Project;
use crate::runner::template::from_json;

/// The name under which a template finds its own root.
pub(super) const ROOT: &str = "_node_context";

/// Every built-in name.
pub(super) const NAMES: &[&str] = &[
    "adapter",
    "api",
    "builtins",
    "config",
    "dbt",
    "dbt_utils",
    "env_var",
    "exceptions",
    "execute",
    "flags",
    "fromjson",
    "fromyaml",
    "invocation_id",
    "is_incremental",
    "local_md5",
    "log",
    "model",
    "modules",
    "print",
    "project_name",
    "ref",
    "return",
    "run_started_at",
    "set",
    "set_strict",
    "should_full_refresh",
    "source",
    "target",
    "this",
    "tojson",
    "toyaml",
    "var",
    "zip",
    "zip_strict",
];

/// Something that `ref` or `source` can name.
#[derive(Debug, Clone)]
pub(crate) struct Referable {
    pub(crate) id: NodeId,
    pub(crate) relation: Relation,
    pub(crate) enabled: bool,
}

/// Everything that can be referred to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    pub(crate) nodes: BTreeMap<String, Referable>,
    pub(crate) sources: BTreeMap<(String, String), Referable>,
}

/// Known columns by node.
pub(crate) type Columns = HashMap<NodeId, Vec<(String, String)>>;

/// What rendering a template told about it.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Nodes that it read, in order.
    pub(crate) reads: Vec<NodeId>,
    /// What it gave to `config(…)`.
    pub(crate) config: Map<String, Json>,
    /// Lines that it logged.
    pub(crate) logs: Vec<String>,
    /// Whether it called `is_incremental()`.
    pub(crate) asked_for_increment: bool,
    /// The node whose columns it asked for and that are not known yet.
    pub(crate) wanted: Option<NodeId>,
    pub(super) returned: Option<Value>,
    depth: usize,
}

/// The root of the names of one template.
#[derive(Debug)]
pub(crate) struct NodeContext {
    pub(crate) project: Arc<Project>,
    pub(crate) options: Arc<CompileOptions>,
    pub(crate) macros: Arc<MacroLibrary>,
    pub(crate) index: Arc<Index>,
    pub(crate) columns: Arc<Columns>,
    /// False while dependencies are discovered.
    pub(crate) execute: bool,
    pub(crate) id: NodeId,
    pub(crate) name: String,
    /// Its own relation; `None` for tests and queries.
    pub(crate) this: Option<Relation>,
    /// What `is_incremental()` says.
    pub(crate) incremental: bool,
    /// Configuration merged so far.
    pub(crate) config: Map<String, Json>,
    /// Variables: the project's, or those of a unit test over them.
    pub(crate) vars: Map<String, Json>,
    /// What calls of macros give in a unit test.
    pub(crate) overrides: Map<String, Json>,
    /// Relations that stand for nodes in a unit test.
    pub(crate) replaced: BTreeMap<NodeId, Relation>,
    pub(crate) record: Mutex<Record>,
}

impl NodeContext {
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a macro call; the result is how deep it is.
    pub(super) fn enter(&self) -> usize {
        let mut record = self.record();
        record.depth += 1;
        record.depth
    }

    pub(super) fn leave(&self) {
        let mut record = self.record();
        record.depth = record.depth.saturating_sub(1);
    }

    /// The value of `return(…)`, once.
    pub(super) fn take_returned(&self) -> Option<Value> {
        self.record().returned.take()
    }

    /// Notes that the template reads `target` and gives its relation.
    pub(super) fn read(&self, target: &Referable) -> Value {
        self.record().reads.push(Arc::clone(&target.id));
        let relation = self.replaced.get(&target.id).unwrap_or(&target.relation);
        Value::from_object(RelationObject::new(relation, Arc::clone(&target.id)))
    }

    /// The node that `ref` names.
    pub(super) fn referred(&self, name: &str) -> Result<&Referable, RunnerError> {
        let Some(target) = self.index.nodes.get(name) else {
            let is_value =
                |(_, value): &(&String, &serde_json::Value)| value.as_str() == Some(name);
            let variable = self.project.vars.iter().find(is_value);
            let given = variable.map_or_else(String::new, |(variable, _)| {
                format!(" (the value of the variable `{variable}`)")
            });
            let message = format!(
                "`{}` refers to `{name}`{given}, which is no model or seed",
                self.name
            );
            let error = RunnerError::new(ErrorKind::Graph, message);
            let names = self.index.nodes.keys().map(String::as_str);
            return Err(match did_you_mean(name, names) {
                Some(hint) => error.with_hint(hint),
                None => error,
            });
        };
        if target.id == self.id {
            let message = format!("`{name}` refers to itself");
            return Err(RunnerError::new(ErrorKind::Graph, message)
                .with_hint("use `{{ this }}` for the model's own table"));
        }
        if self.execute && !target.enabled {
            let message =
                format!("`{}` refers to `{name}`, which is disabled", self.name);
            return Err(RunnerError::new(ErrorKind::Graph, message));
        }
        Ok(target)
    }

    /// The source table that `source` names.
    pub(super) fn sourced(
        &self,
        source: &str,
        table: &str,
    ) -> Result<&Referable, RunnerError> {
        let key = (source.to_owned(), table.to_owned());
        if let Some(target) = self.index.sources.get(&key) {
            if self.execute && !target.enabled {
                let message = format!("source `{source}.{table}` is disabled");
                return Err(RunnerError::new(ErrorKind::Graph, message));
            }
            return Ok(target);
        }
        let message = format!(
            "`{}` reads source `{source}.{table}`, which is not defined",
            self.name
        );
        let error = RunnerError::new(ErrorKind::Graph, message);
        let known: Vec<String> = self
            .index
            .sources
            .keys()
            .map(|(s, t)| format!("{s}.{t}"))
            .collect();
        let wanted = format!("{source}.{table}");
        Err(
            match did_you_mean(&wanted, known.iter().map(String::as_str)) {
                Some(hint) => error.with_hint(hint),
                None if known.is_empty() => {
                    error.with_hint("the project defines no sources")
                }
                None => error.with_hint(format!("sources: `{}`", known.join("`, `"))),
            },
        )
    }

    /// Configuration with what the template itself has given so far.
    pub(super) fn merged_config(&self) -> Map<String, Json> {
        let mut merged = self.config.clone();
        super::super::config::merge(&mut merged, &self.record().config);
        merged
    }

    /// What stands for the macro `name` (or `package.name`) in a unit test.
    pub(super) fn overridden(&self, name: &str) -> Option<Value> {
        let value = self
            .overrides
            .get(name)
            .filter(|_| name != "is_incremental")?;
        let value = from_json(value);
        Some(Value::from_function(move |_: Rest<Value>| value.clone()))
    }

    fn target(&self) -> Value {
        from_json(&target_json(&self.project))
    }

    fn model(&self) -> Value {
        let this = self.this.as_ref();
        from_json(&json!({
            "unique_id": &*self.id,
            "name": self.name,
            "alias": this.map_or(self.name.as_str(), |t| t.name.as_str()),
            "schema": this.map(|t| t.schema.as_str()),
            "database": this.map(|t| t.catalog.as_str()),
            "package_name": self.project.name,
            "resource_type": self.id.split('.').next(),
            "config": self.config,
        }))
    }

    fn this(&self) -> Value {
        let Some(relation) = &self.this else {
            return Value::UNDEFINED;
        };
        let relation = self.replaced.get(&self.id).unwrap_or(relation);
        Value::from_object(RelationObject::new(relation, Arc::clone(&self.id)))
    }

    /// Names for suggestions.
    pub(crate) fn known_names(&self) -> Vec<String> {
        let own = NAMES.iter().map(|n| (*n).to_owned());
        own.chain(self.macros.names().map(str::to_owned)).collect()
    }
}

/// `target.*`.
pub(crate) fn target_json(project: &Project) -> Json {
    let target = &project.target;
    let mut values = target.raw.clone();
    values.insert("name".to_owned(), json!(target.name));
    values.insert("target_name".to_owned(), json!(target.name));
    values.insert("profile_name".to_owned(), json!(target.profile_name));
    values.insert("schema".to_owned(), json!(target.schema));
    values.insert("type".to_owned(), json!(target.adapter));
    values.insert("threads".to_owned(), json!(target.threads));
    values.insert("database".to_owned(), json!(project.name));
    Json::Object(values)
}

impl Object for NodeContext {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        if let Some(value) = self.overridden(key) {
            return Some(value);
        }
        let function = |name| {
            Some(Value::from_object(Builtin {
                name,
                context: Arc::clone(self),
            }))
        };
        match key {
            ROOT => Some(Value::from_dyn_object(Arc::clone(self))),
            "this" => Some(self.this()).filter(|v| !v.is_undefined()),
            "target" => Some(self.target()),
            "model" => Some(self.model()),
            "execute" => Some(Value::from(self.execute)),
            "project_name" => Some(Value::from(self.project.name.as_str())),
            "invocation_id" => Some(Value::from(self.options.invocation_id.as_str())),
            "run_started_at" => Some(Namespace::value("run_started_at", self)),
            "flags" => Some(from_json(&json!({
                "FULL_REFRESH": self.options.full_refresh,
                "WHICH": self.options.command,
            }))),
            "dbt" | "dbt_utils" | "adapter" | "exceptions" | "modules" | "builtins"
            | "api" => {
                let name = NAMES.iter().find(|n| **n == key)?;
                Some(Namespace::value(name, self))
            }
            _ if key == self.project.name => Some(Namespace::value("", self)),
            _ => match NAMES.iter().find(|n| **n == key) {
                Some(name) => function(name),
                // the project's own macro of that name wins
                None if self.macros.has(key) => None,
                None => dbt::NAMES
                    .contains(&key)
                    .then(|| Helper::value("dbt", key, self)),
            },
        }
    }
}
