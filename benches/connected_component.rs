//! What it takes to name the groups of ids: 10 million links between 10 million visitors and
//! 4 million users (one in three with a second user, so that groups chain), without a memory
//! limit, where links and rows fit, and with limits under which first the rows, then the
//! links go to disk. CPU seconds, wall seconds and bytes on disk of each.
//!
//! `cargo bench --bench connected_component -- [LINKS]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::sync::Arc;

use datafusion::common::instant::Instant;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_sessionize::SessionizeExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip(1);
    let mut given = given.filter(|argument| !argument.starts_with("--"));
    let links: u64 = match given.next() {
        Some(text) => text.parse()?,
        None => 10_000_000,
    };
    for megabytes in [None, Some(1_024), Some(512), Some(256), Some(128)] {
        run(links, megabytes).await?;
    }
    Ok(())
}

async fn run(links: u64, megabytes: Option<usize>) -> Result<(), Box<dyn Error>> {
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some(megabytes) = megabytes {
        let pool = FairSpillPool::new(megabytes * 1024 * 1024);
        runtime = runtime.with_memory_pool(Arc::new(pool));
    }
    let config = SessionConfig::new().with_target_partitions(2);
    let context = SessionContext::new_with_config_rt(config, Arc::new(runtime.build()?));
    let context = context.with_sessionize();
    let users = links * 2 / 5;
    let sql = format!(
        "select count(*), min(component), max(component) from (
           select connected_component(id, other_id) over () as component from (
             select 'visitor-' || (value / case when value % 3 = 0 then 2 else 1 end) as id,
               'user-' || ((value * 7919) % {users}) as other_id
             from generate_series(1, {links})
           )
         )"
    );
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    let plan = context.sql(&sql).await?.create_physical_plan().await?;
    collect(Arc::clone(&plan), context.task_ctx()).await?;
    let limit = megabytes.map_or_else(|| "no limit".to_owned(), |m| format!("{m} MB"));
    println!(
        "{links} links, {limit}: {:.1} s CPU, {:.1} s, {} MB written to disk",
        cpu_seconds()? - cpu,
        started.elapsed().as_secs_f64(),
        spilled(&plan) / 1_000_000
    );
    Ok(())
}

fn spilled(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spilled_bytes());
    let below = plan.children().into_iter().map(spilled).sum::<usize>();
    own.unwrap_or_default() + below
}

/// User and system time of this process, as Linux counts it (in hundredths of a second).
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no process state")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}
