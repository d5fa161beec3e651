//! The operator as it runs: groups, then their rows.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_err, resources_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::physical_plan::metrics::BaselineMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use super::assemble::{Assembler, Rows};
use super::disk::{ByGroup, PicksOnDisk};
use super::others::others;
use super::picks::{Picks, Reading};
use super::plan::AggregatePlan;
use crate::operators::sessionize::late::emit::RecentIds;
use crate::operators::sessionize::late::pass::PassMetrics;
use crate::operators::spill::Disk;

pub(super) struct Run {
    pub(super) plan: Arc<AggregatePlan>,
    pub(super) schema: SchemaRef,
    pub(super) disk: Disk,
    pub(super) metrics: BaselineMetrics,
    pub(super) narrow: PassMetrics,
}

/// Where the next groups come from.
enum Next {
    /// Nothing is read of their rows: those from here on.
    Counted(u32),
    Waiting(Assembler),
    Written(PicksOnDisk),
    ByGroup(ByGroup),
}

/// Gives the rows of the result.
struct Giving {
    rows: Rows,
    next: Next,
    reading: Option<Reading>,
    schemas: Vec<SchemaRef>,
    disk: Disk,
    metrics: BaselineMetrics,
    batch_size: usize,
}

impl Run {
    /// The rows; fails where there is no memory for the groups.
    pub(super) async fn rows(self) -> Result<SendableRecordBatchStream> {
        let context = self.disk.context();
        // here, so that what they share with the narrow pass lives on
        let picked = self.plan.picked.as_ref().map(|picked| &picked.columns);
        let wide = picked.or(self.plan.arguments.as_ref());
        let partitions = wide.map_or(0, |p| p.output_partitioning().partition_count());
        let wide = wide.into_iter().flat_map(|plan| {
            let context = &context;
            (0..partitions).map(move |place| plan.execute(place, Arc::clone(context)))
        });
        let wide = wide.collect::<Result<Vec<_>>>()?;
        let groups = self.plan.groups(&context, &self.narrow).await?;
        let Some(groups) = groups.map(Arc::new) else {
            return resources_err!("more rows than LateAggregateExec has addresses for");
        };
        let others = others(&self.plan, &groups, &context).await?;
        let slots = self.plan.slots.iter();
        let schemas = slots
            .zip(picked.iter().cycle())
            .map(|(slot, picked)| Ok(Arc::new(picked.schema().project(&slot.columns)?)));
        let schemas = schemas.collect::<Result<Vec<_>>>()?;
        let (next, reading) = match picked {
            None => (Next::Counted(0), None),
            Some(_) => {
                let consumer = MemoryConsumer::new("LateAggregateExec");
                let consumer = consumer.with_can_spill(true);
                let reservation = consumer.register(context.memory_pool());
                let waiting = Assembler::try_new(&groups, &schemas, reservation)?;
                let reading = Reading::start(&self.plan, wide, &groups);
                (Next::Waiting(waiting), Some(reading))
            }
        };
        let giving = Giving {
            rows: Rows {
                plan: self.plan,
                groups,
                others,
                schema: Arc::clone(&self.schema),
                ids: RecentIds::default(),
            },
            next,
            reading,
            schemas,
            disk: self.disk,
            metrics: self.metrics,
            batch_size: context.session_config().batch_size(),
        };
        let rows = stream::try_unfold(giving, |mut giving| async {
            let rows = giving.next().await?;
            Ok(rows.map(|rows| (rows, giving)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema, rows)))
    }
}

impl Giving {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let is_read = self.reading.is_none();
            let (groups, columns) = match &mut self.next {
                Next::Counted(from) => {
                    let all = self.rows.groups.groups as u32;
                    let until = all.min(from.saturating_add(self.batch_size as u32));
                    let groups = (*from..until).collect();
                    *from = until;
                    (groups, Vec::new())
                }
                Next::Waiting(waiting)
                    if waiting.ready() >= self.batch_size || is_read =>
                {
                    waiting.give(self.batch_size)?
                }
                Next::ByGroup(sorted) => sorted.next().await?,
                Next::Waiting(_) | Next::Written(_) => {
                    self.read().await?;
                    continue;
                }
            };
            if groups.is_empty() {
                return Ok(None);
            }
            let _timer = self.metrics.elapsed_compute().timer();
            let rows = self.rows.of(&groups, &columns)?;
            self.metrics.record_output(rows.num_rows());
            return Ok(Some(rows));
        }
    }

    /// Takes the next picked rows in, or ends the reading.
    async fn read(&mut self) -> Result<()> {
        let picks = match &mut self.reading {
            Some(reading) => reading.next().await?,
            None => None,
        };
        let Some(picks) = picks else {
            self.reading = None;
            return self.sort();
        };
        match &mut self.next {
            Next::Waiting(waiting) => match waiting.push(picks) {
                Ok(()) => Ok(()),
                Err(picks) => self.write(picks),
            },
            Next::Written(written) => written.push(picks),
            Next::Counted(_) | Next::ByGroup(_) => {
                internal_err!("no rows were asked for")
            }
        }
    }

    /// Moves all that waits to disk, and these rows.
    fn write(&mut self, picks: Picks) -> Result<()> {
        let mut written = PicksOnDisk::try_new(&self.disk, &self.schemas)?;
        let waiting = std::mem::replace(&mut self.next, Next::Counted(u32::MAX));
        let Next::Waiting(waiting) = waiting else {
            return internal_err!("no rows wait");
        };
        waiting.give_up(|rows| written.push(rows))?;
        written.push(picks)?;
        self.next = Next::Written(written);
        Ok(())
    }

    /// All rows are read: those on disk are to come by group.
    fn sort(&mut self) -> Result<()> {
        let next = std::mem::replace(&mut self.next, Next::Counted(u32::MAX));
        self.next = match next {
            Next::Written(written) => Next::ByGroup(written.finish()?),
            other => other,
        };
        Ok(())
    }
}
