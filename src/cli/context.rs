//! What every command has: the printer, the environment, the clock, the signals.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use datafusion_sessionize::runner::compile::{CompileOptions, Dag, compile};
use datafusion_sessionize::runner::engine::{Engine, EngineOptions};
use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use datafusion_sessionize::runner::project::{LoadOptions, Project, load};
use datafusion_sessionize::runner::report::Invocation;

use super::args::GlobalArguments;
use super::interrupt::Interrupt;
use super::printer::Printer;
use super::values;

/// One invocation of the command line.
#[derive(Debug)]
pub(crate) struct Context {
    /// The options of every command.
    pub(crate) global: GlobalArguments,
    /// The way out.
    pub(crate) printer: Arc<Printer>,
    /// The user's wish to stop.
    pub(crate) interrupt: Interrupt,
    /// The current directory.
    pub(crate) current_dir: PathBuf,
    /// `invocation_id`.
    pub(crate) run_id: String,
    /// When the command started.
    pub(crate) started_at: DateTime<Utc>,
    /// The engine of this command, once there is one.
    engine: OnceLock<Engine>,
}

/// How long the runtime may take to drop what is left of the work.
const SHUTDOWN: Duration = Duration::from_millis(400);

/// A compiled project and the engine that can run it.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The project.
    pub(crate) project: Arc<Project>,
    /// Its graph.
    pub(crate) dag: Arc<Dag>,
    /// Where its SQL runs; every node is registered.
    pub(crate) engine: Engine,
    /// How it was compiled.
    pub(crate) options: CompileOptions,
}

impl Context {
    /// Reads the environment.
    pub(crate) fn try_new(global: GlobalArguments) -> std::io::Result<Self> {
        let run_id = uuid::Uuid::new_v4().to_string();
        let printer = Printer::new(
            global.log_format,
            global.quiet,
            global.no_color,
            run_id.clone(),
        );
        Ok(Self {
            global,
            printer: Arc::new(printer),
            interrupt: Interrupt::listen()?,
            current_dir: std::env::current_dir()?,
            run_id,
            started_at: Utc::now(),
            engine: OnceLock::new(),
        })
    }

    /// Runs `work` on a runtime built for it. An interrupt drops it, unless it ends before
    /// the interrupt is noticed.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.block_on_to_the_end(async {
            tokio::select! {
                biased;
                () = self.interrupt.triggered() => Err(interrupted()),
                done = work => done,
            }
        })
    }

    /// Runs `work` on a runtime built for it; it must listen to the interrupt itself.
    pub(crate) fn block_on_to_the_end<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| {
                RunnerError::new(ErrorKind::Internal, "the runtime cannot start")
                    .with_source(e)
            })?;
        let done = runtime.block_on(work);
        // what was dropped lets go of its spilled rows once a worker has come to it
        runtime.shutdown_timeout(SHUTDOWN);
        if let Some(engine) = self.engine.get() {
            engine.remove_spilled();
        }
        done
    }

    /// The project's folder, absolute.
    pub(crate) fn project_dir(&self) -> PathBuf {
        let dir = self.global.project_dir.as_deref();
        self.absolute(dir.unwrap_or_else(|| Path::new("")))
    }

    /// `path` as seen from the current directory.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.current_dir.join(path)
    }

    /// Reads the project and prints what is worth a word.
    pub(crate) fn load(&self) -> Result<Arc<Project>> {
        let global = &self.global;
        let vars = global.vars.as_deref().map(values::vars).transpose()?;
        let project = load(&LoadOptions {
            project_dir: self.project_dir(),
            profiles_dir: global.profiles_dir.as_deref().map(|d| self.absolute(d)),
            target: global.target.clone(),
            vars: vars.unwrap_or_default(),
            location: global.location.clone(),
            threads: global.threads.map(usize::from),
            env: environment(),
            current_dir: self.current_dir.clone(),
        })?;
        for warning in &project.warnings {
            self.printer.warning(warning);
        }
        Ok(Arc::new(project))
    }

    /// An engine within `--memory-limit`, else the target's `memory_limit`.
    pub(crate) fn engine(&self, project: &Arc<Project>) -> Result<Engine> {
        let limit = self.global.memory_limit.as_deref();
        let limit = limit.or(project.target.memory_limit.as_deref());
        let options = EngineOptions {
            memory_limit: limit.map(values::size).transpose()?,
            partitions: None,
            spill_dir: Some(std::env::temp_dir()),
        };
        let engine = Engine::try_new(Arc::clone(project), &options)?;
        Ok(self.engine.get_or_init(|| engine).clone())
    }

    /// Reads and compiles the project and registers all of it.
    pub(crate) async fn workspace(
        &self,
        command: &str,
        full_refresh: bool,
    ) -> Result<Workspace> {
        let project = self.load()?;
        let engine = self.engine(&project)?;
        let options = CompileOptions {
            full_refresh,
            run_started_at: self
                .started_at
                .to_rfc3339_opts(SecondsFormat::Micros, false),
            invocation_id: self.run_id.clone(),
            command: command.to_owned(),
        };
        let dag = compile(Arc::clone(&project), &options, &engine).await?;
        for line in &dag.logs {
            self.printer.note(line);
        }
        engine.register(&dag)?;
        Ok(Workspace {
            project,
            dag: Arc::new(dag),
            engine,
            options,
        })
    }

    /// What artifacts say of this invocation.
    pub(crate) fn invocation(&self, which: &str, mut arguments: Value) -> Invocation {
        let global = &self.global;
        arguments["which"] = json!(which);
        arguments["project_dir"] = json!(self.project_dir());
        arguments["target"] = json!(global.target);
        arguments["vars"] = json!(global.vars);
        arguments["threads"] = json!(global.threads);
        arguments["location"] = json!(global.location);
        arguments["quiet"] = json!(global.quiet);
        Invocation {
            id: self.run_id.clone(),
            generated_at: Utc::now(),
            args: arguments,
        }
    }
}

/// The error of a command that the user stopped.
pub(crate) fn interrupted() -> RunnerError {
    RunnerError::new(ErrorKind::Interrupted, "interrupted")
}

/// The process environment; what is not Unicode cannot be named in a template.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect()
}
