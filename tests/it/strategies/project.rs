//! A project of one incremental model, `m`, over one source, run in this process.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::DateTime;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::util::display::array_value_to_string;
use futures::TryStreamExt;
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::sync::watch;

use datafusion_sessionize::runner::compile::{
    CompileOptions, Dag, Node, Selection, compile,
};
use datafusion_sessionize::runner::engine::{Engine, EngineOptions};
use datafusion_sessionize::runner::error::RunnerError;
use datafusion_sessionize::runner::project::{LoadOptions, load};
use datafusion_sessionize::runner::run::{NodeResult, RunContext, RunObserver, run};
use datafusion_sessionize::runner::schedule::{Command, schedule};

use crate::packs::lake::write;

const PROFILES: &str = "\
shop:
  target: dev
  outputs:
    dev:
      type: sessionize
      location: tables
";

const SOURCES: &str = "\
sources:
  - name: raw
    tables:
      - name: new
        config:
          external_location: data/new.parquet
";

/// Cells of rows as text, in a fixed order.
pub(crate) type Cells = Vec<Vec<Option<String>>>;

/// The project, in a folder of its own.
pub(crate) struct Project {
    folder: TempDir,
    full_refresh: bool,
    memory_limit: Option<usize>,
    vars: Map<String, Value>,
}

impl Project {
    /// `config` are the arguments of the model's `config(…)` beside `materialized`.
    pub(crate) fn new(config: &str, select: &str) -> Self {
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
            full_refresh: false,
            memory_limit: None,
            vars: Map::new(),
        };
        for folder in ["models", "data"] {
            fs::create_dir(project.path(folder)).unwrap();
        }
        let file = "name: shop\nversion: '1.0'\nprofile: shop\n";
        fs::write(project.path("dbt_project.yml"), file).unwrap();
        fs::write(project.path("profiles.yml"), PROFILES).unwrap();
        fs::write(project.path("models/sources.yml"), SOURCES).unwrap();
        project.model(config, select);
        project
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes the model anew.
    pub(crate) fn model(&self, config: &str, select: &str) {
        let text =
            format!("{{{{ config(materialized='incremental', {config}) }}}}\n{select}\n");
        fs::write(self.path("models/m.sql"), text).unwrap();
    }

    pub(crate) fn full_refresh(mut self, on: bool) -> Self {
        self.full_refresh = on;
        self
    }

    pub(crate) fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    pub(crate) fn var(&mut self, name: &str, value: Value) {
        self.vars.insert(name.to_owned(), value);
    }

    /// Makes `columns` the rows of the source, instead of those before.
    pub(crate) fn deliver(&self, columns: Vec<(&str, ArrayRef)>) {
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        write(&self.path("data/new.parquet"), &rows);
    }

    /// Runs the model; what was said of it.
    pub(crate) async fn run(&self) -> Run {
        self.try_run().await.unwrap_or_else(|e| panic!("{e}"))
    }

    /// Runs the model; an error and its hint as one text.
    pub(crate) async fn try_run(&self) -> Result<Run, String> {
        let prepared = self.prepare().await?;
        self.run_prepared(prepared).await
    }

    /// A compiled project that has not run yet.
    pub(crate) async fn prepare(&self) -> Result<(Engine, Arc<Dag>), String> {
        let options = LoadOptions {
            project_dir: self.folder.path().to_owned(),
            current_dir: self.folder.path().to_owned(),
            vars: self.vars.clone(),
            ..LoadOptions::default()
        };
        let project = Arc::new(load(&options).map_err(|e| told(&e))?);
        let options = EngineOptions {
            partitions: Some(2),
            memory_limit: self.memory_limit,
            ..EngineOptions::default()
        };
        let engine = Engine::try_new(Arc::clone(&project), &options);
        let engine = engine.map_err(|e| told(&e))?;
        let options = CompileOptions {
            full_refresh: self.full_refresh,
            ..CompileOptions::default()
        };
        let dag = compile(project, &options, &engine).await;
        let dag = Arc::new(dag.map_err(|e| told(&e))?);
        engine.register(&dag).map_err(|e| told(&e))?;
        Ok((engine, dag))
    }

    pub(crate) async fn run_prepared(
        &self,
        (engine, dag): (Engine, Arc<Dag>),
    ) -> Result<Run, String> {
        let selection = Selection::default();
        let schedule = schedule(Arc::clone(&dag), Command::Run, &selection);
        let (_interrupt, cancelled) = watch::channel(false);
        let context = RunContext {
            run_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            started_at: DateTime::UNIX_EPOCH,
            threads: 1,
            fail_fast: false,
            full_refresh: self.full_refresh,
            cancelled,
        };
        let schedule = schedule.map_err(|e| told(&e))?;
        let mut done = run(schedule, engine.clone(), context, Arc::new(Silent)).await;
        assert_eq!(done.results.len(), 1);
        let result = done.results.remove(0);
        if let Some(error) = &result.error {
            return Err(told(error));
        }
        let message = result.message.unwrap_or_default();
        Ok(Run {
            engine,
            dag,
            message,
        })
    }

    /// The log of the model's table.
    pub(crate) fn log(&self) -> Log {
        let folder = self.path("tables/m/_delta_log");
        let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let mut entries: Vec<_> = entries
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .collect();
        entries.sort();
        let mut log = Log::default();
        for entry in entries {
            log.versions += 1;
            log.schema_changes = false;
            for line in fs::read_to_string(entry).unwrap().lines() {
                log.take(&serde_json::from_str(line).unwrap());
            }
        }
        log
    }
}

/// A Delta log, replayed without our own reader.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) struct Log {
    pub(crate) versions: usize,
    /// The files that count.
    pub(crate) files: BTreeSet<String>,
    /// The columns.
    pub(crate) columns: Vec<String>,
    /// Whether the newest version changed them.
    pub(crate) schema_changes: bool,
}

impl Log {
    fn take(&mut self, action: &Value) {
        let path = |kind: &str| action[kind]["path"].as_str().map(str::to_owned);
        if let Some(added) = path("add") {
            assert!(self.files.insert(added), "a file is added twice");
        }
        if let Some(removed) = path("remove") {
            assert!(self.files.remove(&removed), "a file that is not there goes");
        }
        if let Some(schema) = action["metaData"]["schemaString"].as_str() {
            let schema: Value = serde_json::from_str(schema).unwrap();
            let fields = schema["fields"].as_array().unwrap().iter();
            let text = |f: &Value, key: &str| f[key].as_str().unwrap().to_owned();
            self.columns = fields
                .map(|f| format!("{} {}", text(f, "name"), text(f, "type")))
                .collect();
            self.schema_changes = true;
        }
    }
}

/// A run that ended well.
pub(crate) struct Run {
    engine: Engine,
    dag: Arc<Dag>,
    pub(crate) message: String,
}

impl Run {
    /// The rows of the model's table, read by the engine that built it.
    pub(crate) async fn rows(&self) -> Cells {
        let node = self.dag.nodes.iter().find(|n| n.name == "m").unwrap();
        let stream = self.engine.read(node, None).await.unwrap();
        let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        let mut rows: Cells = batches.iter().flat_map(cells).collect();
        rows.sort();
        rows
    }
}

fn cells(batch: &RecordBatch) -> Cells {
    let cell = |array: &ArrayRef, row: usize| {
        let valid = array.is_valid(row);
        valid.then(|| array_value_to_string(array, row).unwrap())
    };
    let row = |row| batch.columns().iter().map(|a| cell(a, row)).collect();
    (0..batch.num_rows()).map(row).collect()
}

/// The error, its causes and its hint.
fn told(error: &RunnerError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.contains(&error.to_string()) {
            text += &format!("\ncause: {error}");
        }
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        text += &format!("\nhint: {hint}");
    }
    text
}

struct Silent;

impl RunObserver for Silent {
    fn started(&self, _: &Node, _: usize, _: usize) {}
    fn progress(&self, _: &Node, _: u64) {}
    fn finished(&self, _: &NodeResult, _: usize, _: usize) {}
}
