//! The narrow pass: keys and times of all rows, sorted part by part.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder,
};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::SortOptions;
use datafusion::common::Result;
use datafusion::common::runtime::JoinSet;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::metrics::Count;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PhysicalExpr};
use futures::StreamExt;

use super::entries::{Entries, KeyHasher, Part, parts};
use super::narrow::project;
use super::order::Order;
use super::ties::{TieBreakers, ranks};
use super::{joined, side_by_side};

/// A key and an order over rows that can be read again.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    /// The columns of the key, the first order column, then conditions.
    columns: Arc<dyn ExecutionPlan>,
    /// How many columns the key has.
    pub(super) keys: usize,
    /// How the first order column sorts.
    pub(super) order: Order,
    ties: Vec<TieBreakers>,
}

/// `expressions` over rows of `input`, which is repeatable.
pub(super) fn columns_of<'a>(
    input: &Arc<dyn ExecutionPlan>,
    expressions: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    project(input, numbered(expressions))
}

/// `expressions`, under names of their own.
pub(super) fn numbered<'a>(
    expressions: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>,
) -> Vec<ProjectionExpr> {
    let columns = expressions
        .enumerate()
        .map(|(i, e)| ProjectionExpr::new(Arc::clone(e), format!("__{i}")));
    columns.collect()
}

impl Keyed {
    /// The rows of `input` by `key` and `order`, of which there is at least one column.
    pub(super) fn over(
        input: &Arc<dyn ExecutionPlan>,
        key: &[Arc<dyn PhysicalExpr>],
        order: &[(Arc<dyn PhysicalExpr>, SortOptions)],
        conditions: &[Arc<dyn PhysicalExpr>],
    ) -> Result<Self> {
        let by = || order.iter().map(|(e, _)| e);
        let options: Vec<_> = order.iter().map(|(_, options)| *options).collect();
        // one column tells most rows apart, so few are read at first
        let mut ties = Vec::new();
        let (mut from, mut count) = (1, 1);
        while from < options.len() {
            let until = options.len().min(from + count);
            ties.push(TieBreakers {
                columns: columns_of(input, by().take(until).skip(from))?,
                options: options[from..until].to_vec(),
            });
            (from, count) = (until, 2 * count);
        }
        let read = key.iter().chain(by().take(1)).chain(conditions);
        Ok(Self {
            columns: columns_of(input, read)?,
            keys: key.len(),
            order: Order::new(options[0]),
            ties,
        })
    }

    /// Reads what is held of all rows; `None` if there are too many.
    pub(super) async fn read(
        &self,
        context: &Arc<TaskContext>,
        reservation: &MemoryReservation,
    ) -> Result<Option<Held>> {
        // here, so that what they share with the plan that is read lives on
        let ties = self.ties.iter().take(1);
        let ties = ties.map(|ties| ties.columns.execute(0, Arc::clone(context)));
        let ties = ties.collect::<Result<_>>()?;
        let plan = &self.columns;
        let mut tasks = JoinSet::new();
        for partition in 0..plan.output_partitioning().partition_count() {
            let mut rows = plan.execute(partition, Arc::clone(context))?;
            let mut reader = Reader {
                keys: self.keys,
                order: self.order,
                hasher: KeyHasher::default(),
                entries: Entries::new(reservation.new_empty()),
                conditions: Vec::new(),
            };
            tasks.spawn(async move {
                while let Some(batch) = rows.next().await {
                    match batch.and_then(|batch| reader.push(batch.columns())) {
                        Ok(true) => {}
                        Ok(false) => return (partition, Ok(None)),
                        Err(error) => return (partition, Err(error)),
                    }
                }
                (partition, Ok(Some(reader.finish())))
            });
        }
        let read: Option<Vec<_>> = joined(tasks).await?.into_iter().collect();
        let Some(read) = read else {
            return Ok(None);
        };
        let (entries, conditions): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let Some(partitions) = addresses(&entries) else {
            return Ok(None);
        };
        Ok(Some(Held {
            entries,
            partitions,
            conditions,
            _ties: ties,
        }))
    }

    /// `work` on each part of the rows, sorted; on all threads, in no order.
    pub(super) async fn each_part<R: Send + 'static>(
        &self,
        entries: Vec<Entries>,
        partitions: &[Range<u32>],
        context: &Arc<TaskContext>,
        reservation: &MemoryReservation,
        tied_rows: &Count,
        work: impl Fn(&Part) -> Result<R> + Clone + Send + 'static,
    ) -> Result<Vec<R>> {
        let threads = context.session_config().target_partitions();
        let (first, unique) = (work.clone(), self.ties.is_empty());
        let sorted = side_by_side(parts(entries), threads, move |part| {
            let part = part.sort();
            if !unique && part.tied().next().is_some() {
                return Ok((None, Some(part)));
            }
            first(&part).map(|done| (Some(done), None))
        });
        let (done, waiting): (Vec<_>, Vec<_>) = sorted.await?.into_iter().unzip();
        let mut done: Vec<R> = done.into_iter().flatten().collect();
        let waiting: Vec<Part> = waiting.into_iter().flatten().collect();
        if waiting.is_empty() {
            return Ok(done);
        }
        let tied = tied(&waiting);
        tied_rows.add(tied.len());
        let held = reservation.new_empty();
        let ranks = ranks(tied, &self.ties, partitions, context, &held).await?;
        let ranks = Arc::new(ranks);
        let worked = side_by_side(waiting, threads, move |mut part| {
            part.untie(|address| ranks.get(&address).copied().unwrap_or_default());
            work(&part)
        });
        done.extend(worked.await?);
        Ok(done)
    }
}

/// What is held of all rows.
pub(super) struct Held {
    pub(super) entries: Vec<Entries>,
    /// The addresses of each partition's rows.
    pub(super) partitions: Vec<Range<u32>>,
    /// Those of each partition, row by row.
    pub(super) conditions: Vec<Vec<BooleanBuffer>>,
    _ties: Vec<SendableRecordBatchStream>,
}

/// Reads the narrow rows of one partition.
struct Reader {
    keys: usize,
    order: Order,
    hasher: KeyHasher,
    entries: Entries,
    conditions: Vec<BooleanBufferBuilder>,
}

impl Reader {
    fn push(&mut self, columns: &[ArrayRef]) -> Result<bool> {
        let (keys, others) = columns.split_at(self.keys);
        let Some((time, conditions)) = others.split_first() else {
            return Ok(false);
        };
        if self.conditions.is_empty() {
            let builders = conditions.iter().map(|_| BooleanBufferBuilder::new(0));
            self.conditions = builders.collect();
        }
        for (builder, condition) in self.conditions.iter_mut().zip(conditions) {
            builder.append_buffer(&holds(condition.as_boolean()));
        }
        match self.order.codes(time)? {
            Some(codes) => self.entries.push(&mut self.hasher, keys, &codes),
            None => Ok(false),
        }
    }

    fn finish(self) -> (Entries, Vec<BooleanBuffer>) {
        let conditions = self.conditions.into_iter();
        (self.entries, conditions.map(|mut c| c.finish()).collect())
    }
}

/// Where a condition is true, and not null.
pub(super) fn holds(condition: &BooleanArray) -> BooleanBuffer {
    match condition.nulls() {
        Some(nulls) => condition.values() & nulls.inner(),
        None => condition.values().clone(),
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
