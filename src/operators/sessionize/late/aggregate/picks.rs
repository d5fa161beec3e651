//! The wide pass: the rows that belong to groups, slot by slot.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::take_arrays;
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::groups::{Row, indexes};
use super::picking::Picking;
use crate::operators::sessionize::late::keyed::holds;
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
    /// Reads all partitions at once.
    pub(super) fn start(
        picking: &Arc<Picking>,
        partitions: Vec<SendableRecordBatchStream>,
        addresses: &[Range<u32>],
        rows: &[Arc<[Row]>],
    ) -> Self {
        let (sender, picks) = mpsc::channel(WAITING * partitions.len().max(1));
        let mut tasks = JoinSet::new();
        for (batches, own) in partitions.into_iter().zip(addresses) {
            let reader = Reader {
                picking: Arc::clone(picking),
                rows: rows.to_vec(),
                sender: sender.clone(),
            };
            tasks.spawn(reader.read(own.clone(), batches));
        }
        Self { picks, tasks }
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
    picking: Arc<Picking>,
    rows: Vec<Arc<[Row]>>,
    sender: mpsc::Sender<Picks>,
}

impl Reader {
    async fn read(
        self,
        own: Range<u32>,
        mut batches: SendableRecordBatchStream,
    ) -> Result<()> {
        let unfiltered = self.picking.picked.as_ref().is_some_and(|p| p.unfiltered);
        let rows = self.rows.iter();
        // the next row to pick of each slot
        let mut ahead: Vec<usize> = rows
            .map(|rows| rows.partition_point(|row| row.address < own.start))
            .collect();
        let mut next = own.start;
        while let Some(batch) = batches.next().await.transpose()? {
            let passing = match unfiltered {
                true => passing(&batch),
                false => None,
            };
            let passed = match &passing {
                Some(passing) => passing.len(),
                None => batch.num_rows(),
            };
            let first = next;
            next = match u32::try_from(passed) {
                Ok(rows) if rows <= own.end - first => first + rows,
                _ => return Err(other_rows()),
            };
            for (slot, ahead) in ahead.iter_mut().enumerate() {
                let rows = &self.rows[slot][*ahead..];
                let rows = &rows[..rows.partition_point(|row| row.address < next)];
                if rows.is_empty() {
                    continue;
                }
                *ahead += rows.len();
                let places = rows.iter().map(|row| row.address - first);
                let places: Vec<u32> = match &passing {
                    Some(passing) => places.map(|row| passing[row as usize]).collect(),
                    None => places.collect(),
                };
                let wanted = self.picking.slots[slot].columns.iter();
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

/// The rows that pass a filter, by the last column; `None` if all do.
fn passing(batch: &RecordBatch) -> Option<Vec<u32>> {
    let passes = holds(batch.columns().last()?.as_boolean_opt()?);
    let all = passes.count_set_bits() == passes.len();
    (!all).then(|| passes.set_indices_u32().collect())
}
