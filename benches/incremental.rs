//! What a day costs: all segment models over a year but a day, then the day that was
//! missing, against a full rebuild of the year. CPU seconds and bytes read, as ratios.
//!
//! `cargo bench --bench incremental -- [VISITORS] [DAYS]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::Utc;
use datafusion_sessionize::Stores;
use datafusion_sessionize::generate::{GenerateOptions, generate};
use datafusion_sessionize::runner::compile::{CompileOptions, Node, Selection, compile};
use datafusion_sessionize::runner::engine::{Engine, EngineOptions};
use datafusion_sessionize::runner::project::{LoadOptions, load};
use datafusion_sessionize::runner::report::{result_line, summary_line};
use datafusion_sessionize::runner::run::{NodeResult, RunContext, RunObserver, run};
use datafusion_sessionize::runner::schedule::{Command, schedule};
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tokio::sync::watch;
use url::Url;

/// Prints a line for each node that ended.
struct Printer;

impl RunObserver for Printer {
    fn started(&self, _: &Node, _: usize, _: usize) {}

    fn progress(&self, _: &Node, _: u64) {}

    fn finished(&self, result: &NodeResult, index: usize, total: usize) {
        println!("  {}", result_line(result, index, total));
        if let Some(error) = &result.error {
            println!("    {error}");
        }
    }
}

/// The local file system, with the bytes that were read from it, by folder.
#[derive(Debug, Clone, Default)]
struct Counting {
    read: Arc<Mutex<BTreeMap<String, u64>>>,
    store: Arc<LocalFileSystem>,
}

impl Counting {
    /// Prints what was read of each folder, and gives the sum.
    fn show(&self) -> u64 {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (lake, others): (Vec<_>, Vec<_>) = read
            .iter()
            .partition(|(folder, _)| folder.starts_with("lake/"));
        let lake: u64 = lake.into_iter().map(|(_, bytes)| *bytes).sum();
        println!("  {lake:>12} bytes of the lake");
        for (folder, bytes) in others {
            println!("  {bytes:>12} bytes of {folder}");
        }
        read.values().sum()
    }

    fn count(&self, location: &StorePath, bytes: u64) {
        let mut parts: Vec<_> = location.parts().collect();
        parts.pop();
        let of = parts.iter().rev().take(2).rev();
        let folder = of.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read.entry(folder.join("/")).or_default() += bytes;
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counting {}", self.store)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Counting {
    async fn put_opts(
        &self,
        location: &StorePath,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &StorePath,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &StorePath,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        let head = options.head;
        let got = self.store.get_opts(location, options).await?;
        if !head {
            let bytes = got.range.end - got.range.start;
            self.count(location, bytes);
        }
        Ok(got)
    }

    /// No more than is asked for: by default, what lies between ranges is read as well.
    async fn get_ranges(
        &self,
        location: &StorePath,
        ranges: &[Range<u64>],
    ) -> object_store::Result<Vec<Bytes>> {
        let bytes = ranges.iter().map(|range| range.end - range.start).sum();
        self.count(location, bytes);
        self.store.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<StorePath>>,
    ) -> BoxStream<'static, object_store::Result<StorePath>> {
        self.store.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&StorePath>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&StorePath>,
    ) -> object_store::Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &StorePath,
        to: &StorePath,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// What one build took.
struct Cost {
    cpu: f64,
    bytes: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip(1);
    let mut arguments = given.filter(|argument| !argument.starts_with("--"));
    let mut number = |default: u64| match arguments.next() {
        Some(text) => text.parse(),
        None => Ok(default),
    };
    let (visitors, days) = (number(10_000)?, number(365)?);
    let folder = std::env::temp_dir().join(format!("cost.{}", std::process::id()));
    let lake = folder.join("lake");
    generate(&GenerateOptions {
        visitors,
        days: u32::try_from(days)?,
        ..GenerateOptions::sample(lake.clone())
    })?;
    let mut parts: Vec<_> = std::fs::read_dir(&lake)?.collect::<Result<_, _>>()?;
    parts.sort_by_key(std::fs::DirEntry::path);
    let last = parts.last().ok_or("the lake is empty")?.path();
    let aside = folder.join("last");
    std::fs::rename(&last, &aside)?;
    println!("{visitors} visitors; all days but the last:");
    build(&lake, &folder.join("tables")).await?;
    std::fs::rename(&aside, &last)?;
    println!("the last day:");
    let day = build(&lake, &folder.join("tables")).await?;
    println!("everything, from nothing:");
    let full = build(&lake, &folder.join("full")).await?;
    println!(
        "the last day takes 1/{:.1} of the CPU time ({:.2} s of {:.2} s) and reads 1/{:.1} of the bytes ({} of {})",
        full.cpu / day.cpu,
        day.cpu,
        full.cpu,
        full.bytes as f64 / day.bytes as f64,
        day.bytes,
        full.bytes,
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn build(lake: &Path, tables: &Path) -> Result<Cost, Box<dyn Error>> {
    let current_dir = std::env::current_dir()?;
    let vars = serde_json::json!({ "segment_page_views_table": lake });
    let options = LoadOptions {
        project_dir: current_dir.join("sql"),
        current_dir,
        location: Some(tables.display().to_string()),
        vars: vars.as_object().cloned().unwrap_or_default(),
        ..LoadOptions::default()
    };
    let started = cpu_seconds()?;
    let store = Counting::default();
    let root = Url::parse("file:///")?;
    let stores = Stores::default().with_store(&root, Arc::new(store.clone()));
    let project = Arc::new(load(&options)?);
    let engine =
        Engine::with_stores(Arc::clone(&project), &EngineOptions::default(), stores)?;
    let now = Utc::now();
    let compile_options = CompileOptions {
        run_started_at: now.to_rfc3339(),
        invocation_id: "cost".to_owned(),
        command: "run".to_owned(),
        ..CompileOptions::default()
    };
    let threads = project.target.threads;
    let dag = Arc::new(compile(project, &compile_options, &engine).await?);
    engine.register(&dag)?;
    let (_keep, cancelled) = watch::channel(false);
    let context = RunContext {
        run_id: compile_options.invocation_id,
        started_at: now,
        threads,
        fail_fast: false,
        full_refresh: false,
        cancelled,
    };
    let seeds = schedule(Arc::clone(&dag), Command::Seed, &Selection::default())?;
    let segment = Selection {
        select: vec!["segment".to_owned()],
        ..Selection::default()
    };
    let models = schedule(dag, Command::Run, &segment)?;
    for tasks in [seeds, models] {
        let results =
            run(tasks, engine.clone(), context.clone(), Arc::new(Printer)).await;
        println!("  {}", summary_line(&results));
    }
    let cpu = cpu_seconds()? - started;
    Ok(Cost {
        cpu,
        bytes: store.show(),
    })
}

/// User and system time of this process, as Linux counts it (in hundredths of a second).
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no process state")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}
