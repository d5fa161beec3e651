//! Seeded schedules of runs: files come late, twice, changed and not at all, runs are killed;
//! after every run that ends, each table equals a full refresh over the same files.
//!
//! Shared by `tests/it/incremental.rs` and `examples/incremental_soak.rs`.

mod driver;
mod failing;
mod pack;
mod pages;
mod user_models;
mod world;

use std::ops::Range;

use datafusion::common::runtime::JoinSet;

pub(crate) use driver::Tally;

/// A family of schedules.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Family {
    /// The segment pack over page views of a few visitors.
    Pack,
    /// Models as users write them, over tables with nulls and ties.
    UserModels,
}

/// Runs one schedule; what happened in it, or how its tables went wrong.
async fn one(family: Family, seed: u64) -> Result<Tally, String> {
    let driver = match family {
        Family::Pack => pack::schedule(seed).await?,
        Family::UserModels => user_models::schedule(seed).await?,
    };
    let ended = Box::pin(driver.run()).await;
    ended.map_err(|e| format!("{family:?}, seed {seed}: {e}"))
}

/// Runs a schedule a seed, some at once. Each failure is told as it happens and counted.
pub(crate) async fn all(
    family: Family,
    seeds: Range<u64>,
    at_once: usize,
    mut tell: impl FnMut(&str),
) -> (Tally, usize) {
    let (mut total, mut failures) = (Tally::default(), 0);
    let mut running = JoinSet::new();
    let mut seeds = seeds.fuse();
    loop {
        while running.len() < at_once.max(1)
            && let Some(seed) = seeds.next()
        {
            running.spawn(one(family, seed));
        }
        match running.join_next().await {
            None => return (total, failures),
            Some(Ok(Ok(tally))) => total.add(&tally),
            Some(Ok(Err(error))) => {
                failures += 1;
                tell(&error);
            }
            Some(Err(error)) => {
                failures += 1;
                tell(&format!("{family:?}: a schedule panicked: {error}"));
            }
        }
    }
}
