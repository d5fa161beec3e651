//! Unit tests: the model's SQL with every input replaced by given rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::build::{Compiler, Job};
use super::fragments::template;
use super::{Compiled, Materialized, Node, NodeId, NodeKind, Relation};
use crate::runner::error::{ErrorKind, Result, RunnerError, did_you_mean};
use crate::runner::project::{Properties, TextFile, UnitTest};

/// All enabled unit tests, compiled.
pub(super) async fn nodes(compiler: &mut Compiler<'_>) -> Result<Vec<Node>> {
    let project = Arc::clone(&compiler.project);
    let mut nodes = Vec::new();
    for test in &project.unit_tests {
        let node = node(compiler, test).await.map_err(|error| {
            if error.location().is_some() {
                return error;
            }
            error.with_location(test.location.clone())
        })?;
        nodes.extend(node);
    }
    Ok(nodes)
}

async fn node(compiler: &mut Compiler<'_>, test: &UnitTest) -> Result<Option<Node>> {
    let config = compiler.config(&test.config, Materialized::View)?;
    if !config.enabled {
        return Ok(None);
    }
    let Some(model) = model(compiler, test)? else {
        return Ok(None);
    };
    let Some(model_file) = model.file.clone() else {
        return Ok(None);
    };
    let (replaced, given) = inputs(compiler, test, &model)?;
    check_overrides(compiler, test)?;
    let incremental = test.macros.get("is_incremental") == Some(&Value::Bool(true));
    let mut vars = compiler.project.vars.clone();
    vars.extend(test.vars.clone());
    let job = || Job {
        incremental,
        vars: Some(vars.clone()),
        overrides: test.macros.clone(),
        replaced: replaced.clone(),
        ..Job::default()
    };
    let rendered = compiler
        .execute(&template(&model_file), &model, job)
        .await?;
    check_inputs(test, &rendered.record.reads, &replaced, &model.id)?;
    let id = format!(
        "unit_test.{}.{}.{}",
        compiler.project.name, model.name, test.name
    );
    Ok(Some(Node {
        id: NodeId::from(id),
        name: test.name.clone(),
        fqn: test.fqn.clone(),
        checksum: compiler.checksum(&format!("{test:?}")),
        file: Some(property_file(test)),
        config,
        properties: Properties {
            description: test.description.clone(),
            location: Some(test.location.clone()),
            ..Properties::default()
        },
        relation: None,
        raw_code: Arc::clone(&model.raw_code),
        compiled: Compiled {
            sql: rendered.sql,
            map: rendered.map,
            of_full_refresh: None,
        },
        depends_on: vec![Arc::clone(&model.id)],
        kind: NodeKind::UnitTest {
            test: Arc::new(test.clone()),
            model: Arc::clone(&model.id),
            given,
        },
    }))
}

fn property_file(test: &UnitTest) -> TextFile {
    TextFile {
        path: test.location.file.clone(),
        text: Arc::clone(&test.location.text),
    }
}

/// The model under test; `None` if it is disabled.
fn model(compiler: &Compiler<'_>, test: &UnitTest) -> Result<Option<Arc<Node>>> {
    let id = format!("model.{}.{}", compiler.project.name, test.model);
    if let Some(model) = compiler.done.get(id.as_str()) {
        return Ok(Some(Arc::clone(model)));
    }
    if compiler.project.models.iter().any(|m| m.name == test.model) {
        return Ok(None);
    }
    let message = format!(
        "unit test `{}` tests `{}`, which is no model",
        test.name, test.model
    );
    let error = RunnerError::new(ErrorKind::Graph, message);
    let names = compiler.project.models.iter().map(|m| m.name.as_str());
    Err(match did_you_mean(&test.model, names) {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

type Inputs = (BTreeMap<NodeId, Relation>, Vec<(Relation, usize)>);

fn inputs(compiler: &Compiler<'_>, test: &UnitTest, model: &Node) -> Result<Inputs> {
    let mut replaced = BTreeMap::new();
    let mut given = Vec::new();
    for (at, input) in test.given.iter().enumerate() {
        let (id, name) = if input.input.trim() == "this" {
            (Arc::clone(&model.id), model.name.clone())
        } else {
            let (_, id) = compiler.relation_of(&test.name, &input.input)?;
            let parts = if id.starts_with("source.") { 2 } else { 1 };
            let names: Vec<&str> = id.rsplitn(parts + 1, '.').take(parts).collect();
            let name = names.into_iter().rev().collect::<Vec<_>>().join("__");
            (id, name)
        };
        let relation = Relation {
            catalog: compiler.project.name.clone(),
            schema: format!("__unit_test__{}", test.name),
            name,
        };
        given.push((relation.clone(), at));
        if replaced.insert(id, relation).is_some() {
            let message =
                format!("unit test `{}` gives `{}` twice", test.name, input.input);
            return Err(RunnerError::new(ErrorKind::Project, message));
        }
    }
    Ok((replaced, given))
}

/// `overrides: macros:` must name something that templates can call.
fn check_overrides(compiler: &Compiler<'_>, test: &UnitTest) -> Result<()> {
    let renderer = &compiler.renderer;
    let project = &compiler.project.name;
    let unknown = |name: &&String| !renderer.can_call(project, name);
    let Some(name) = test.macros.keys().find(unknown) else {
        return Ok(());
    };
    let message = format!(
        "unit test `{}` overrides macro `{name}`, which does not exist",
        test.name
    );
    let error = RunnerError::new(ErrorKind::Project, message);
    Err(match did_you_mean(name, renderer.macros.names()) {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

fn check_inputs(
    test: &UnitTest,
    reads: &[NodeId],
    given: &BTreeMap<NodeId, Relation>,
    model: &NodeId,
) -> Result<()> {
    let short = |id: &NodeId| id.splitn(3, '.').last().unwrap_or_default().to_owned();
    if let Some(missing) = reads.iter().find(|id| !given.contains_key(*id)) {
        let message = format!(
            "unit test `{}` gives no rows for `{}`, which `{}` reads",
            test.name,
            short(missing),
            test.model
        );
        let hint = "add it to `given`; `rows: []` is an empty input";
        return Err(RunnerError::new(ErrorKind::Project, message).with_hint(hint));
    }
    let unread = given.keys().find(|id| !reads.contains(id) && *id != model);
    if let Some(unread) = unread {
        let message = format!(
            "unit test `{}` gives rows for `{}`, which `{}` does not read",
            test.name,
            short(unread),
            test.model
        );
        return Err(RunnerError::new(ErrorKind::Project, message));
    }
    Ok(())
}
