//! The operator as it runs: groups, then their rows.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_err, resources_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::metrics::BaselineMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use super::assemble::{Assembler, Known, Rows};
use super::disk::{ByGroup, PicksOnDisk};
use super::of_key::KeyValues;
use super::others::others;
use super::picks::{Picks, Reading};
use super::plan::AggregatePlan;
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
        let picks = Arc::clone(&self.plan.picks);
        let wide = picks.execute(&context)?;
        let of_key = self.plan.of_key.as_ref().map(|plan| plan.start(&context));
        let numbering = self.plan.numbering.as_ref();
        let numbering = numbering.map(|plan| plan.start(&context)).transpose()?;
        let arguments = self.plan.arguments.as_ref().filter(|_| wide.is_empty());
        let arguments = arguments.map(|plan| plan.execute(0, Arc::clone(&context)));
        let (of_key, _arguments) = (of_key.transpose()?, arguments.transpose()?);
        let (conditions, of_key) = match of_key {
            Some(mut of_key) => (of_key.conditions().await?, Some(of_key)),
            None => (Vec::new(), None),
        };
        let groups = self.plan.groups(conditions, &context, &self.narrow).await?;
        let Some(groups) = groups.map(Arc::new) else {
            return resources_err!("more rows than LateAggregateExec has addresses for");
        };
        let known = Arc::new(Known {
            others: others(&self.plan, &groups, &context).await?,
            of_keys: KeyValues::read(of_key, &groups, &context).await?,
            groups: Arc::clone(&groups),
        });
        let numbers = match numbering {
            Some(numbering) => numbering.numbers(&known, &context).await?,
            None => Vec::new(),
        };
        let schemas = picks.schemas()?;
        let (next, reading) = match wide.is_empty() {
            true => (Next::Counted(0), None),
            false => {
                let consumer = MemoryConsumer::new("LateAggregateExec");
                let consumer = consumer.with_can_spill(true);
                let reservation = consumer.register(context.memory_pool());
                let waiting = Assembler::try_new(&groups, &schemas, reservation)?;
                let reading =
                    Reading::start(&picks, wide, &groups.partitions, &groups.rows);
                (Next::Waiting(waiting), Some(reading))
            }
        };
        let giving = Giving {
            rows: Rows::new(&self.plan.columns, &known, numbers),
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
                    let all = self.rows.known.groups.groups as u32;
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
