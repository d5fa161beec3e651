//! `LateSessionizeExec`: window functions without sorting rows.
//!
//! ```text
//!            ┌─ key, time only ─► Entries ─► sorted part by part ─► Facts: numbers by address
//!   input ───┤  (narrow pass)                  ▲                      │
//!            │                    other ORDER BY columns,             ▼
//!            │                    for rows that tie
//!            └─ all columns ─────────────────────────────► rows as they come + the functions
//!               (wide pass)
//! ```
//!
//! The input runs twice or more, each time with the columns that are asked for, so it must
//! give the same rows in the same order each time (`narrow`). What is held of a row is 24
//! bytes until its part is done, and then what the functions say of it. Where memory does not
//! suffice for that, rows of key, time and address are sorted on disk instead (`disk`).

mod aggregate;
#[cfg(feature = "runner")]
mod beside;
mod disk;
mod emit;
mod entries;
mod exec;
mod facts;
#[cfg(feature = "runner")]
mod kept;
mod keyed;
mod left_join;
mod lineage;
mod narrow;
mod order;
mod pass;
mod peers;
mod ready;
mod stream;
mod ties;
mod window;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};

pub(crate) use aggregate::LateAggregateExec;
#[cfg(feature = "runner")]
pub(crate) use beside::Others;
#[cfg(feature = "runner")]
pub(crate) use entries::KeyHasher;
pub(crate) use exec::LateSessionizeExec;
#[cfg(feature = "runner")]
pub(crate) use kept::{ColumnSource, KeptColumns};
pub(crate) use ready::{narrowed, ready};
pub(crate) use window::Windows;

/// What the tasks give, in the order they were spawned; the first error ends the others.
async fn joined<T: Send + 'static>(
    mut tasks: JoinSet<(usize, Result<T>)>,
) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        let (place, value) = ended.map_err(|e| DataFusionError::External(Box::new(e)))?;
        all.push((place, value?));
    }
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, value)| value).collect())
}

/// `work` on each of `items`, on so many threads; in no order.
async fn side_by_side<T, R, F>(items: Vec<T>, threads: usize, work: F) -> Result<Vec<R>>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(T) -> Result<R> + Clone + Send + 'static,
{
    let queue = Arc::new(Mutex::new(VecDeque::from(items)));
    let mut tasks = JoinSet::new();
    for place in 0..threads {
        let (queue, work) = (Arc::clone(&queue), work.clone());
        tasks.spawn(async move {
            let mut done = Vec::new();
            let next = || {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.pop_front()
            };
            while let Some(item) = next() {
                match work(item) {
                    Ok(result) => done.push(result),
                    Err(error) => return (place, Err(error)),
                }
                // a task that was given up ends here
                tokio::task::yield_now().await;
            }
            (place, Ok(done))
        });
    }
    Ok(joined(tasks).await?.into_iter().flatten().collect())
}

/// What is made in the first of several rounds, and kept for the others.
fn once<T>(kept: &mut Option<Arc<T>>, new: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
    if let Some(kept) = kept {
        return Ok(Arc::clone(kept));
    }
    Ok(Arc::clone(kept.insert(Arc::new(new()?))))
}

/// Whether memory did not suffice.
fn exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// The input was to give the same rows again, and did not.
fn other_rows() -> DataFusionError {
    exec_datafusion_err!(
        "the input of LateSessionizeExec gave other rows when it was read again: were its \
         files changed? `SET sessionize.late_materialization = false` reads them once"
    )
}
