//! The settings every query of a project runs under.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::EngineOptions;
use crate::ext::SessionizeExt;
use crate::runner::error::Result;
use crate::runner::materialization::execution_error;

const MIB: usize = 1 << 20;

/// A context with this package's functions and the runner's settings.
pub(super) fn context(options: &EngineOptions) -> Result<SessionContext> {
    let config = config(options);
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime(options)?)
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
        );
    let Some(limit) = options.memory_limit else {
        return config.with_target_partitions(partitions);
    };
    // every partition of every sort keeps a reserve for its merge; joins that hash cannot spill
    let partitions = partitions.min((limit / (64 * MIB)).max(1));
    let reserve = (limit / (32 * partitions)).clamp(MIB / 4, 10 * MIB);
    let batch = if limit < 1024 * MIB { 4096 } else { 8192 };
    config
        .with_target_partitions(partitions)
        .with_batch_size(batch)
        .set_usize("datafusion.execution.sort_spill_reservation_bytes", reserve)
        .set_bool("datafusion.optimizer.prefer_hash_join", false)
}

fn runtime(options: &EngineOptions) -> Result<Arc<RuntimeEnv>> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory);
    let mut builder = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
    if let (Some(limit), Some(named)) = (options.memory_limit, NonZeroUsize::new(3)) {
        let pool = TrackConsumersPool::new(FairSpillPool::new(limit), named);
        builder = builder.with_memory_pool(Arc::new(pool));
    }
    builder.build_arc().map_err(execution_error)
}
