//! The way from a project to its graph: drafts, references, order, SQL.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::generic_tests::Tested;
use super::jinja::{
    Columns, Index, NodeContext, Record, Referable, Rendered, Renderer, Stopped,
    target_json,
};
use super::{
    CompileOptions, Compiled, Dag, Materialized, Node, NodeConfig, NodeId, NodeKind,
    Relation, SOURCE_CATALOG, SchemaResolver, config, generic_tests, graph, sources,
    unit_tests,
};
use crate::runner::data_tests::TestInput;
use crate::runner::error::{ErrorKind, Location, Result, RunnerError};
use crate::runner::project::{ConfigMap, ModelFile, Project, Properties, TextFile};
use crate::runner::template::{
    OffsetMap, TemplateSource, YamlContext, location_at, render_yaml_string,
};

/// A node that is not rendered yet, and its template.
pub(super) struct Draft {
    pub(super) node: Node,
    pub(super) source: Option<TemplateSource>,
}

/// What all steps share.
pub(super) struct Compiler<'a> {
    pub(super) project: Arc<Project>,
    pub(super) options: Arc<CompileOptions>,
    pub(super) renderer: Renderer,
    pub(super) schemas: &'a dyn SchemaResolver,
    pub(super) yaml: YamlContext,
    pub(super) index: Arc<Index>,
    pub(super) columns: Arc<Columns>,
    pub(super) done: HashMap<NodeId, Arc<Node>>,
    pub(super) logs: Vec<String>,
}

/// What is special about one rendering.
#[derive(Default)]
pub(super) struct Job {
    pub(super) execute: bool,
    pub(super) incremental: bool,
    pub(super) vars: Option<Map<String, Value>>,
    pub(super) replaced: BTreeMap<NodeId, Relation>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(
        project: Arc<Project>,
        options: &CompileOptions,
        schemas: &'a dyn SchemaResolver,
    ) -> Result<Self> {
        let yaml = YamlContext {
            env: project.env.clone(),
            vars: project.vars.clone(),
            target: target_json(&project),
        };
        Ok(Self {
            renderer: Renderer::new(&project)?,
            project,
            options: Arc::new(options.clone()),
            schemas,
            yaml,
            index: Arc::default(),
            columns: Arc::default(),
            done: HashMap::new(),
            logs: Vec::new(),
        })
    }

    /// Compiles the whole project.
    pub(super) async fn run(mut self) -> Result<Dag> {
        let mut nodes = self.source_nodes()?;
        nodes.extend(self.seed_nodes()?);
        let mut drafts = self.sql_drafts()?;
        self.index = Arc::new(index(&nodes, &drafts)?);
        drafts = self.discover(drafts)?;
        self.index = Arc::new(index(&nodes, &drafts)?);
        nodes.retain(|node| node.config.enabled);
        drafts.retain(|draft| draft.node.config.enabled);
        let tests = self.data_tests(&nodes, &drafts)?;
        for node in &nodes {
            self.done
                .insert(Arc::clone(&node.id), Arc::new(node.clone()));
        }
        let mut order: Vec<NodeId> = nodes.into_iter().map(|node| node.id).collect();
        for draft in sorted(drafts)? {
            order.push(Arc::clone(&draft.node.id));
            let node = self.compile_node(draft).await?;
            self.done.insert(Arc::clone(&node.id), Arc::new(node));
        }
        for test in tests {
            let test = test.node;
            order.push(Arc::clone(&test.id));
            self.done.insert(Arc::clone(&test.id), Arc::new(test));
        }
        for test in unit_tests::nodes(&mut self).await? {
            order.push(Arc::clone(&test.id));
            self.done.insert(Arc::clone(&test.id), Arc::new(test));
        }
        let nodes = order.iter().filter_map(|id| self.done.remove(id)).collect();
        Ok(Dag {
            project: self.project,
            nodes,
            logs: self.logs,
        })
    }

    /// Renders the strings of a configuration and types it.
    pub(super) fn config(
        &self,
        written: &ConfigMap,
        default: Materialized,
    ) -> Result<NodeConfig> {
        let mut config = written.clone();
        for (key, value) in &mut config.values {
            let Value::String(text) = value else { continue };
            *value =
                render_yaml_string(text, &self.yaml).map_err(|error| {
                    match written.locations.get(key) {
                        Some(location) => error.with_location(location.clone()),
                        None => error,
                    }
                })?;
        }
        config::typed(&config, default)
    }

    /// SHA-256 as hex.
    pub(super) fn checksum(&self, text: &str) -> String {
        use std::fmt::Write as _;
        Sha256::digest(text.as_bytes())
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }

    fn source_nodes(&self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for table in &self.project.sources {
            let resolved = sources::resolve(&self.project, table, &self.yaml)?;
            let mut written = table.config.clone();
            written.values.remove("format");
            written.values.remove("external_location");
            nodes.push(Node {
                id: sources::id(&self.project, table),
                name: table.name.clone(),
                kind: NodeKind::Source(resolved),
                fqn: table.fqn.clone(),
                file: Some(table.file.clone()),
                config: self.config(&written, Materialized::View)?,
                properties: table.properties.clone(),
                relation: Some(Relation {
                    catalog: SOURCE_CATALOG.to_owned(),
                    schema: table.source_name.clone(),
                    name: table.name.clone(),
                }),
                raw_code: Arc::from(""),
                compiled: Compiled::default(),
                depends_on: Vec::new(),
                checksum: String::new(),
            });
        }
        Ok(nodes)
    }

    fn seed_nodes(&self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for seed in &self.project.seeds {
            let config = self.config(&seed.config, Materialized::Seed)?;
            nodes.push(Node {
                id: format!("seed.{}.{}", self.project.name, seed.name).into(),
                name: seed.name.clone(),
                kind: NodeKind::Seed(Arc::new(seed.clone())),
                fqn: seed.fqn.clone(),
                file: None,
                relation: Some(self.relation(&seed.name, &seed.fqn, &config)),
                config,
                properties: seed.properties.clone(),
                raw_code: Arc::from(""),
                compiled: Compiled::default(),
                depends_on: Vec::new(),
                checksum: self.checksum(&seed.absolute_path.to_string_lossy()),
            });
        }
        Ok(nodes)
    }

    fn relation(&self, name: &str, fqn: &[String], config: &NodeConfig) -> Relation {
        let text = |key| {
            config
                .raw
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let folder = fqn.get(1).filter(|_| fqn.len() > 2).cloned();
        let schema = text("schema").or(folder);
        Relation {
            catalog: self.project.name.clone(),
            schema: schema.unwrap_or_else(|| self.project.target.schema.clone()),
            name: text("alias").unwrap_or_else(|| name.to_owned()),
        }
    }

    fn sql_drafts(&self) -> Result<Vec<Draft>> {
        let models = self.project.models.iter().map(|m| (m, true));
        let tests = self.project.singular_tests.iter().map(|t| (t, false));
        models
            .chain(tests)
            .map(|(file, model)| self.sql_draft(file, model))
            .collect()
    }

    fn sql_draft(&self, model: &ModelFile, is_model: bool) -> Result<Draft> {
        let config = self.config(&model.config, Materialized::View)?;
        let kind = if is_model { "model" } else { "test" };
        let relation = is_model.then(|| self.relation(&model.name, &model.fqn, &config));
        let node = Node {
            id: format!("{kind}.{}.{}", self.project.name, model.name).into(),
            name: model.name.clone(),
            kind: if is_model {
                NodeKind::Model
            } else {
                NodeKind::SingularTest
            },
            fqn: model.fqn.clone(),
            file: Some(model.file.clone()),
            config,
            properties: model.properties.clone(),
            relation,
            raw_code: Arc::clone(&model.file.text),
            compiled: Compiled::default(),
            depends_on: Vec::new(),
            checksum: self.checksum(&model.file.text),
        };
        Ok(Draft {
            node,
            source: Some(template(&model.file)),
        })
    }

    /// First pass: what does each template read, how does it configure itself.
    fn discover(&self, drafts: Vec<Draft>) -> Result<Vec<Draft>> {
        let mut found = Vec::with_capacity(drafts.len());
        for mut draft in drafts {
            if draft.node.config.enabled
                && let Some(source) = &draft.source
            {
                match self.render(source, &draft.node, Job::default()) {
                    Ok(rendered) => self.learn(&mut draft.node, rendered.record)?,
                    Err(stopped)
                        if stopped.record.config.get("enabled")
                            == Some(&Value::Bool(false)) =>
                    {
                        draft.node.config.enabled = false;
                    }
                    Err(stopped) => return Err(stopped.error),
                }
            }
            found.push(draft);
        }
        Ok(found)
    }

    fn learn(&self, node: &mut Node, record: Record) -> Result<()> {
        node.depends_on = record.reads;
        node.depends_on.sort();
        node.depends_on.dedup();
        if !record.config.is_empty() {
            let mut values = node.config.raw.clone();
            config::merge(&mut values, &record.config);
            let merged = ConfigMap {
                values,
                ..ConfigMap::default()
            };
            node.config = config::typed(&merged, Materialized::View)?;
            if node.relation.is_some() {
                node.relation = Some(self.relation(&node.name, &node.fqn, &node.config));
            }
        }
        Ok(())
    }

    /// Renders one template once.
    pub(super) fn render(
        &self,
        source: &TemplateSource,
        node: &Node,
        job: Job,
    ) -> Result<Rendered, Box<Stopped>> {
        let context = NodeContext {
            project: Arc::clone(&self.project),
            options: Arc::clone(&self.options),
            macros: Arc::clone(&self.renderer.macros),
            index: Arc::clone(&self.index),
            columns: Arc::clone(&self.columns),
            execute: job.execute,
            id: Arc::clone(&node.id),
            name: node.name.clone(),
            this: node.relation.clone(),
            incremental: job.incremental,
            config: node.config.raw.clone(),
            vars: job.vars.unwrap_or_else(|| self.project.vars.clone()),
            replaced: job.replaced,
            record: Mutex::default(),
        };
        self.renderer.render(source, context)
    }

    /// Renders with execution, resolving columns as templates ask for them.
    pub(super) async fn execute(
        &mut self,
        source: &TemplateSource,
        node: &Node,
        job: impl Fn() -> Job,
    ) -> Result<Rendered> {
        loop {
            let stopped = match self.render(
                source,
                node,
                Job {
                    execute: true,
                    ..job()
                },
            ) {
                Ok(rendered) => return Ok(rendered),
                Err(stopped) => stopped,
            };
            let Some(wanted) = stopped.record.wanted else {
                return Err(stopped.error);
            };
            let columns = self.columns_of(&wanted).await?;
            let mut known = (*self.columns).clone();
            known.insert(wanted, columns);
            self.columns = Arc::new(known);
        }
    }

    async fn columns_of(&self, id: &NodeId) -> Result<Vec<(String, String)>> {
        let Some(node) = self.done.get(id) else {
            let message = format!("the columns of `{id}` are not known here");
            return Err(RunnerError::new(ErrorKind::Graph, message));
        };
        if let NodeKind::Source(source) = &node.kind {
            return self.schemas.source_columns(source).await;
        }
        let upstream: Vec<Arc<Node>> = self.done.values().cloned().collect();
        self.schemas.node_columns(node, &upstream).await
    }

    async fn compile_node(&mut self, draft: Draft) -> Result<Node> {
        let mut node = draft.node;
        let Some(source) = draft.source else {
            return Ok(node);
        };
        let full_refresh = node
            .config
            .full_refresh
            .unwrap_or(self.options.full_refresh);
        let incremental = node.config.materialized == Materialized::Incremental
            && self.options.versions.incremental.contains(&node.id)
            && !full_refresh;
        let job = || Job {
            incremental,
            ..Job::default()
        };
        let rendered = self.execute(&source, &node, job).await?;
        let late = rendered
            .record
            .reads
            .iter()
            .find(|id| !node.depends_on.contains(id));
        if let Some(late) = late {
            let name = late.rsplit('.').next().unwrap_or_default();
            let message = format!(
                "`{}` reads `{name}` only while it executes, so the order is not known",
                node.name
            );
            return Err(
                RunnerError::new(ErrorKind::Graph, message).with_hint(format!(
                    "add `-- depends_on: {{{{ ref('{name}') }}}}` to the model"
                )),
            );
        }
        self.logs.extend(rendered.record.logs);
        node.compiled = Compiled {
            sql: rendered.sql,
            map: rendered.map,
        };
        Ok(node)
    }

    fn data_tests(&self, nodes: &[Node], drafts: &[Draft]) -> Result<Vec<Draft>> {
        let mut tests = Vec::new();
        for node in nodes.iter().chain(drafts.iter().map(|d| &d.node)) {
            let Some(relation) = &node.relation else {
                continue;
            };
            let is_source = matches!(node.kind, NodeKind::Source(_));
            let tested = Tested {
                id: &node.id,
                name: if is_source {
                    format!("{}_{}", relation.schema, node.name)
                } else {
                    node.name.clone()
                },
                is_source,
                relation: relation.to_string(),
                fqn: &node.fqn,
            };
            tests.extend(generic_tests::drafts(self, &tested, &node.properties)?);
        }
        Ok(tests)
    }

    /// The relation that `expression` (`ref('…')`, `source('…', '…')`) names.
    pub(super) fn relation_of(
        &self,
        reader: &str,
        expression: &str,
    ) -> Result<(String, NodeId)> {
        let inner = expression
            .trim()
            .trim_start_matches("{{")
            .trim_end_matches("}}");
        let rendered = self.fragment(reader, &format!("{{{{ {} }}}}", inner.trim()))?;
        let read = rendered.record.reads.into_iter().next();
        let id = read.ok_or_else(|| {
            let message = format!("`{expression}` is no `ref` or `source`");
            RunnerError::new(ErrorKind::Project, message)
        })?;
        Ok((rendered.sql, id))
    }

    /// The query of a `{% test %}` block of the project.
    pub(super) fn custom_test(
        &self,
        name: &str,
        input: &TestInput<'_>,
    ) -> Result<String> {
        let mut arguments = vec![format!("model={}", Value::from(input.relation))];
        if let Some(column) = input.column {
            arguments.push(format!("column_name={}", Value::from(column)));
        }
        for (key, value) in input.arguments {
            arguments.push(format!(
                "{key}=fromjson({})",
                Value::from(value.to_string())
            ));
        }
        let call = format!("{{{{ test_{name}({}) }}}}", arguments.join(", "));
        Ok(self.fragment(name, &call)?.sql)
    }

    /// Renders a text that stands in no file of its own.
    fn fragment(&self, reader: &str, text: &str) -> Result<Rendered> {
        let file = TextFile {
            path: "<inline>".into(),
            text: Arc::from(text),
        };
        let node = self.inline_node(&file, reader);
        let job = Job {
            execute: true,
            ..Job::default()
        };
        self.render(&template(&file), &node, job)
            .map_err(|stopped| {
                let plain =
                    RunnerError::new(stopped.error.kind(), stopped.error.message());
                match stopped.error.hint() {
                    Some(hint) => plain.with_hint(hint),
                    None => plain,
                }
            })
    }

    /// The node of an ad-hoc query.
    pub(super) fn inline_node(&self, file: &TextFile, name: &str) -> Node {
        Node {
            id: format!("sql_operation.{}.{name}", self.project.name).into(),
            name: name.to_owned(),
            kind: NodeKind::Model,
            fqn: vec![self.project.name.clone(), name.to_owned()],
            checksum: self.checksum(&file.text),
            file: Some(file.clone()),
            config: config::defaults(),
            properties: Properties::default(),
            relation: None,
            raw_code: Arc::clone(&file.text),
            compiled: Compiled::default(),
            depends_on: Vec::new(),
        }
    }
}

/// A file as a template.
pub(super) fn template(file: &TextFile) -> TemplateSource {
    TemplateSource {
        path: file.path.clone(),
        text: Arc::clone(&file.text),
        offsets: OffsetMap::default(),
    }
}

/// Everything that can be referred to; two nodes of one name are an error.
pub(super) fn index(nodes: &[Node], drafts: &[Draft]) -> Result<Index> {
    let mut index = Index::default();
    for node in nodes.iter().chain(drafts.iter().map(|d| &d.node)) {
        let Some(relation) = node.relation.clone() else {
            continue;
        };
        let entry = Referable {
            id: Arc::clone(&node.id),
            relation,
            enabled: node.config.enabled,
        };
        let other = match &node.kind {
            NodeKind::Source(source) => {
                let table = &source.table;
                let key = (table.source_name.clone(), table.name.clone());
                index.sources.insert(key, entry)
            }
            _ => index.nodes.insert(node.name.clone(), entry),
        };
        if let Some(other) = other.filter(|other| other.enabled && node.config.enabled) {
            let message = format!("`{}` and `{}` have the same name", other.id, node.id);
            return Err(RunnerError::new(ErrorKind::Project, message));
        }
    }
    Ok(index)
}

fn sorted(drafts: Vec<Draft>) -> Result<Vec<Draft>> {
    let reads = |model: bool| {
        let of_kind = drafts
            .iter()
            .filter(move |d| matches!(d.node.kind, NodeKind::Model) == model);
        of_kind
            .map(|d| (Arc::clone(&d.node.id), d.node.depends_on.clone()))
            .collect()
    };
    let name = |id: &NodeId| id.rsplit('.').next().unwrap_or_default().to_owned();
    let place = |from: &NodeId, to: &NodeId| {
        let draft = drafts.iter().find(|d| &d.node.id == from)?;
        place_of_name(&draft.node, &name(to))
    };
    let mut order = graph::sorted(&reads(true), &name, &place)?;
    order.extend(graph::sorted(&reads(false), &name, &place)?);
    let mut by_id: HashMap<NodeId, Draft> = drafts
        .into_iter()
        .map(|d| (Arc::clone(&d.node.id), d))
        .collect();
    Ok(order.iter().filter_map(|id| by_id.remove(id)).collect())
}

/// Where the file of `node` names `other` in quotes.
fn place_of_name(node: &Node, other: &str) -> Option<Location> {
    let file = node.file.as_ref()?;
    let quoted = |q: char| file.text.find(&format!("{q}{other}{q}"));
    let start = quoted('\'').or_else(|| quoted('"'))? + 1;
    let end = start + other.len();
    Some(location_at(&file.path, &file.text, start, end))
}
