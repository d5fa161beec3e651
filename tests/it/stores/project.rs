//! A small project over any store: a lake of CSV files, a model by key over it, one over
//! that, and a table that is built whole.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_sessionize::Stores;
use datafusion_sessionize::runner::compile::{
    CompileOptions, Dag, Node, Selection, compile,
};
use datafusion_sessionize::runner::engine::{Engine, EngineOptions};
use datafusion_sessionize::runner::project::{LoadOptions, load};
use datafusion_sessionize::runner::run::{
    NodeResult, RunContext, RunObserver, RunResults, Status, run,
};
use datafusion_sessionize::runner::schedule::{Command, schedule};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use tokio::sync::watch;
use url::Url;

pub(crate) const TABLES: [&str; 3] = ["totals", "regulars", "latest"];

/// A project, where its lake and tables are, and how they are reached.
#[derive(Debug)]
pub(crate) struct Small {
    folder: tempfile::TempDir,
    pub(crate) lake: Url,
    pub(crate) tables: Url,
    pub(crate) stores: Stores,
}

/// The rows of a table as text, sorted; nothing if it has not been built.
pub(crate) type Rows = Option<Vec<String>>;

impl Small {
    /// A project with its lake and its tables at these URLs.
    pub(crate) fn new(lake: Url, tables: Url, stores: Stores) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let small = Self {
            folder,
            lake,
            tables,
            stores,
        };
        small.write(
            "dbt_project.yml",
            "name: shop\nversion: '1.0'\nprofile: shop\n",
        );
        small.write(
            "profiles.yml",
            &format!(
                "shop:\n  target: dev\n  outputs:\n    dev:\n      type: sessionize\n      location: '{}'\n",
                small.tables
            ),
        );
        small.write(
            "models/schema.yml",
            &format!(
                "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n          external_location: '{}'\n",
                small.lake
            ),
        );
        small.write(
            "models/totals.sql",
            "{{ config(materialized='incremental', unique_key='visitor') }}\n\
             select visitor, count(*) as events, sum(amount) as amount\n\
             from {{ source('raw', 'events') }} group by visitor\n",
        );
        small.write(
            "models/regulars.sql",
            "{{ config(materialized='incremental', unique_key='visitor') }}\n\
             select visitor, events from {{ ref('totals') }} where events > 1\n",
        );
        small.write(
            "models/latest.sql",
            "{{ config(materialized='table') }}\n\
             select count(*) as visitors, sum(amount) as amount from {{ ref('totals') }}\n",
        );
        small
    }

    /// Lake and tables in a folder.
    pub(crate) fn local(folder: &Path) -> Self {
        let url = |name: &str| Url::from_file_path(folder.join(name)).unwrap();
        std::fs::create_dir_all(folder.join("lake")).unwrap();
        Self::new(url("lake"), url("tables"), Stores::default())
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Puts a file of `visitor,amount` rows into the lake.
    pub(crate) async fn deliver(&self, name: &str, rows: &[(&str, i64)]) {
        let mut text = "visitor,amount\n".to_owned();
        for (visitor, amount) in rows {
            text += &format!("{visitor},{amount}\n");
        }
        let store = self.stores.get(&self.lake).unwrap();
        let folder = object_store::path::Path::from_url_path(self.lake.path()).unwrap();
        store.put(&folder.join(name), text.into()).await.unwrap();
    }

    async fn engine(&self) -> Result<(Engine, Arc<Dag>), String> {
        let options = LoadOptions {
            project_dir: self.folder.path().to_owned(),
            current_dir: self.folder.path().to_owned(),
            env: BTreeMap::new(),
            ..LoadOptions::default()
        };
        let project = Arc::new(load(&options).map_err(|e| e.to_string())?);
        let options = EngineOptions {
            partitions: Some(1),
            ..EngineOptions::default()
        };
        let stores = self.stores.clone();
        let engine = Engine::with_stores(Arc::clone(&project), &options, stores);
        let engine = engine.map_err(|e| e.to_string())?;
        let dag = compile(project, &CompileOptions::default(), &engine).await;
        let dag = Arc::new(dag.map_err(|e| e.to_string())?);
        engine.register(&dag).map_err(|e| e.to_string())?;
        Ok((engine, dag))
    }

    /// Builds everything; what became of it, or why there is nothing to build.
    pub(crate) async fn run(&self) -> Result<RunResults, String> {
        let (engine, dag) = self.engine().await?;
        let scheduled = schedule(dag, Command::Build, &Selection::default());
        let (_keep, cancelled) = watch::channel(false);
        let context = RunContext {
            run_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            started_at: DateTime::UNIX_EPOCH,
            threads: 1,
            fail_fast: false,
            full_refresh: false,
            cancelled,
        };
        let scheduled = scheduled.map_err(|e| e.to_string())?;
        Ok(run(scheduled, engine, context, Arc::new(Silent)).await)
    }

    /// Builds everything, and everything must succeed: what was said of each model.
    pub(crate) async fn build(&self) -> BTreeMap<String, String> {
        let results = self.run().await.unwrap();
        let said = results.results.iter().map(|result| {
            let failed = result.error.as_ref().map(ToString::to_string);
            assert_eq!(result.status, Status::Success, "{failed:?}");
            let message = result.message.clone().unwrap_or_default();
            (result.node.name.clone(), message)
        });
        said.collect()
    }

    /// The columns of a table as it is read now.
    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        let (engine, dag) = self.engine().await.unwrap();
        let node = dag.nodes.iter().find(|n| n.name == table).unwrap();
        let schema = engine.read(node, None).await.unwrap().schema();
        schema.fields().iter().map(|f| f.name().clone()).collect()
    }

    /// All tables as they are read now.
    pub(crate) async fn read(&self) -> BTreeMap<&'static str, Rows> {
        let (engine, dag) = self.engine().await.unwrap();
        let mut tables = BTreeMap::new();
        for table in TABLES {
            tables.insert(table, rows(&engine, &dag, table).await);
        }
        tables
    }
}

async fn rows(engine: &Engine, dag: &Dag, table: &str) -> Rows {
    let node = dag.nodes.iter().find(|n| n.name == table).unwrap();
    let stream = match engine.read(node, None).await {
        Ok(stream) => stream,
        Err(e) if e.to_string().contains("has not been built yet") => return None,
        Err(e) => panic!("`{table}` cannot be read: {e}"),
    };
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    let mut rows = Vec::new();
    for batch in &batches {
        let options = FormatOptions::default();
        let columns = batch.columns().iter();
        let columns = columns.map(|c| ArrayFormatter::try_new(c, &options).unwrap());
        let columns: Vec<_> = columns.collect();
        for row in 0..batch.num_rows() {
            let values: Vec<_> =
                columns.iter().map(|c| c.value(row).to_string()).collect();
            rows.push(values.join(" "));
        }
    }
    rows.sort();
    Some(rows)
}

struct Silent;

impl RunObserver for Silent {
    fn started(&self, _: &Node, _: usize, _: usize) {}
    fn progress(&self, _: &Node, _: u64) {}
    fn finished(&self, _: &NodeResult, _: usize, _: usize) {}
}
