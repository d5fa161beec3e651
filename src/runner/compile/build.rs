//! The way from a project to its graph: drafts, references, order, SQL.

use std::collections::btree_map::Entry;
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
    CompileOptions, Dag, Materialized, Node, NodeConfig, NodeId, NodeKind, Relation,
    SchemaResolver, config, generic_tests, graph, nodes, unit_tests,
};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::project::{ConfigMap, Project};
use crate::runner::template::{TemplateSource, YamlContext, render_yaml_string};

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
    /// What calls of macros give in a unit test.
    pub(super) overrides: Map<String, Value>,
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
        for draft in graph::sorted_drafts(drafts)? {
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
        let nodes: Vec<Arc<Node>> =
            order.iter().filter_map(|id| self.done.remove(id)).collect();
        self.logs.extend(nodes::without_effect(&nodes));
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
                self.check_config(&draft.node)?;
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
            overrides: job.overrides,
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
        let upstream = self.upstream(node)?;
        self.schemas.node_columns(node, &upstream).await
    }

    /// Everything `node` can reach; each node comes after those it reads.
    fn upstream(&self, node: &Node) -> Result<Vec<Arc<Node>>> {
        let mut reads = BTreeMap::new();
        let mut open = node.depends_on.clone();
        while let Some(id) = open.pop() {
            let Some(found) = self.done.get(&id) else {
                continue;
            };
            if let Entry::Vacant(entry) = reads.entry(id) {
                open.extend(found.depends_on.iter().cloned());
                entry.insert(found.depends_on.clone());
            }
        }
        let order = graph::sorted(&reads, &|id| id.to_string(), &|_, _| None)?;
        let nodes = order.iter().filter_map(|id| self.done.get(id));
        Ok(nodes.cloned().collect())
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
