//! The narrow pass: from keys and times to facts about every row.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::metrics::{Count, Time};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;

use super::entries::{Entries, KeyHasher, Part, parts};
use super::facts::{Facts, RowNumbers, Wanted};
use super::order::Order;
use super::ties::{TieBreakers, ranks};
use super::{joined, side_by_side};
use crate::boundary::SessionState;
use crate::functions::BoundArguments;

/// What the functions of one operator need to know of every row.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// The columns of the key, then the first order column.
    pub(super) keys_and_time: Arc<dyn ExecutionPlan>,
    /// The same, then the other order columns and those that rules read.
    pub(super) all: Arc<dyn ExecutionPlan>,
    /// How many columns the key has.
    pub(super) keys: usize,
    /// How each order column sorts.
    pub(super) options: Vec<SortOptions>,
    /// How the first one does.
    pub(super) order: Order,
    pub(super) ties: Vec<TieBreakers>,
    pub(super) rules: Vec<Rule>,
    pub(super) row_numbers: bool,
}

/// One rule, and what is asked about it.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) bound: Arc<BoundArguments>,
    pub(super) wanted: Wanted,
    /// Where its columns are among [`all`](Window::all); none if it goes by the time alone.
    pub(super) read: Range<usize>,
}

/// What is counted.
#[derive(Debug, Clone)]
pub(super) struct PassMetrics {
    pub(super) keys: Count,
    pub(super) sessions: Count,
    pub(super) tied_rows: Count,
    pub(super) read: Time,
    pub(super) sort: Time,
}

/// Facts about all rows, by address.
#[derive(Debug)]
pub(super) struct Found {
    /// The addresses of each partition's rows.
    pub(super) partitions: Vec<Range<u32>>,
    pub(super) rules: Vec<Facts>,
    pub(super) row_numbers: RowNumbers,
    reservation: MemoryReservation,
}

impl Window {
    /// Runs the narrow pass; `None` if more is to be held than memory or entries have room
    /// for.
    pub(super) async fn pass(
        &self,
        context: &Arc<TaskContext>,
        metrics: &PassMetrics,
    ) -> Result<Option<Arc<Found>>> {
        if self.rules.iter().any(|rule| !rule.read.is_empty()) {
            // entries hold times and nothing else
            return Ok(None);
        }
        match Box::pin(self.found(context, metrics)).await {
            Err(error) => match error.find_root() {
                DataFusionError::ResourcesExhausted(_) => Ok(None),
                _ => Err(error),
            },
            found => found,
        }
    }

    async fn found(
        &self,
        context: &Arc<TaskContext>,
        metrics: &PassMetrics,
    ) -> Result<Option<Arc<Found>>> {
        let consumer = MemoryConsumer::new("LateSessionizeExec").with_can_spill(true);
        let reservation = consumer.register(context.memory_pool());
        let reading = metrics.read.timer();
        let Some(entries) = self.entries(context, &reservation).await? else {
            return Ok(None);
        };
        drop(reading);
        let Some(partitions) = addresses(&entries) else {
            return Ok(None);
        };
        let all = partitions.last().map_or(0, |last| last.end as usize);
        let rules = self.rules.iter();
        let rules = rules.map(|rule| Facts::try_new(rule.wanted, all, &reservation));
        let found = Arc::new(Found {
            partitions,
            rules: rules.collect::<Result<_>>()?,
            row_numbers: RowNumbers::try_new(self.row_numbers, all, &reservation)?,
            reservation,
        });
        let _sorting = metrics.sort.timer();
        let follow = Follow {
            window: self.clone(),
            found: Arc::clone(&found),
            metrics: metrics.clone(),
        };
        follow.all(entries, context).await?;
        Ok(Some(found))
    }

    /// What is held of all rows; `None` if there are too many.
    async fn entries(
        &self,
        context: &Arc<TaskContext>,
        reservation: &MemoryReservation,
    ) -> Result<Option<Vec<Entries>>> {
        let plan = &self.keys_and_time;
        let mut tasks = JoinSet::new();
        for partition in 0..plan.output_partitioning().partition_count() {
            let mut rows = plan.execute(partition, Arc::clone(context))?;
            let (order, mut entries) =
                (self.order, Entries::new(reservation.new_empty()));
            tasks.spawn(async move {
                let mut hasher = KeyHasher::default();
                while let Some(batch) = rows.next().await {
                    let pushed = batch.and_then(|batch| {
                        let Some((time, keys)) = batch.columns().split_last() else {
                            return Ok(false);
                        };
                        match order.codes(time)? {
                            Some(codes) => entries.push(&mut hasher, keys, &codes),
                            None => Ok(false),
                        }
                    });
                    match pushed {
                        Ok(true) => {}
                        Ok(false) => return (partition, Ok(None)),
                        Err(error) => return (partition, Err(error)),
                    }
                }
                (partition, Ok(Some(entries)))
            });
        }
        Ok(joined(tasks).await?.into_iter().collect())
    }
}

/// The addresses of each partition's rows, counted through; `None` if there are too few.
fn addresses(partitions: &[Entries]) -> Option<Vec<Range<u32>>> {
    let mut next = 0u32;
    let ranges = partitions.iter().map(|entries| {
        let first = next;
        next = next.checked_add(entries.rows())?;
        Some(first..next)
    });
    ranges.collect()
}

/// The tied rows of all parts, with the rank of the first that they tie with.
fn tied(parts: &[Part]) -> Vec<(u32, u32)> {
    let mut tied = Vec::new();
    for run in parts.iter().flat_map(Part::tied) {
        let first = tied.len() as u32;
        tied.extend(run.iter().map(|entry| (first, entry.address)));
    }
    tied
}

/// Goes through sorted rows.
#[derive(Debug, Clone)]
struct Follow {
    window: Window,
    found: Arc<Found>,
    metrics: PassMetrics,
}

impl Follow {
    /// Sorts the entries and goes through the rows of every key.
    async fn all(self, entries: Vec<Entries>, context: &Arc<TaskContext>) -> Result<()> {
        let threads = context.session_config().target_partitions();
        let first = self.clone();
        let sorted = side_by_side(parts(entries), threads, move |part| {
            let part = part.sort();
            if !first.window.ties.is_empty() && part.tied().next().is_some() {
                return Ok(Some(part));
            }
            first.part(&part).map(|()| None)
        });
        let waiting: Vec<Part> = sorted.await?.into_iter().flatten().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let tied = tied(&waiting);
        self.metrics.tied_rows.add(tied.len());
        let held = self.found.reservation.new_empty();
        let (ties, partitions) = (&self.window.ties, &self.found.partitions);
        let ranks = Arc::new(ranks(tied, ties, partitions, context, &held).await?);
        let followed = side_by_side(waiting, threads, move |mut part| {
            part.untie(|address| ranks.get(&address).copied().unwrap_or_default());
            self.part(&part)
        });
        followed.await.map(drop)
    }

    fn part(&self, part: &Part) -> Result<()> {
        let mut state = SessionState::default();
        let (mut keys, mut sessions) = (0, 0);
        for key in part.keys() {
            keys += 1;
            self.found.row_numbers.follow(key);
            let rules = self.window.rules.iter().zip(&self.found.rules);
            for (rule, facts) in rules {
                let (rules, order) = (&rule.bound.rules, self.window.order);
                sessions += facts.follow(rules, order, key, &mut state)?;
            }
        }
        self.metrics.keys.add(keys);
        self.metrics.sessions.add(sessions);
        Ok(())
    }
}
