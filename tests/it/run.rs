//! Runs of small graphs, built by hand, into a temporary folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chrono::Utc;
use datafusion_sessionize::runner::compile::{
    Compiled, Dag, IncrementalConfig, Materialized, Node, NodeConfig, NodeId, NodeKind,
    Relation,
};
use datafusion_sessionize::runner::engine::{Engine, EngineOptions};
use datafusion_sessionize::runner::project::{Project, Properties, Target};
use datafusion_sessionize::runner::report::{result_line, summary_line};
use datafusion_sessionize::runner::run::{
    NodeResult, RunContext, RunObserver, RunResults, Status, run,
};
use datafusion_sessionize::runner::schedule::{Command, Schedule, Task};
use futures::TryStreamExt;
use tokio::sync::watch;

#[tokio::test]
async fn tables_views_and_exports_are_built_and_read_back() {
    for threads in [1, 8] {
        let folder = tempfile::tempdir().unwrap();
        built_and_read_back(folder.path(), threads).await;
    }
}

async fn built_and_read_back(folder: &Path, threads: usize) {
    let mut export = model(
        "c",
        Materialized::External,
        "select * from p.main.b",
        &["b"],
    );
    export.config.format = Some("csv".into());
    let dag = dag(
        folder,
        vec![
            model(
                "a",
                Materialized::Table,
                "select 1 as id union all select 2",
                &[],
            ),
            model(
                "b",
                Materialized::View,
                "select id * 10 as id from p.main.a",
                &["a"],
            ),
            export,
        ],
    );
    let (engine, results, _) = build(&dag, threads).await;
    assert_eq!(statuses(&results), [Status::Success; 3], "{results:?}");
    assert_eq!(results.results[0].rows, Some(2));
    assert_eq!(rows(&engine, &dag, "b").await, 2);
    let text = std::fs::read_to_string(folder.join("c.csv")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["10", "20", "id"]);
}

#[tokio::test]
async fn a_failure_skips_what_reads_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let dag = dag(
        folder.path(),
        vec![
            model(
                "bad",
                Materialized::Table,
                "select nope from p.main.good",
                &[],
            ),
            model("good", Materialized::Table, "select 1 as id", &[]),
            model(
                "reader",
                Materialized::View,
                "select * from p.main.bad",
                &["bad"],
            ),
        ],
    );
    let (_, results, lines) = build(&dag, 1).await;
    let of = |name: &str| {
        let found = results.results.iter().find(|r| r.node.name == name);
        found.unwrap()
    };
    assert_eq!(of("bad").status, Status::Error);
    assert_eq!(of("good").status, Status::Success);
    assert_eq!(of("reader").status, Status::Skipped);
    assert_eq!(of("reader").skipped_by.as_deref(), Some("bad"));
    assert_eq!(lines.len(), 3);
    assert_eq!(
        summary_line(&results),
        "Done. PASS=1 WARN=0 ERROR=1 SKIP=1 TOTAL=3"
    );
}

#[tokio::test]
async fn a_failed_rebuild_leaves_the_previous_version() {
    let folder = tempfile::tempdir().unwrap();
    let good = model("a", Materialized::Table, "select 1 as id", &[]);
    let first = dag(folder.path(), vec![good]);
    assert_eq!(statuses(&build(&first, 1).await.1), [Status::Success]);
    let broken = "select cast(v as bigint) as id from (values ('1'), ('x')) as t(v)";
    let second = dag(
        folder.path(),
        vec![model("a", Materialized::Table, broken, &[])],
    );
    let (engine, results, _) = build(&second, 1).await;
    assert_eq!(statuses(&results), [Status::Error]);
    assert_eq!(rows(&engine, &second, "a").await, 1);
}

#[tokio::test]
async fn an_interrupted_run_ends_soon_and_commits_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let endless = "select count(*) as n from generate_series(1, 100000000) a(x),
        generate_series(1, 1000) b(y) where x % 7 = y % 5";
    let dag = dag(
        folder.path(),
        vec![model("a", Materialized::Table, endless, &[])],
    );
    let (sender, cancelled) = watch::channel(false);
    let engine = engine(&dag);
    let running = run(
        schedule(&dag),
        engine,
        context(2, cancelled),
        Arc::new(Lines::default()),
    );
    let interrupt = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        sender.send(true).unwrap();
    };
    let started = std::time::Instant::now();
    let (results, ()) = tokio::join!(running, interrupt);
    assert!(started.elapsed() < std::time::Duration::from_secs(3));
    assert!(results.interrupted);
    assert_eq!(statuses(&results), [Status::Error]);
    assert!(!folder.path().join("a/_delta_log").exists());
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl RunObserver for Lines {
    fn started(&self, _: &Node, _: usize, _: usize) {}
    fn progress(&self, _: &Node, _: u64) {}
    fn finished(&self, result: &NodeResult, index: usize, total: usize) {
        self.0
            .lock()
            .unwrap()
            .push(result_line(result, index, total));
    }
}

async fn build(dag: &Arc<Dag>, threads: usize) -> (Engine, RunResults, Vec<String>) {
    let engine = engine(dag);
    let (_keep, cancelled) = watch::channel(false);
    let lines = Arc::new(Lines::default());
    let observer = Arc::clone(&lines);
    let context = context(threads, cancelled);
    let results = run(schedule(dag), engine.clone(), context, observer).await;
    let lines = lines.0.lock().unwrap().clone();
    (engine, results, lines)
}

fn engine(dag: &Dag) -> Engine {
    let options = EngineOptions::default();
    let engine = Engine::try_new(Arc::clone(&dag.project), &options).unwrap();
    engine.register(dag).unwrap();
    engine
}

fn context(threads: usize, cancelled: watch::Receiver<bool>) -> RunContext {
    RunContext {
        run_id: "test".into(),
        started_at: Utc::now(),
        threads,
        fail_fast: false,
        full_refresh: false,
        cancelled,
    }
}

fn schedule(dag: &Arc<Dag>) -> Schedule {
    let task = |node: &Arc<Node>| Task {
        node: Arc::clone(node),
        after: node.depends_on.clone(),
    };
    Schedule {
        dag: Arc::clone(dag),
        command: Command::Build,
        tasks: dag.nodes.iter().map(task).collect(),
    }
}

fn statuses(results: &RunResults) -> Vec<Status> {
    results.results.iter().map(|r| r.status).collect()
}

async fn rows(engine: &Engine, dag: &Dag, name: &str) -> usize {
    let stream = engine.read(dag.node(name).unwrap(), None).await.unwrap();
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    batches.iter().map(|b| b.num_rows()).sum()
}

fn dag(location: &Path, nodes: Vec<Node>) -> Arc<Dag> {
    let target = Target {
        schema: "main".into(),
        location: location.display().to_string(),
        threads: 1,
        ..Target::default()
    };
    let project = Project {
        name: "p".into(),
        version: None,
        root: location.to_path_buf(),
        target_path: location.join("target"),
        clean_targets: Vec::new(),
        vars: serde_json::Map::new(),
        env: BTreeMap::new(),
        target,
        models: Vec::new(),
        seeds: Vec::new(),
        traffic_source_rules: None,
        sources: Vec::new(),
        macros: Vec::new(),
        singular_tests: Vec::new(),
        unit_tests: Vec::new(),
        warnings: Vec::new(),
    };
    Arc::new(Dag {
        project: Arc::new(project),
        nodes: nodes.into_iter().map(Arc::new).collect(),
        logs: Vec::new(),
    })
}

fn model(name: &str, materialized: Materialized, sql: &str, reads: &[&str]) -> Node {
    Node {
        id: name.into(),
        name: name.into(),
        kind: NodeKind::Model,
        fqn: vec!["p".into(), name.into()],
        file: None,
        config: NodeConfig {
            enabled: true,
            materialized,
            tags: Vec::new(),
            unique_key: Vec::new(),
            recompute_by: Vec::new(),
            cluster_by: Vec::new(),
            incremental: IncrementalConfig::default(),
            full_refresh: None,
            location: None,
            format: None,
            partition_by: Vec::new(),
            column_types: BTreeMap::new(),
            delimiter: None,
            where_: None,
            warn_only: false,
            warn_if: None,
            error_if: None,
            limit: None,
            raw: serde_json::Map::new(),
        },
        properties: Properties::default(),
        relation: Some(Relation {
            catalog: "p".into(),
            schema: "main".into(),
            name: name.into(),
        }),
        raw_code: sql.into(),
        compiled: Compiled {
            sql: sql.into(),
            ..Compiled::default()
        },
        depends_on: reads.iter().map(|r| NodeId::from(*r)).collect(),
        checksum: String::new(),
    }
}
