//! The settings every query of a project runs under.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::EngineOptions;
use super::memory::{self, Shares};
use super::spill::SpillFolder;
use crate::config::SessionizeOptions;
use crate::ext::SessionizeExt;
use crate::runner::error::Result;
use crate::runner::materialization::execution_error;

/// A context with this package's functions and the runner's settings.
/// Rows that memory does not hold go to `spill`, else to the system's folder for such.
pub(super) fn context(
    options: &EngineOptions,
    spill: Option<&SpillFolder>,
) -> Result<SessionContext> {
    let config = config(options);
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime(options, spill)?)
        .with_sessionize()
        .build();
    let context = SessionContext::new_with_state(state);
    Ok(context)
}

/// A context with the functions, settings and memory of `context` and an empty catalog.
pub(super) fn sibling(context: &SessionContext) -> SessionContext {
    let state = SessionStateBuilder::new_from_existing(context.state())
        .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
        .build();
    SessionContext::new_with_state(state)
}

fn config(options: &EngineOptions) -> SessionConfig {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let partitions = options.partitions.unwrap_or(cores).max(1);
    let config = SessionConfig::new()
        .with_information_schema(false)
        .set_bool("datafusion.sql_parser.collect_spans", true)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        .set_str("datafusion.execution.time_zone", "+00:00")
        .set_bool(
            "datafusion.execution.parquet.schema_force_view_types",
            false,
        )
        .with_option_extension(SessionizeOptions {
            row_number: true,
            ..SessionizeOptions::default()
        });
    let Some(shares) = shares(options) else {
        return config.with_target_partitions(partitions);
    };
    // joins that hash cannot spill
    config
        .with_target_partitions(partitions.min(shares.partitions))
        .with_batch_size(shares.batch_size)
        .set_usize(
            "datafusion.execution.sort_spill_reservation_bytes",
            shares.sort_reserve,
        )
        .set_bool("datafusion.optimizer.prefer_hash_join", false)
}

/// How the memory limit is dealt out; `None` if there is none.
pub(super) fn shares(options: &EngineOptions) -> Option<Shares> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    options.memory_limit.map(|limit| Shares::of(limit, cores))
}

fn runtime(
    options: &EngineOptions,
    spill: Option<&SpillFolder>,
) -> Result<Arc<RuntimeEnv>> {
    let mode = match spill {
        Some(folder) => DiskManagerMode::Directories(vec![folder.path().to_owned()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let disk = DiskManagerBuilder::default().with_mode(mode);
    let mut builder = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
    if let (Some(limit), Some(shares)) = (options.memory_limit, shares(options)) {
        builder = builder.with_memory_pool(memory::pool(limit, shares));
    }
    builder.build_arc().map_err(execution_error)
}
