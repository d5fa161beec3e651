//! What the project holds -> nodes: sources with their place, seeds, SQL files as drafts.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::build::{Compiler, Draft, Job};
use super::fragments::template;
use super::{
    Compiled, IncrementalStrategy, Materialized, Node, NodeConfig, NodeId, NodeKind,
    Relation, ResolvedSource, SOURCE_CATALOG, config,
};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::project::{ModelFile, Project, SourceTable};
use crate::runner::template::{YamlContext, location_at, render_yaml_string};

impl Compiler<'_> {
    pub(super) fn source_nodes(&self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for table in &self.project.sources {
            let resolved = resolve(&self.project, table, &self.yaml)?;
            let mut written = table.config.clone();
            for facts in ["format", "external_location", "database"] {
                written.values.remove(facts);
            }
            nodes.push(Node {
                id: source_id(&self.project, table),
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

    pub(super) fn seed_nodes(&self) -> Result<Vec<Node>> {
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

    pub(super) fn relation(
        &self,
        name: &str,
        fqn: &[String],
        config: &NodeConfig,
    ) -> Relation {
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

    pub(super) fn sql_drafts(&self) -> Result<Vec<Draft>> {
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

    /// Checks what can only be checked once all of the configuration is known.
    pub(super) fn check_config(&self, node: &Node) -> Result<()> {
        let checked = config::check_incremental(&node.name, &node.config);
        checked.map_err(|error| {
            let Some(file) = &node.file else {
                return error;
            };
            let word = "incremental_strategy";
            let start = file.text.find(word);
            let end = start.map_or(1, |start| start + word.len());
            let start = start.unwrap_or_default();
            error.with_location(location_at(&file.path, &file.text, start, end))
        })
    }

    /// The SQL of a node; of an increment and of a full refresh where they differ.
    pub(super) async fn compile_node(&mut self, draft: Draft) -> Result<Node> {
        let mut node = draft.node;
        let Some(source) = draft.source else {
            return Ok(node);
        };
        let incremental = self.is_incremental(&node).await?;
        let job = |incremental| {
            move || Job {
                incremental,
                ..Job::default()
            }
        };
        let rendered = self.execute(&source, &node, job(incremental)).await?;
        all_known(&node, &rendered.record.reads)?;
        self.logs.extend(rendered.record.logs);
        if rendered.record.asked_for_increment && updated_by_key(&node) {
            self.logs.push(format!(
                "`{}` calls `is_incremental()`, which is false under the strategy `keys`: its SQL must \
                 give all rows; set `incremental_strategy` (`merge`, `append`, …) for increments",
                node.name
            ));
        }
        let mut of_full_refresh = None;
        if incremental {
            let full = self.execute(&source, &node, job(false)).await?;
            of_full_refresh = Some(full.sql);
        }
        node.compiled = Compiled {
            sql: rendered.sql,
            map: rendered.map,
            of_full_refresh,
        };
        Ok(node)
    }

    /// What `is_incremental()` says: never in a model that is updated by key, whose SQL is
    /// the definition of all of its rows.
    async fn is_incremental(&self, node: &Node) -> Result<bool> {
        let config = &node.config;
        let full_refresh = config.full_refresh.unwrap_or(self.options.full_refresh);
        let incremental = config.materialized == Materialized::Incremental;
        if !incremental || full_refresh || updated_by_key(node) {
            return Ok(false);
        }
        self.schemas.table_exists(node).await
    }
}

fn updated_by_key(node: &Node) -> bool {
    node.config.materialized == Materialized::Incremental
        && node.config.incremental.strategy == IncrementalStrategy::Keys
}

/// What a template reads while it executes must be what it was seen to read before.
fn all_known(node: &Node, reads: &[NodeId]) -> Result<()> {
    let Some(late) = reads.iter().find(|id| !node.depends_on.contains(id)) else {
        return Ok(());
    };
    let name = late.rsplit('.').next().unwrap_or_default();
    let message = format!(
        "`{}` reads `{name}` only while it executes, so the order is not known",
        node.name
    );
    let hint = format!("add `-- depends_on: {{{{ ref('{name}') }}}}` to the model");
    Err(RunnerError::new(ErrorKind::Graph, message).with_hint(hint))
}

/// `source.<project>.<source>.<table>`.
fn source_id(project: &Project, table: &SourceTable) -> NodeId {
    NodeId::from(format!(
        "source.{}.{}.{}",
        project.name, table.source_name, table.name
    ))
}

/// Renders the location of a source table.
fn resolve(
    project: &Project,
    table: &SourceTable,
    yaml: &YamlContext,
) -> Result<Arc<ResolvedSource>> {
    let location = match &table.external_location {
        None => None,
        Some(located) => {
            let place =
                |error: RunnerError| error.with_location(located.location.clone());
            let rendered = render_yaml_string(&located.value, yaml).map_err(place)?;
            let Value::String(text) = rendered else {
                let message = format!(
                    "the location of source `{}.{}` is no text: `{rendered}`",
                    table.source_name, table.name
                );
                return Err(place(RunnerError::new(ErrorKind::Source, message)));
            };
            Some(absolute(project, &filled(table, &text)))
        }
    };
    Ok(Arc::new(ResolvedSource {
        table: table.clone(),
        location,
    }))
}

/// dbt-duckdb's placeholders.
fn filled(table: &SourceTable, text: &str) -> String {
    text.replace("{name}", &table.name)
        .replace("{identifier}", &table.identifier)
        .replace("{schema}", &table.source_name)
}

/// URLs and absolute paths stay; any other path starts at the project's root, whoever gave
/// it: a variable of the command line means what it means in `dbt_project.yml`.
fn absolute(project: &Project, text: &str) -> String {
    if text.contains("://") || Path::new(text).is_absolute() {
        return text.to_owned();
    }
    project.root.join(text).to_string_lossy().into_owned()
}

/// One line on the configuration that changes nothing here.
pub(super) fn without_effect(nodes: &[Arc<Node>]) -> Option<String> {
    let mut keys: Vec<&str> = Vec::new();
    let mut models = 0;
    for node in nodes {
        if !matches!(node.kind, NodeKind::Model | NodeKind::Seed(_)) {
            continue;
        }
        let found = config::without_effect(&node.config);
        models += usize::from(!found.is_empty());
        keys.extend(found);
    }
    keys.sort_unstable();
    keys.dedup();
    let of = if models == 1 { "model" } else { "models" };
    (models > 0).then(|| {
        format!(
            "warning: without effect in {models} {of}: `{}` (how other databases lay out \
             tables)",
            keys.join("`, `")
        )
    })
}
