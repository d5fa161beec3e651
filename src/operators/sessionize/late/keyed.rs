//! The narrow pass: keys and times of all rows, sorted part by part.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder,
};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::common::Result;
use datafusion::common::runtime::JoinSet;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::metrics::Count;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PhysicalExpr};
use futures::StreamExt;

use super::entries::{Entries, KeyHasher, PARTS, Part, parts};
use super::narrow::{project, project_unfiltered};
use super::order::{By, Order};
use super::pass::PassMetrics;
use super::ties::{TieBreakers, ranks};
use super::{exhausted, joined, side_by_side};

/// How many parts are held at least: with fewer, rows would be read too often.
const FEWEST_PARTS: usize = PARTS / 16;

/// Rows that are looked at to tell whether keys are few, and how many of them a key has then.
const SAMPLE: usize = 64 * 1024;
const ROWS_A_KEY: usize = 8;

/// A key and an order over rows that can be read again.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    /// The columns of the key, the first order column, then conditions.
    columns: Arc<dyn ExecutionPlan>,
    /// Rows that a filter drops are among them: a last column says which ones pass it.
    unfiltered: bool,
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
        order: &By,
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
        let (columns, unfiltered) = project_unfiltered(input, numbered(read))?;
        Ok(Self {
            columns,
            unfiltered,
            keys: key.len(),
            order: Order::new(options[0]),
            ties,
        })
    }

    /// Whether the first rows have few keys for their number. Keys that are met again and again
    /// stay in a processor's cache, so that rows need not be sorted to be with theirs.
    pub(super) async fn has_few_keys(&self, context: &Arc<TaskContext>) -> Result<bool> {
        let mut rows = self.columns.execute(0, Arc::clone(context))?;
        let (mut hasher, mut seen, mut read) = (KeyHasher::default(), HashSet::new(), 0);
        while read < SAMPLE
            && let Some(batch) = rows.next().await.transpose()?
        {
            let [hashes, _] =
                hasher.hash(&batch.columns()[..self.keys], batch.num_rows())?;
            seen.extend(hashes.iter().copied());
            read += batch.num_rows();
        }
        Ok(seen.len() * ROWS_A_KEY < read)
    }

    /// What `work` gives of each part of the rows, sorted, in no order, and the addresses of
    /// each partition's rows; `None` if there are too many.
    ///
    /// All parts are held at once, or, where there is no memory for that, as many as there is
    /// memory for, in rounds that each read the rows anew. `work` is asked for in each round,
    /// with what the rounds before gave.
    pub(super) async fn each_part<R, W>(
        &self,
        context: &Arc<TaskContext>,
        reservation: &MemoryReservation,
        metrics: &PassMetrics,
        mut work: impl FnMut(Addressed<'_>, &[R]) -> Result<W>,
    ) -> Result<Option<(Vec<Range<u32>>, Vec<R>)>>
    where
        R: Send + 'static,
        W: Fn(&Part) -> Result<R> + Clone + Send + 'static,
    {
        let (mut from, mut count) = (0, PARTS);
        let mut done = Vec::new();
        loop {
            let held = from..from + count;
            let round = async {
                let reading = metrics.read.timer();
                metrics.reads.add(1);
                let Some(held) = self.read(held, context, reservation).await? else {
                    return Ok(None);
                };
                drop(reading);
                let _sorting = metrics.sort.timer();
                let addressed = Addressed {
                    partitions: &held.partitions,
                    conditions: held.conditions,
                };
                let work = work(addressed, &done)?;
                let (entries, partitions) = (held.entries, held.partitions);
                let ties = &metrics.tied_rows;
                let each = self
                    .work_on(entries, &partitions, context, reservation, ties, work)
                    .await?;
                Ok(Some((partitions, each)))
            };
            match round.await {
                Ok(Some((partitions, each))) => {
                    done.extend(each);
                    from += count;
                    if from == PARTS {
                        return Ok(Some((partitions, done)));
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) if exhausted(&error) && count > FEWEST_PARTS => count /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what is held of rows in some parts; `None` if there are too many.
    async fn read(
        &self,
        parts: Range<usize>,
        context: &Arc<TaskContext>,
        reservation: &MemoryReservation,
    ) -> Result<Option<Held>> {
        // here, so that what they share with the plan that is read lives on
        let ties = self.ties.iter().take(1);
        let ties = ties.map(|ties| ties.columns.execute(0, Arc::clone(context)));
        let ties = ties.collect::<Result<_>>()?;
        let plan = &self.columns;
        // after the key and the time, before what a filter says
        let others = self.keys + 1 + usize::from(self.unfiltered);
        let conditions = plan.schema().fields().len() - others;
        let mut tasks = JoinSet::new();
        for partition in 0..plan.output_partitioning().partition_count() {
            let mut rows = plan.execute(partition, Arc::clone(context))?;
            let mut reader = Reader {
                keys: self.keys,
                unfiltered: self.unfiltered,
                order: self.order,
                hasher: KeyHasher::default(),
                entries: Entries::new(reservation.new_empty(), parts.clone()),
                conditions: ConditionsBuilder::new(conditions),
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
    async fn work_on<R: Send + 'static>(
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

/// What is known of all rows before they are sorted.
pub(super) struct Addressed<'a> {
    /// The addresses of each partition's rows.
    pub(super) partitions: &'a [Range<u32>],
    /// Where conditions hold, of each partition, row by row.
    pub(super) conditions: Vec<Vec<BooleanBuffer>>,
}

/// What is held of rows.
struct Held {
    entries: Vec<Entries>,
    partitions: Vec<Range<u32>>,
    conditions: Vec<Vec<BooleanBuffer>>,
    _ties: Vec<SendableRecordBatchStream>,
}

/// Reads the narrow rows of one partition.
struct Reader {
    keys: usize,
    unfiltered: bool,
    order: Order,
    hasher: KeyHasher,
    entries: Entries,
    conditions: ConditionsBuilder,
}

impl Reader {
    fn push(&mut self, mut columns: &[ArrayRef]) -> Result<bool> {
        let mut passes = None;
        if self.unfiltered
            && let Some((last, others)) = columns.split_last()
        {
            let of_rows = holds(last.as_boolean());
            passes = Some(of_rows).filter(|p| p.count_set_bits() < p.len());
            columns = others;
        }
        let (keys, others) = columns.split_at(self.keys);
        let Some((time, conditions)) = others.split_first() else {
            return Ok(false);
        };
        self.conditions.push(conditions, passes.as_ref());
        match self.order.codes(time)? {
            Some(codes) => {
                let hashes = self.hasher.hash(keys, codes.len())?;
                self.entries.push(hashes, &codes, passes.as_ref())
            }
            None => Ok(false),
        }
    }

    fn finish(self) -> (Entries, Vec<BooleanBuffer>) {
        (self.entries, self.conditions.finish())
    }
}

/// Where conditions hold, batch after batch of a partition.
pub(super) struct ConditionsBuilder(Vec<BooleanBufferBuilder>);

impl ConditionsBuilder {
    /// For so many conditions.
    pub(super) fn new(conditions: usize) -> Self {
        let all = 0..conditions;
        Self(all.map(|_| BooleanBufferBuilder::new(0)).collect())
    }

    /// Adds the rows of a batch, or those that pass a filter.
    pub(super) fn push(
        &mut self,
        conditions: &[ArrayRef],
        passes: Option<&BooleanBuffer>,
    ) {
        for (builder, condition) in self.0.iter_mut().zip(conditions) {
            let holds = holds(condition.as_boolean());
            match passes {
                None => builder.append_buffer(&holds),
                Some(passes) => passes
                    .set_indices()
                    .for_each(|row| builder.append(holds.value(row))),
            }
        }
    }

    pub(super) fn finish(self) -> Vec<BooleanBuffer> {
        self.0.into_iter().map(|mut all| all.finish()).collect()
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
