//! A build of a copy of `sql/` in a folder of its own.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::DateTime;
use futures::TryStreamExt;
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::sync::watch;

use datafusion_sessionize::Stores;
use datafusion_sessionize::runner::compile::{
    CompileOptions, Dag, Node, Selection, compile,
};
use datafusion_sessionize::runner::engine::{Engine, EngineOptions};
use datafusion_sessionize::runner::error::Result;
use datafusion_sessionize::runner::project::{LoadOptions, load};
use datafusion_sessionize::runner::run::{
    NodeResult, RunContext, RunObserver, Status, run,
};
use datafusion_sessionize::runner::schedule::{Command, schedule};

use super::table::Rows;

/// What to build.
pub(crate) struct Build {
    pack: &'static str,
    mapping: Option<PathBuf>,
    vars: Map<String, Value>,
    threads: usize,
    tests: bool,
    memory_limit: Option<usize>,
    folder: Option<PathBuf>,
    location: Option<String>,
    stores: Option<Stores>,
}

/// A finished build; its tables live as long as it does.
#[derive(Debug)]
pub(crate) struct Built {
    engine: Engine,
    dag: Arc<Dag>,
    messages: Vec<(String, String)>,
    _folder: Option<TempDir>,
}

impl Build {
    /// The segment pack over the page views in `pages`.
    pub(crate) fn new(pages: impl Into<PathBuf>) -> Self {
        Self::of("segment", "segment_page_views_table", pages)
    }

    /// A pack over the files in `events`, which `variable` names.
    pub(crate) fn of(
        pack: &'static str,
        variable: &str,
        events: impl Into<PathBuf>,
    ) -> Self {
        let events = events.into().to_str().unwrap().into();
        Self {
            pack,
            mapping: None,
            vars: Map::from_iter([(variable.to_owned(), events)]),
            threads: 4,
            tests: false,
            memory_limit: None,
            folder: None,
            location: None,
            stores: None,
        }
    }

    /// Keeps the tables at this URL.
    pub(crate) fn location(mut self, url: &str) -> Self {
        self.location = Some(url.to_owned());
        self
    }

    /// Reads and writes through these stores.
    pub(crate) fn stores(mut self, stores: Stores) -> Self {
        self.stores = Some(stores);
        self
    }

    /// Puts a file in the place of the seed `referrer_mapping`.
    pub(crate) fn mapping(mut self, file: PathBuf) -> Self {
        self.mapping = Some(file);
        self
    }

    pub(crate) fn vars(mut self, vars: &Value) -> Self {
        self.vars.extend(vars.as_object().unwrap().clone());
        self
    }

    pub(crate) fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Bytes of memory for queries; the rest is spilled.
    pub(crate) fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Builds in this folder, on top of what earlier builds left there.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Runs data tests and unit tests too; all must pass.
    pub(crate) fn with_tests(mut self) -> Self {
        self.tests = true;
        self
    }

    pub(crate) async fn run(self) -> Built {
        match self.try_run().await {
            Ok(built) => built,
            Err(error) => panic!("{error}"),
        }
    }

    /// The build, or all errors with their causes as one text.
    pub(crate) async fn try_run(self) -> Result<Built, String> {
        let own = self.folder.is_none().then(|| tempfile::tempdir().unwrap());
        let folder = match (&self.folder, &own) {
            (Some(folder), _) => folder.as_path(),
            (None, own) => own.as_ref().unwrap().path(),
        };
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&package.join("sql"), folder);
        // the other packs find their samples
        let file = folder.join("dbt_project.yml");
        let data = package.join("data").display().to_string();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("../data", &data)).unwrap();
        if let Some(mapping) = &self.mapping {
            fs::copy(mapping, folder.join("seeds/referrer_mapping.csv")).unwrap();
        }
        let options = LoadOptions {
            project_dir: folder.to_owned(),
            current_dir: folder.to_owned(),
            vars: self.vars.clone(),
            threads: Some(self.threads),
            location: self.location.clone(),
            ..LoadOptions::default()
        };
        let project = Arc::new(load(&options).map_err(|e| chain(&e))?);
        let engine_options = EngineOptions {
            partitions: Some(self.threads),
            memory_limit: self.memory_limit,
            ..EngineOptions::default()
        };
        let stores = self.stores.clone().unwrap_or_default();
        let engine = Engine::with_stores(Arc::clone(&project), &engine_options, stores)
            .map_err(|e| chain(&e))?;
        let dag = compile(project, &CompileOptions::default(), &engine).await;
        let dag = Arc::new(dag.map_err(|e| chain(&e))?);
        engine.register(&dag).map_err(|e| chain(&e))?;
        let messages = self.execute(&dag, &engine).await?;
        Ok(Built {
            engine,
            dag,
            messages,
            _folder: own,
        })
    }

    /// Runs the graph; what was said of each node.
    async fn execute(
        &self,
        dag: &Arc<Dag>,
        engine: &Engine,
    ) -> Result<Vec<(String, String)>, String> {
        let mut selection = Selection {
            select: vec![format!("+tag:{}", self.pack)],
            ..Selection::default()
        };
        if !self.tests {
            selection.exclude = vec![
                "resource_type:test".to_owned(),
                "resource_type:unit_test".to_owned(),
            ];
        }
        let schedule = schedule(Arc::clone(dag), Command::Build, &selection);
        let (_interrupt, cancelled) = watch::channel(false);
        let context = RunContext {
            run_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            started_at: DateTime::UNIX_EPOCH,
            threads: self.threads,
            fail_fast: false,
            full_refresh: false,
            cancelled,
        };
        let schedule = schedule.map_err(|e| chain(&e))?;
        let tests = schedule
            .tasks
            .iter()
            .filter(|t| t.node.relation.is_none())
            .count();
        assert_eq!(tests > 0, self.tests, "{tests} tests are scheduled");
        let results = run(schedule, engine.clone(), context, Arc::new(Silent)).await;
        let failed = results
            .results
            .iter()
            .filter(|r| !matches!(r.status, Status::Success | Status::Pass));
        let errors: Vec<_> = failed.map(describe).collect();
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        let said = results.results.iter().map(|r| {
            let message = r.message.clone().unwrap_or_default();
            (r.node.name.clone(), message)
        });
        Ok(said.collect())
    }
}

impl Built {
    /// Where the project's SQL runs.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The graph that was built.
    pub(crate) fn dag(&self) -> &Dag {
        &self.dag
    }

    /// A node by its name.
    pub(crate) fn node(&self, name: &str) -> &Node {
        self.dag.nodes.iter().find(|n| n.name == name).unwrap()
    }

    /// What was said of each node, in the order in which they ended.
    pub(crate) fn messages(&self) -> &[(String, String)] {
        &self.messages
    }

    /// All rows of a model.
    pub(crate) async fn read(&self, model: &str) -> Rows {
        let stream = self.engine.read(self.node(model), None).await.unwrap();
        let schema = stream.schema();
        Rows::of_batches(&schema, &stream.try_collect::<Vec<_>>().await.unwrap())
    }
}

struct Silent;

impl RunObserver for Silent {
    fn started(&self, _: &Node, _: usize, _: usize) {}
    fn progress(&self, _: &Node, _: u64) {}
    fn finished(&self, _: &NodeResult, _: usize, _: usize) {}
}

fn describe(result: &NodeResult) -> String {
    let cause = result.error.as_ref().map(|e| chain(e)).unwrap_or_default();
    let message = result.message.as_deref().unwrap_or_default();
    format!("{} {:?}: {message} {cause}", result.node.id, result.status)
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

/// Copies a folder, without what builds leave in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_name() == "target" {
            continue;
        } else if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
