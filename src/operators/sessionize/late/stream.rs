//! Both passes as they run: the narrow one once, the wide one for each partition.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use futures::future::{BoxFuture, Shared, WeakShared};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};

use super::disk::{FactsOnDisk, FoundOnDisk};
use super::emit::{BatchFacts, Emit};
use super::other_rows;
use super::pass::{Found, PassMetrics, Window};
use crate::operators::spill::Disk;

/// The narrow pass, run once for all partitions and for all plans that were made of one.
#[derive(Debug)]
pub(super) struct Pass {
    window: Window,
    /// Set if several windows share it.
    shared: AtomicBool,
    started: Mutex<Started>,
    metrics: ExecutionPlanMetricsSet,
}

#[derive(Debug, Default)]
struct Started {
    running: Option<WeakShared<Running>>,
    /// What a shared pass found stays for the windows that run later in the same query.
    kept: Option<(Weak<TaskContext>, Shared<Running>)>,
}

/// The narrow passes of one plan: windows alike over the same rows share theirs.
#[derive(Debug, Default)]
pub(crate) struct Passes(Vec<Arc<Pass>>);

impl Passes {
    /// The pass of a window: that of one alike, or a new one, and which of both.
    pub(super) fn of(&mut self, window: Window) -> Result<(Arc<Pass>, bool)> {
        for pass in &self.0 {
            if pass.window.is_like(&window)? {
                pass.shared.store(true, Ordering::Relaxed);
                return Ok((Arc::clone(pass), false));
            }
        }
        let pass = Arc::new(Pass::new(window));
        self.0.push(Arc::clone(&pass));
        Ok((pass, true))
    }
}

pub(super) type Running =
    BoxFuture<'static, std::result::Result<Known, Arc<DataFusionError>>>;

/// What the narrow pass found.
#[derive(Debug, Clone)]
pub(super) enum Known {
    InMemory(Arc<Found>),
    OnDisk(Arc<FoundOnDisk>),
}

impl Pass {
    fn new(window: Window) -> Self {
        Self {
            window,
            shared: AtomicBool::new(false),
            started: Mutex::default(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    pub(super) fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    /// The narrow pass, which is running for all who ask or starts now.
    pub(super) fn run(&self, disk: &Disk) -> Shared<Running> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let context = Arc::downgrade(&disk.context());
        if let Some((of, kept)) = &started.kept
            && of.ptr_eq(&context)
        {
            return kept.clone();
        }
        if let Some(running) = started.running.as_ref().and_then(WeakShared::upgrade) {
            return running;
        }
        // not the pass itself, which holds what it finds
        let (window, metrics, disk) =
            (self.window.clone(), self.metrics.clone(), disk.clone());
        let new = async move { known(&window, &metrics, &disk).await.map_err(Arc::new) };
        let new = new.boxed().shared();
        started.running = new.downgrade();
        started.kept = None;
        if self.shared.load(Ordering::Relaxed) {
            started.kept = Some((context, new.clone()));
        }
        new
    }
}

async fn known(
    window: &Window,
    metrics: &ExecutionPlanMetricsSet,
    disk: &Disk,
) -> Result<Known> {
    let metrics = PassMetrics::new(metrics, "sessions");
    if let Some(found) = window.pass(&disk.context(), &metrics).await? {
        return Ok(Known::InMemory(found));
    }
    let found = window.pass_on_disk(disk, &metrics).await?;
    Ok(Known::OnDisk(Arc::new(found)))
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
    /// At the addresses of the rows to come.
    InMemory(Arc<Found>, Range<usize>),
    OnDisk(FactsOnDisk),
}

pub(super) type Rows = BoxStream<'static, Result<RecordBatch>>;

impl Wide {
    pub(super) async fn stream(self) -> Result<Rows> {
        let known = self.running.clone().await;
        let next = match known.map_err(DataFusionError::Shared)? {
            Known::InMemory(found) => {
                let rows = found.partitions[self.partition].clone();
                Next::InMemory(found, rows.start as usize..rows.end as usize)
            }
            Known::OnDisk(found) => {
                let (window, partition) = (&self.pass.window, self.partition);
                let facts = FactsOnDisk::try_new(window, &self.disk, &found, partition)?;
                Next::OnDisk(facts)
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
            Self::InMemory(found, left) => {
                let range = left.start..left.start + rows;
                if range.end > left.end {
                    return Err(other_rows());
                }
                left.start = range.end;
                let rules = found.rules.iter();
                Ok(BatchFacts {
                    rules: rules.map(|facts| facts.arrays(range.clone())).collect(),
                    row_numbers: found.row_numbers.array(range.clone()),
                    lags: found.lags.array(found.order, range.clone()),
                    counts: found.counts.array(range),
                })
            }
            Self::OnDisk(facts) => facts.next(rows).await,
        }
    }

    /// All rows must have come again.
    async fn end(&mut self) -> Result<()> {
        let done = match self {
            Self::InMemory(_, left) => left.start == left.end,
            Self::OnDisk(facts) => facts.is_done().await?,
        };
        if done { Ok(()) } else { Err(other_rows()) }
    }
}
