//! Values of all rows of a key beside its sessions: of an aggregation that they are joined to.
//!
//! ```text
//!   sessions            rows of a key ─► cut into sessions ─► a row a session ─┐
//!     left join    ►                  └► first and last of all ────────────────┴► rows
//!   group by key
//! ```
//!
//! Both sides are of the same rows, which are sorted by key and time once, and no row is
//! looked for: a session knows its key.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::common::runtime::JoinSet;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::{
    ExecutionPlan, PhysicalExpr, execute_stream_partitioned,
};
use futures::StreamExt;

use super::assemble::Waiting;
use super::groups::Groups;
use super::picking::{Picking, Slot, ToPick, place_of};
use super::picks::Reading;
use super::plan::Made;
use super::spec::{Spec, Value};
use crate::operators::sessionize::late::exec::LateSessionizeExec;
use crate::operators::sessionize::late::joined;
use crate::operators::sessionize::late::keyed::{ConditionsBuilder, columns_of};
use crate::operators::sessionize::late::lineage::Lineage;
use crate::operators::sessionize::late::narrow::{Through, below_projections};
use crate::operators::sessionize::late::order::by;

/// An aggregation by the key that sessions are joined to, by a left join.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) spec: Arc<Spec>,
    /// As DataFusion planned it.
    pub(super) standard: Arc<AggregateExec>,
    /// Which expression of the sessions' group equals which one of this group.
    pub(super) on: Vec<(usize, usize)>,
}

/// What is read of the rows of keys.
#[derive(Debug, Clone)]
pub(super) struct KeyPlan {
    /// None if any row will do.
    conditions: Option<Arc<dyn ExecutionPlan>>,
    picks: Arc<Picking>,
}

/// What a plan reads, while it is made.
#[derive(Debug)]
pub(super) struct KeyBuild {
    base: Arc<dyn ExecutionPlan>,
    through: Through,
    group: Vec<Arc<dyn PhysicalExpr>>,
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    rows: ToPick,
}

impl KeyBuild {
    /// `None` unless `input` surely has the rows below the sessions, and the groups are their
    /// keys.
    pub(super) fn new(
        of: &Joined,
        input: &Arc<dyn ExecutionPlan>,
        sessions: &LateSessionizeExec,
        groups: &[Arc<dyn PhysicalExpr>],
    ) -> Result<Option<Self>> {
        let (base, through) = below_projections(input);
        let [below] = sessions.children()[..] else {
            return Ok(None);
        };
        let (Some(rows), Some(of_base)) = (Lineage::of(below)?, Lineage::of(&base)?)
        else {
            return Ok(None);
        };
        let group = of.spec.group.iter().map(|e| through.of(e));
        let group = group.collect::<Result<Vec<_>>>()?;
        let shape = sessions.shape();
        // only of one column a null can be told by its hash
        let ([key], [of_key]) = (&shape.key[..], &group[..]) else {
            return Ok(None);
        };
        let order = by(&of.spec.order, |e| through.of(e))?;
        let same = !of.on.is_empty()
            && of.on.iter().all(|(session, _)| &groups[*session] == key)
            && rows.expr(key)? == of_base.expr(of_key)?
            && rows
                .order(&shape.order)?
                .starts_with(&of_base.order(&order)?)
            && rows.has_rows_of(&of_base);
        Ok(same.then(|| Self {
            base,
            through,
            group,
            conditions: Vec::new(),
            rows: ToPick::default(),
        }))
    }

    pub(super) fn made(&mut self, value: &Value) -> Result<Made> {
        let (slot, column) = match value {
            Value::Group(place) => {
                let expr = Arc::clone(&self.group[*place]);
                self.rows.pick(true, None, expr)
            }
            Value::Pick {
                expr,
                last,
                condition,
            } => {
                let condition = condition.as_ref().map(|c| self.through.of(c));
                let condition = condition.transpose()?;
                let condition = condition.map(|c| place_of(&mut self.conditions, c));
                self.rows.pick(*last, condition, self.through.of(expr)?)
            }
            Value::Count | Value::Other(_) | Value::RowNumber => {
                return internal_err!("only rows of a key are picked");
            }
        };
        Ok(Made::OfKey { slot, column })
    }

    pub(super) fn finish(self) -> Result<KeyPlan> {
        let conditions = match self.conditions.is_empty() {
            true => None,
            false => Some(columns_of(&self.base, self.conditions.iter())?),
        };
        Ok(KeyPlan {
            conditions,
            picks: self.rows.over(&self.base)?,
        })
    }
}

/// The plan as it runs, before rows are read.
pub(super) struct KeyStreams {
    picks: Arc<Picking>,
    conditions: Vec<SendableRecordBatchStream>,
    rows: Vec<SendableRecordBatchStream>,
}

impl KeyPlan {
    pub(super) fn slots(&self) -> &[Slot] {
        &self.picks.slots
    }

    pub(super) fn start(&self, context: &Arc<TaskContext>) -> Result<KeyStreams> {
        let conditions = self.conditions.as_ref().map(|plan| {
            execute_stream_partitioned(Arc::clone(plan), Arc::clone(context))
        });
        Ok(KeyStreams {
            picks: Arc::clone(&self.picks),
            conditions: conditions.transpose()?.unwrap_or_default(),
            rows: self.picks.execute(context)?,
        })
    }
}

impl KeyStreams {
    /// Where conditions hold, row by row of each partition.
    pub(super) async fn conditions(&mut self) -> Result<Vec<Vec<BooleanBuffer>>> {
        let mut tasks = JoinSet::new();
        for (place, batches) in self.conditions.drain(..).enumerate() {
            tasks.spawn(async move { (place, conditions_of(batches).await) });
        }
        joined(tasks).await
    }
}

async fn conditions_of(
    mut batches: SendableRecordBatchStream,
) -> Result<Vec<BooleanBuffer>> {
    let mut conditions = ConditionsBuilder::new(batches.schema().fields().len());
    while let Some(batch) = batches.next().await.transpose()? {
        conditions.push(batch.columns(), None);
    }
    Ok(conditions.finish())
}

/// The picked rows of keys.
pub(super) struct KeyValues {
    slots: Vec<Waiting>,
    _reservation: MemoryReservation,
}

impl KeyValues {
    /// Reads them; fails where there is no memory for them.
    pub(super) async fn read(
        of_key: Option<KeyStreams>,
        groups: &Groups,
        context: &Arc<TaskContext>,
    ) -> Result<Self> {
        let consumer = MemoryConsumer::new("LateAggregateExec").with_can_spill(true);
        let reservation = consumer.register(context.memory_pool());
        let mut slots = Vec::new();
        if let Some(KeyStreams { picks, rows, .. }) = of_key {
            let schemas = picks.schemas()?;
            let waiting = schemas.iter().enumerate();
            let waiting = waiting.map(|(slot, schema)| {
                Waiting::try_new(slot, schema, groups.keys, &reservation)
            });
            slots = waiting.collect::<Result<Vec<_>>>()?;
            let (addresses, of_keys) = (&groups.partitions, &groups.key_rows);
            let mut reading = Reading::start(&picks, rows, addresses, of_keys);
            while let Some(picks) = reading.next().await? {
                let bytes = picks.size();
                reservation.try_grow(bytes)?;
                slots[picks.slot].push(picks, bytes);
            }
            for slot in &mut slots {
                slot.compact(&reservation)?;
            }
        }
        Ok(Self {
            slots,
            _reservation: reservation,
        })
    }

    /// The columns of each slot, of the keys of some groups.
    pub(super) fn of(&self, all: &Groups, groups: &[u32]) -> Result<Vec<Vec<ArrayRef>>> {
        if self.slots.is_empty() {
            return Ok(Vec::new());
        }
        let keys = all.keys_of(groups);
        self.slots.iter().map(|slot| slot.of(&keys)).collect()
    }
}
