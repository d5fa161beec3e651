//! Both passes as they run: the narrow one once, the wide one for each partition.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder,
};
use futures::future::{BoxFuture, Shared, WeakShared};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};

use super::disk::FactsOnDisk;
use super::emit::{BatchFacts, Emit};
use super::other_rows;
use super::pass::{Found, Outcome, PassMetrics, Window, bases};
use crate::operators::spill::{Disk, OnDisk};

/// The narrow pass, run once for all partitions and for all plans that were made of one.
#[derive(Debug)]
pub(super) struct Pass {
    window: Window,
    running: Mutex<Option<WeakShared<Running>>>,
    metrics: ExecutionPlanMetricsSet,
}

pub(super) type Running =
    BoxFuture<'static, std::result::Result<Arc<Facts>, Arc<DataFusionError>>>;

/// What the narrow pass found.
#[derive(Debug)]
pub(super) enum Facts {
    InMemory { found: Found, bases: Vec<u32> },
    OnDisk(Vec<OnDisk>),
}

impl Pass {
    pub(super) fn new(window: Window, metrics: ExecutionPlanMetricsSet) -> Self {
        Self {
            window,
            running: Mutex::new(None),
            metrics,
        }
    }

    /// The narrow pass, which is running for all who ask or starts now.
    pub(super) fn run(self: &Arc<Self>, disk: &Disk) -> Shared<Running> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref().and_then(WeakShared::upgrade) {
            return running;
        }
        let (pass, disk) = (Arc::clone(self), disk.clone());
        let new = async move { pass.facts(&disk).await.map(Arc::new).map_err(Arc::new) };
        let new = new.boxed().shared();
        *running = new.downgrade();
        new
    }

    async fn facts(&self, disk: &Disk) -> Result<Facts> {
        let count = |name| MetricBuilder::new(&self.metrics).global_counter(name);
        let time = |name| MetricBuilder::new(&self.metrics).subset_time(name, 0);
        let metrics = PassMetrics {
            keys: count("keys"),
            sessions: count("sessions"),
            tied_rows: count("tied_rows"),
            read: time("narrow_read_time"),
            sort: time("sort_and_rule_time"),
        };
        match self.window.pass(&disk.context(), &metrics).await? {
            Outcome::Found(found) => {
                let bases = bases(&found.rows);
                Ok(Facts::InMemory { found, bases })
            }
            Outcome::TooMuch => {
                let files = self.window.pass_on_disk(disk, &metrics).await?;
                Ok(Facts::OnDisk(files))
            }
        }
    }
}

/// The wide pass over one partition.
pub(super) struct Wide {
    pub(super) partition: usize,
    pub(super) rows: SendableRecordBatchStream,
    pub(super) pass: Arc<Pass>,
    pub(super) running: Shared<Running>,
    pub(super) disk: Disk,
    pub(super) emit: Emit,
    pub(super) metrics: BaselineMetrics,
}

/// Where the facts about the next rows are.
enum Next {
    /// The address of the next row, and of the first row of another partition.
    InMemory(Arc<Facts>, usize, usize),
    OnDisk(FactsOnDisk),
}

pub(super) type Rows = BoxStream<'static, Result<RecordBatch>>;

impl Wide {
    pub(super) async fn stream(self) -> Result<Rows> {
        let facts = self
            .running
            .clone()
            .await
            .map_err(DataFusionError::Shared)?;
        let next = match facts.as_ref() {
            Facts::InMemory { found, bases } => {
                let from = bases[self.partition] as usize;
                let end = from + found.rows[self.partition] as usize;
                Next::InMemory(Arc::clone(&facts), from, end)
            }
            Facts::OnDisk(files) => {
                let (window, file) = (&self.pass.window, &files[self.partition]);
                Next::OnDisk(FactsOnDisk::try_new(window, &self.disk, file)?)
            }
        };
        let rows = stream::try_unfold((self, next), |(mut wide, mut next)| async {
            let Some(batch) = wide.rows.next().await.transpose()? else {
                next.end().await?;
                return Ok(None);
            };
            let facts = next.facts(batch.num_rows()).await?;
            let elapsed = wide.metrics.elapsed_compute().clone();
            let timer = elapsed.timer();
            let batch = wide.emit.batch(&batch, &facts)?;
            drop(timer);
            wide.metrics.record_output(batch.num_rows());
            Ok(Some((batch, (wide, next))))
        });
        Ok(rows.boxed())
    }
}

impl Next {
    async fn facts(&mut self, rows: usize) -> Result<BatchFacts> {
        match self {
            Self::InMemory(facts, from, end) => {
                let Facts::InMemory { found, .. } = facts.as_ref() else {
                    return internal_err!("facts went to disk");
                };
                let range = *from..*from + rows;
                if range.end > *end {
                    return Err(other_rows());
                }
                *from = range.end;
                let rules = found.rules.iter();
                Ok(BatchFacts {
                    rules: rules.map(|facts| facts.arrays(range.clone())).collect(),
                    row_numbers: found.row_numbers.array(range),
                })
            }
            Self::OnDisk(facts) => facts.next(rows).await,
        }
    }

    /// All rows must have come again.
    async fn end(&mut self) -> Result<()> {
        let done = match self {
            Self::InMemory(_, from, end) => from == end,
            Self::OnDisk(facts) => facts.is_done().await?,
        };
        if done { Ok(()) } else { Err(other_rows()) }
    }
}
