//! The wide pass: the rows that belong to groups, slot by slot.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::take_arrays;
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::groups::{Groups, indexes};
use super::plan::AggregatePlan;
use crate::operators::sessionize::late::other_rows;

/// Batches that wait for each reader.
const WAITING: usize = 2;

/// Rows of one slot, and their groups.
#[derive(Debug)]
pub(super) struct Picks {
    pub(super) slot: usize,
    pub(super) columns: Vec<ArrayRef>,
    pub(super) groups: Vec<u32>,
}

impl Picks {
    pub(super) fn size(&self) -> usize {
        let columns = self.columns.iter();
        let columns: usize = columns.map(|column| column.get_array_memory_size()).sum();
        columns + self.groups.capacity() * size_of::<u32>()
    }

    /// Some of the rows.
    pub(super) fn take(&self, rows: &[u32]) -> Result<Self> {
        let groups = rows.iter().map(|row| self.groups[*row as usize]);
        Ok(Self {
            slot: self.slot,
            columns: take_arrays(&self.columns, &indexes(rows), None)?,
            groups: groups.collect(),
        })
    }
}

/// Readers of all partitions; they end when it is dropped.
pub(super) struct Reading {
    picks: mpsc::Receiver<Picks>,
    tasks: JoinSet<Result<()>>,
}

impl Reading {
    /// Reads `picked` in all partitions at once.
    pub(super) fn start(
        plan: &Arc<AggregatePlan>,
        picked: &Arc<dyn ExecutionPlan>,
        groups: &Arc<Groups>,
        context: &Arc<TaskContext>,
    ) -> Result<Self> {
        let partitions = groups.partitions.len();
        let (sender, picks) = mpsc::channel(WAITING * partitions.max(1));
        let mut tasks = JoinSet::new();
        for partition in 0..partitions {
            let reader = Reader {
                plan: Arc::clone(plan),
                groups: Arc::clone(groups),
                sender: sender.clone(),
            };
            let batches = picked.execute(partition, Arc::clone(context))?;
            tasks.spawn(reader.read(partition, batches));
        }
        Ok(Self { picks, tasks })
    }

    /// The next rows, of any partition; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Picks>> {
        if let Some(picks) = self.picks.recv().await {
            return Ok(Some(picks));
        }
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(|e| DataFusionError::External(Box::new(e)))??;
        }
        Ok(None)
    }
}

struct Reader {
    plan: Arc<AggregatePlan>,
    groups: Arc<Groups>,
    sender: mpsc::Sender<Picks>,
}

impl Reader {
    async fn read(
        self,
        partition: usize,
        mut batches: SendableRecordBatchStream,
    ) -> Result<()> {
        let own = self.groups.partitions[partition].clone();
        let rows = self.groups.rows.iter();
        // the next row to pick of each slot
        let mut ahead: Vec<usize> = rows
            .map(|rows| rows.partition_point(|row| row.address < own.start))
            .collect();
        let mut next = own.start;
        while let Some(batch) = batches.next().await.transpose()? {
            let first = next;
            next = match u32::try_from(batch.num_rows()) {
                Ok(rows) if rows <= own.end - first => first + rows,
                _ => return Err(other_rows()),
            };
            for (slot, ahead) in ahead.iter_mut().enumerate() {
                let rows = &self.groups.rows[slot][*ahead..];
                let rows = &rows[..rows.partition_point(|row| row.address < next)];
                if rows.is_empty() {
                    continue;
                }
                *ahead += rows.len();
                let places: Vec<u32> =
                    rows.iter().map(|row| row.address - first).collect();
                let wanted = self.plan.slots[slot].columns.iter();
                let wanted: Vec<_> = wanted
                    .map(|column| Arc::clone(batch.column(*column)))
                    .collect();
                let picks = Picks {
                    slot,
                    columns: take_arrays(&wanted, &indexes(&places), None)?,
                    groups: rows.iter().map(|row| row.group).collect(),
                };
                if self.sender.send(picks).await.is_err() {
                    // nobody wants them any more
                    return Ok(());
                }
            }
        }
        match next == own.end {
            true => Ok(()),
            false => Err(other_rows()),
        }
    }
}
