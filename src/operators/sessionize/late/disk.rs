//! The narrow pass where memory does not suffice: rows of key, order and address are sorted
//! on disk, and what is found out about them is put back into the order of addresses there.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt64Array};
use datafusion::arrow::compute::{SortOptions, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{
    DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type,
};
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt};

use super::emit::BatchFacts;
use super::facts::{FactArrays, FactBuilder};
use super::order::ticks;
use super::other_rows;
use super::pass::{PassMetrics, Rule, Window};
use super::peers::Peers;
use crate::boundary::{ColumnIndexes, EventColumns, SessionState};
use crate::operators::sessionize::keys::Keys;
use crate::operators::sessionize::run::{follow, row_numbers};
use crate::operators::spill::{Disk, DiskWriter, OnDisk, ordering, sorted};

/// The bits of an address that count rows within a partition.
const ROW_BITS: u32 = 40;

impl Window {
    /// The facts about the rows of each partition, on disk.
    pub(super) async fn pass_on_disk(
        &self,
        disk: &Disk,
        metrics: &PassMetrics,
    ) -> Result<FoundOnDisk> {
        let mut rows = self.sorted_rows(disk)?;
        let schema = self.facts_schema();
        let partitions = self.all.output_partitioning().partition_count();
        let files = (0..partitions).map(|_| disk.writer(Arc::clone(&schema)));
        let mut files = files.collect::<Result<Vec<_>>>()?;
        let mut follower = Follower {
            keys: self.first_columns(self.keyed.keys),
            states: self.rules.iter().map(|_| SessionState::default()).collect(),
            ends: self.rules.iter().map(|_| Vec::new()).collect(),
            row_number: 0,
            time: None,
        };
        let consumer = MemoryConsumer::new("LateSessionizeExec");
        let reservation = consumer.register(disk.context().memory_pool());
        let ordered = self.keyed.keys + self.options.len();
        let peers = self.counts.then(|| self.first_columns(ordered));
        let mut peers = peers.map(Peers::new);
        while let Some(batch) = rows.next().await.transpose()? {
            if batch.num_rows() > 0 {
                let facts = follower.batch(self, &batch, metrics)?;
                let facts = RecordBatch::try_new(Arc::clone(&schema), facts)?;
                match &mut peers {
                    Some(peers) => {
                        for facts in peers.next(&batch, facts)? {
                            deal(&facts, &mut files)?;
                        }
                    }
                    None => deal(&facts, &mut files)?,
                }
                let ends = follower.ends.iter().map(Vec::capacity).sum::<usize>();
                let waiting = peers.as_ref().map_or(0, Peers::bytes);
                reservation.try_resize(ends * size_of::<i64>() + waiting)?;
            }
        }
        for facts in peers.map(Peers::finish).transpose()?.into_iter().flatten() {
            deal(&facts, &mut files)?;
        }
        let files = files.into_iter().map(DiskWriter::finish);
        Ok(FoundOnDisk {
            files: files.collect::<Result<_>>()?,
            ends: follower.ends,
            _reservation: reservation,
        })
    }

    /// Goes by the first columns of the key and the order.
    fn first_columns(&self, count: usize) -> Keys {
        let columns = (0..count).map(|index| {
            let field = Arc::clone(&self.all.schema().fields()[index]);
            Arc::new(Column::new(field.name(), index)) as Arc<dyn PhysicalExpr>
        });
        Keys::new(columns.collect())
    }

    /// All rows by key and order: their columns and, last, their addresses.
    fn sorted_rows(&self, disk: &Disk) -> Result<SendableRecordBatchStream> {
        let columns = self.all.schema();
        let address = Arc::new(Field::new("__address", DataType::UInt64, false));
        let fields = columns.fields().iter().cloned().chain([address]);
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let partitions = 0..self.all.output_partitioning().partition_count();
        let partitions = partitions.map(|partition| {
            Arc::new(Addressed {
                plan: Arc::clone(&self.all),
                partition,
                schema: Arc::clone(&schema),
            }) as Arc<dyn PartitionStream>
        });
        let scan = StreamingTableExec::try_new(
            Arc::clone(&schema),
            partitions.collect(),
            None,
            [],
            false,
            None,
        )?;
        let ascending = SortOptions::default();
        let options = std::iter::repeat_n(ascending, self.keyed.keys);
        let options = options.chain(self.options.iter().copied()).enumerate();
        let address = schema.fields().len() - 1;
        let order = ordering(&schema, options.chain([(address, ascending)]))?;
        let sort = SortExec::new(order.clone(), Arc::new(scan));
        let sort = Arc::new(sort.with_preserve_partitioning(true));
        SortPreservingMergeExec::new(order, sort).execute(0, disk.context())
    }

    fn facts_schema(&self) -> SchemaRef {
        let mut fields = vec![Field::new("address", DataType::UInt64, false)];
        for rule in &self.rules {
            fields.extend(rule.wanted.types().map(|t| Field::new("fact", t, false)));
        }
        if self.row_numbers {
            fields.push(Field::new("row_number", DataType::UInt64, false));
        }
        if self.lags {
            fields.push(Field::new("lag", DataType::Int64, true));
        }
        if self.counts {
            fields.push(Field::new("count", DataType::UInt64, false));
        }
        Arc::new(Schema::new(fields))
    }

    /// The facts in a batch that [`pass_on_disk`](Self::pass_on_disk) wrote.
    fn facts_of(&self, batch: &RecordBatch, ends: &[Vec<i64>]) -> BatchFacts {
        let mut columns = batch.columns().iter().skip(1);
        let rules = self.rules.iter().zip(ends).map(|(rule, ends)| {
            let mut facts = FactArrays::of_columns(rule.wanted, &mut columns);
            let end = |session: i64| ends.get(session as usize).copied().unwrap_or(0);
            facts.ends = facts.ends.map(|sessions| sessions.unary(end));
            facts
        });
        let rules = rules.collect();
        let mut next = |wanted: bool| if wanted { columns.next() } else { None };
        let row_numbers = next(self.row_numbers);
        let lags = next(self.lags);
        let counts = next(self.counts);
        BatchFacts {
            rules,
            row_numbers: row_numbers.map(|c| c.as_primitive::<UInt64Type>().clone()),
            lags: lags.map(|c| c.as_primitive::<Int64Type>().clone()),
            counts: counts.map(|c| c.as_primitive::<UInt64Type>().clone()),
        }
    }
}

/// What [`pass_on_disk`](Window::pass_on_disk) found.
#[derive(Debug)]
pub(super) struct FoundOnDisk {
    /// A file a partition.
    pub(super) files: Vec<OnDisk>,
    /// The ends of all sessions by each rule that is asked for them: the files have their
    /// places here.
    ends: Vec<Vec<i64>>,
    _reservation: MemoryReservation,
}

/// One partition of the narrow rows, each with its address.
struct Addressed {
    plan: Arc<dyn ExecutionPlan>,
    partition: usize,
    schema: SchemaRef,
}

impl fmt::Debug for Addressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Addressed").field(&self.partition).finish()
    }
}

impl PartitionStream for Addressed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let mut next = (self.partition as u64) << ROW_BITS;
        let rows = self.plan.execute(self.partition, context);
        let rows = futures::stream::once(async { rows }).try_flatten();
        let rows = rows.map(move |batch| {
            let batch = batch?;
            let end = next + batch.num_rows() as u64;
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(UInt64Array::from_iter_values(next..end)));
            next = end;
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        });
        let schema = Arc::clone(&self.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

/// Goes through sorted rows, batch after batch.
struct Follower {
    keys: Keys,
    /// One a rule.
    states: Vec<SessionState>,
    ends: Vec<Vec<i64>>,
    row_number: u64,
    /// That of the row before, of any key.
    time: Option<i64>,
}

impl Follower {
    /// The facts about the rows of a batch: their addresses, then the facts.
    fn batch(
        &mut self,
        window: &Window,
        batch: &RecordBatch,
        metrics: &PassMetrics,
    ) -> Result<Vec<ArrayRef>> {
        let starts = self.keys.starts(batch)?;
        metrics.keys.add(starts.len());
        let addresses = batch.column(batch.num_columns() - 1);
        let mut columns = vec![Arc::clone(addresses)];
        let states = self.states.iter_mut().zip(&mut self.ends);
        for (rule, (state, ends)) in window.rules.iter().zip(states) {
            let (facts, sessions) = facts_of(rule, window, batch, &starts, state, ends)?;
            metrics.found.add(sessions);
            columns.extend(facts.columns());
        }
        let (rows, number) = (batch.num_rows(), &mut self.row_number);
        let numbers = window.row_numbers || window.counts;
        let numbers = numbers.then(|| row_numbers(rows, &starts, number));
        if window.row_numbers {
            columns.extend(numbers.clone());
        }
        if window.lags {
            let times = ticks(batch.column(window.keyed.keys))?;
            columns.push(lags(&times, &starts, &mut self.time));
        }
        if window.counts {
            columns.extend(numbers);
        }
        Ok(columns)
    }
}

/// The facts of one rule about the rows of a batch in which keys start at `starts`, and how
/// many sessions start in it.
fn facts_of(
    rule: &Rule,
    window: &Window,
    batch: &RecordBatch,
    starts: &[usize],
    state: &mut SessionState,
    ends: &mut Vec<i64>,
) -> Result<(FactArrays, usize)> {
    let bound = &rule.bound;
    let rows = batch.num_rows();
    let time = window.keyed.keys..window.keyed.keys + 1;
    let (values, indexes) = match rule.read.is_empty() {
        true => (time, &ColumnIndexes::default()),
        false => (rule.read.clone(), &bound.columns),
    };
    let values = &batch.columns()[values];
    let encoder = bound.encoder.as_ref();
    let events =
        EventColumns::try_new(&bound.rules, indexes, encoder, values, (0, rows))?;
    let mut facts = FactBuilder::new(rule.wanted, rows);
    let sessions =
        follow(
            &bound.rules,
            &events,
            rows,
            starts,
            state,
            |_, followed| match followed {
                Some((state, reason)) => {
                    if rule.wanted.ends() {
                        match ends.last_mut().filter(|_| reason.is_none()) {
                            Some(end) => *end = state.time(),
                            None => ends.push(state.time()),
                        }
                    }
                    facts.push(state, reason, ends.len() as i64 - 1);
                }
                None => facts.push_nothing(),
            },
        )?;
    Ok((facts.finish(), sessions))
}

/// The time of the row before in the key; `time` is that of the row before the batch.
fn lags(times: &Int64Array, starts: &[usize], time: &mut Option<i64>) -> ArrayRef {
    let mut starts = starts.iter().copied().peekable();
    let lags = times.iter().enumerate().map(|(row, now)| {
        let before = std::mem::replace(time, now);
        match starts.next_if_eq(&row) {
            Some(_) => None,
            None => before,
        }
    });
    Arc::new(lags.collect::<Int64Array>())
}

/// Gives every row to the file of its partition.
fn deal(batch: &RecordBatch, files: &mut [DiskWriter]) -> Result<()> {
    let addresses = batch.column(0).as_primitive::<UInt64Type>();
    let mut rows = vec![Vec::new(); files.len()];
    for (row, address) in addresses.values().iter().enumerate() {
        rows[(address >> ROW_BITS) as usize].push(row as u64);
    }
    for (rows, file) in rows.into_iter().zip(files) {
        if !rows.is_empty() {
            file.write(&take_record_batch(batch, &UInt64Array::from(rows))?)?;
        }
    }
    Ok(())
}

/// The facts about the rows of one partition, in their order.
pub(super) struct FactsOnDisk {
    window: Window,
    found: Arc<FoundOnDisk>,
    rows: SendableRecordBatchStream,
    ahead: Option<RecordBatch>,
}

impl FactsOnDisk {
    /// The facts that [`pass_on_disk`](Window::pass_on_disk) left about a partition.
    pub(super) fn try_new(
        window: &Window,
        disk: &Disk,
        found: &Arc<FoundOnDisk>,
        partition: usize,
    ) -> Result<Self> {
        let file = &found.files[partition];
        let schema = Arc::clone(file.schema());
        let as_it_is = Arc::new(|batch: &RecordBatch| Ok(batch.clone()));
        Ok(Self {
            window: window.clone(),
            found: Arc::clone(found),
            rows: sorted(disk, file, schema, as_it_is, 1)?,
            ahead: None,
        })
    }

    /// Those about the next rows.
    pub(super) async fn next(&mut self, rows: usize) -> Result<BatchFacts> {
        let (mut missing, mut pieces) = (rows, Vec::new());
        while missing > 0 {
            let batch = match self.ahead.take() {
                Some(batch) => batch,
                None => match self.rows.next().await.transpose()? {
                    Some(batch) => batch,
                    None => return Err(other_rows()),
                },
            };
            let taken = missing.min(batch.num_rows());
            pieces.push(batch.slice(0, taken));
            if taken < batch.num_rows() {
                self.ahead = Some(batch.slice(taken, batch.num_rows() - taken));
            }
            missing -= taken;
        }
        let batch = concat_batches(&self.rows.schema(), &pieces)?;
        Ok(self.window.facts_of(&batch, &self.found.ends))
    }

    /// Whether the partition has no more rows.
    pub(super) async fn is_done(&mut self) -> Result<bool> {
        Ok(self.ahead.is_none() && self.rows.next().await.transpose()?.is_none())
    }
}
