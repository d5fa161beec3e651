//! A compiled project, and runs of it over stores in memory.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion_sessionize::Stores;
use datafusion_sessionize::runner::compile::{
    CompileOptions, Dag, Node, Selection, compile,
};
use datafusion_sessionize::runner::engine::{Engine, EngineOptions, has_table};
use datafusion_sessionize::runner::project::{LoadOptions, load};
use datafusion_sessionize::runner::run::{
    NodeResult, RunContext, RunObserver, Status, run,
};
use datafusion_sessionize::runner::schedule::{Command, schedule};
use futures::TryStreamExt;
use object_store::ObjectStore;
use serde_json::{Map, Value};
use tokio::sync::watch;
use url::Url;

/// Where the files of lakes are.
pub(crate) const LAKE: &str = "memory://lake/";
/// Where tables go.
const TABLES: &str = "memory://tables/";

/// Loads and compiles the project in `folder`, once for all of its runs.
pub(crate) async fn compiled(
    folder: &Path,
    vars: Map<String, Value>,
) -> Result<Arc<Dag>, String> {
    let options = LoadOptions {
        project_dir: folder.to_owned(),
        current_dir: folder.to_owned(),
        vars,
        location: Some(TABLES.to_owned()),
        ..LoadOptions::default()
    };
    let project = Arc::new(load(&options).map_err(|e| chain(&e))?);
    let options = EngineOptions::default();
    let engine = Engine::try_new(Arc::clone(&project), &options);
    let engine = engine.map_err(|e| chain(&e))?;
    let dag = compile(project, &CompileOptions::default(), &engine).await;
    dag.map(Arc::new).map_err(|e| chain(&e))
}

/// One process: an engine over these stores.
pub(crate) struct Process {
    engine: Engine,
    dag: Arc<Dag>,
    threads: usize,
}

impl Process {
    pub(crate) fn start(
        dag: &Arc<Dag>,
        lake: Arc<dyn ObjectStore>,
        tables: Arc<dyn ObjectStore>,
        threads: usize,
    ) -> Result<Self, String> {
        let url = |text| Url::parse(text).map_err(|e| chain(&e));
        let stores = Stores::default()
            .with_store(&url(LAKE)?, lake)
            .with_store(&url(TABLES)?, tables);
        let options = EngineOptions {
            partitions: Some(threads),
            ..EngineOptions::default()
        };
        let engine = Engine::with_stores(Arc::clone(&dag.project), &options, stores);
        let engine = engine.map_err(|e| chain(&e))?;
        engine.register(dag).map_err(|e| chain(&e))?;
        Ok(Self {
            engine,
            dag: Arc::clone(dag),
            threads,
        })
    }

    /// Plans with one pass of the optimizer: half the time in a build that is not optimized,
    /// and the same rows.
    pub(crate) fn in_a_hurry(self) -> Self {
        let state = self.engine.context().state_ref();
        let mut state = state.write();
        let options = state.config_mut().options_mut();
        options.optimizer.max_passes = 1;
        // tables of tests are small
        let indexed = options.set("sessionize.index_from_rows", "1");
        debug_assert!(indexed.is_ok());
        drop(state);
        self
    }

    /// Brings all tables up to date; what was said of each model, or why some failed.
    pub(crate) async fn run(&self) -> Result<Vec<(String, String)>, String> {
        let mut selection = Selection::default();
        if self.dag.nodes.iter().any(|node| node.relation.is_none()) {
            let tests = ["resource_type:test", "resource_type:unit_test"];
            selection.exclude = tests.map(str::to_owned).to_vec();
        }
        let tasks = schedule(Arc::clone(&self.dag), Command::Build, &selection);
        let tasks = tasks.map_err(|e| chain(&e))?;
        let (_interrupt, cancelled) = watch::channel(false);
        let context = RunContext {
            run_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            started_at: DateTime::UNIX_EPOCH,
            threads: self.threads,
            fail_fast: false,
            full_refresh: false,
            cancelled,
        };
        let engine = self.engine.clone();
        let ended = run(tasks, engine, context, Arc::new(Silent)).await;
        let failed = |r: &&NodeResult| !matches!(r.status, Status::Success);
        let errors: Vec<_> = ended.results.iter().filter(failed).map(told).collect();
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        let said = ended.results.iter().map(|r| {
            let message = r.message.clone().unwrap_or_default();
            (r.node.name.clone(), message)
        });
        Ok(said.collect())
    }

    /// Joins the small files of all tables.
    pub(crate) async fn optimize(&self) -> Result<(), String> {
        for node in self.dag.nodes.iter().filter(|n| has_table(n)) {
            let optimized = self.engine.optimize(node, 1 << 27).await;
            optimized.map_err(|e| chain(&e))?;
        }
        Ok(())
    }

    /// Removes all that the newest versions do not need.
    pub(crate) async fn vacuum(&self) -> Result<(), String> {
        for node in self.dag.nodes.iter().filter(|n| has_table(n)) {
            let vacuumed = self.engine.vacuum(node, TimeDelta::zero(), false).await;
            vacuumed.map_err(|e| chain(&e))?;
        }
        Ok(())
    }

    /// All rows of a model, in an order that they alone decide.
    async fn rows(&self, node: &Node) -> Result<Rows, String> {
        let stream = self.engine.read(node, None).await.map_err(|e| chain(&e))?;
        let schema = stream.schema();
        let batches: Vec<_> = stream.try_collect().await.map_err(|e| chain(&e))?;
        Rows::of(&schema, &batches)
    }

    /// An error at the first model that has other rows than in `other`.
    pub(crate) async fn equals(&self, other: &Self) -> Result<(), String> {
        let models = self.dag.nodes.iter().filter(|n| n.id.starts_with("model."));
        for node in models {
            let (ours, theirs) = (self.rows(node).await?, other.rows(node).await?);
            let same = ours.equals(&theirs);
            same.map_err(|e| format!("`{}`: {e}", node.name))?;
        }
        Ok(())
    }
}

struct Silent;

impl RunObserver for Silent {
    fn started(&self, _: &Node, _: usize, _: usize) {}
    fn progress(&self, _: &Node, _: u64) {}
    fn finished(&self, _: &NodeResult, _: usize, _: usize) {}
}

fn told(result: &NodeResult) -> String {
    let cause = result.error.as_ref().map(|e| chain(e)).unwrap_or_default();
    format!("{} {:?}: {cause}", result.node.name, result.status)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Rows as bytes that sort: equal in every column or not equal.
struct Rows {
    schema: SchemaRef,
    converter: RowConverter,
    rows: Vec<OwnedRow>,
}

impl Rows {
    fn of(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Self, String> {
        let fields = schema.fields().iter();
        let fields = fields.map(|f| SortField::new(f.data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(|e| chain(&e))?;
        let all = concat_batches(schema, batches).map_err(|e| chain(&e))?;
        let rows = converter.convert_columns(all.columns());
        let mut rows: Vec<_> = rows
            .map_err(|e| chain(&e))?
            .iter()
            .map(|r| r.owned())
            .collect();
        rows.sort();
        Ok(Self {
            schema: Arc::clone(schema),
            converter,
            rows,
        })
    }

    fn equals(&self, full: &Self) -> Result<(), String> {
        if self.schema != full.schema {
            return Err(format!("columns {:?}, not {:?}", self.schema, full.schema));
        }
        if self.rows == full.rows {
            return Ok(());
        }
        let only = |a: &Self, b: &Self| {
            let some = a.rows.iter().filter(|r| b.rows.binary_search(r).is_err());
            let columns = a.converter.convert_rows(some.take(3).map(|r| r.row()));
            let columns = columns.map_err(|e| chain(&e))?;
            let batch = RecordBatch::try_new(Arc::clone(&a.schema), columns);
            let batch = batch.map_err(|e| chain(&e))?;
            let table = pretty_format_batches(&[batch]).map_err(|e| chain(&e))?;
            Ok::<_, String>(table.to_string())
        };
        let (ours, theirs) = (only(self, full)?, only(full, self)?);
        let (many, all) = (self.rows.len(), full.rows.len());
        Err(format!(
            "{many} rows, not {all}; only here:\n{ours}\nmissing:\n{theirs}"
        ))
    }
}
