//! Aggregates that DataFusion's accumulators give, over groups that are known.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::take;
use datafusion::common::runtime::JoinSet;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use futures::StreamExt;

use super::groups::{Groups, indexes};
use super::plan::AggregatePlan;
use super::spec::Other;
use crate::operators::sessionize::late::{joined, other_rows};

/// The place of a group that no row was met of.
const NOT_MET: u32 = u32::MAX;

/// Their values.
pub(super) struct OtherValues {
    values: Vec<ArrayRef>,
    met: Vec<u32>,
    _reservation: MemoryReservation,
}

impl OtherValues {
    /// One of them, of some groups.
    pub(super) fn of(&self, place: usize, groups: &[u32]) -> Result<ArrayRef> {
        let met: Vec<u32> = groups
            .iter()
            .map(|group| self.met[*group as usize])
            .collect();
        Ok(take(&self.values[place], &indexes(&met), None)?)
    }
}

/// The accumulators, and the memory that they hold.
struct Accumulators {
    others: Vec<(Other, Box<dyn GroupsAccumulator>)>,
    /// The groups in the order that they are met in, which accumulators rely on.
    met: Vec<u32>,
    next: u32,
    reservation: MemoryReservation,
}

impl Accumulators {
    /// Adds rows, of which the groups are given.
    fn add(&mut self, batch: &RecordBatch, mut groups: Vec<usize>) -> Result<()> {
        for group in &mut groups {
            let met = &mut self.met[*group];
            if *met == NOT_MET {
                *met = self.next;
                self.next += 1;
            }
            *group = *met as usize;
        }
        let all = self.next as usize;
        let mut columns = batch.columns();
        for (other, accumulator) in &mut self.others {
            let (arguments, rest) = columns.split_at(other.arguments.len());
            let (condition, rest) = rest.split_at(usize::from(other.condition.is_some()));
            let condition = condition.first().map(AsArray::as_boolean);
            accumulator.update_batch(arguments, &groups, condition, all)?;
            columns = rest;
        }
        let sizes = self
            .others
            .iter()
            .map(|(_, accumulator)| accumulator.size());
        let met = self.met.len() * size_of::<u32>();
        self.reservation.try_resize(met + sizes.sum::<usize>())
    }
}

impl Accumulators {
    fn finish(mut self) -> Result<OtherValues> {
        let values = self.others.iter_mut();
        let values = values.map(|(_, accumulator)| accumulator.evaluate(EmitTo::All));
        let values = values.collect::<Result<Vec<_>>>()?;
        let held: usize = values.iter().map(|v| v.get_array_memory_size()).sum();
        self.reservation
            .try_resize(held + self.met.len() * size_of::<u32>())?;
        Ok(OtherValues {
            values,
            met: self.met,
            _reservation: self.reservation,
        })
    }
}

/// The values of [`others`](AggregatePlan::others), group by group.
pub(super) async fn others(
    plan: &AggregatePlan,
    groups: &Arc<Groups>,
    context: &Arc<TaskContext>,
) -> Result<OtherValues> {
    let consumer = MemoryConsumer::new("LateAggregateExec").with_can_spill(true);
    let reservation = consumer.register(context.memory_pool());
    let Some(arguments) = &plan.arguments else {
        return Ok(OtherValues {
            values: Vec::new(),
            met: Vec::new(),
            _reservation: reservation,
        });
    };
    let others = plan.others.iter().map(|other| {
        let accumulator = other.function.create_groups_accumulator()?;
        Ok((other.clone(), accumulator))
    });
    let accumulators = Arc::new(Mutex::new(Accumulators {
        others: others.collect::<Result<_>>()?,
        met: vec![NOT_MET; groups.groups],
        next: 0,
        reservation,
    }));
    let mut tasks = JoinSet::new();
    for (partition, rows) in groups.partitions.iter().cloned().enumerate() {
        let batches = arguments.execute(partition, Arc::clone(context))?;
        let (groups, all) = (Arc::clone(groups), Arc::clone(&accumulators));
        let read = async move {
            let rows = rows.start as usize..rows.end as usize;
            accumulate(batches, rows, &groups, &all).await
        };
        tasks.spawn(async move { (partition, read.await) });
    }
    joined(tasks).await?;
    match Arc::into_inner(accumulators).map(Mutex::into_inner) {
        Some(all) => all.unwrap_or_else(PoisonError::into_inner).finish(),
        None => internal_err!("accumulators are still in use"),
    }
}

/// Adds the rows of a partition, which have these addresses.
async fn accumulate(
    mut batches: SendableRecordBatchStream,
    rows: Range<usize>,
    groups: &Groups,
    all: &Mutex<Accumulators>,
) -> Result<()> {
    let mut next = rows.start;
    while let Some(batch) = batches.next().await.transpose()? {
        let end = next + batch.num_rows();
        if end > rows.end {
            return Err(other_rows());
        }
        let of_rows = groups.of_rows(next..end).ok_or_else(other_rows)?;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.add(&batch, of_rows)?;
        next = end;
    }
    match next == rows.end {
        true => Ok(()),
        false => Err(other_rows()),
    }
}
