//! Which rows of groups are picked, and what is read of them.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{
    ExecutionPlan, PhysicalExpr, execute_stream_partitioned,
};

use crate::operators::sessionize::late::keyed::numbered;
use crate::operators::sessionize::late::narrow::project_unfiltered;

/// Rows to pick, and what is read of them.
#[derive(Debug)]
pub(super) struct Picking {
    pub(super) slots: Vec<Slot>,
    /// None if no row is picked.
    pub(super) picked: Option<Picked>,
}

/// The columns of all slots.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    pub(super) columns: Arc<dyn ExecutionPlan>,
    /// Rows that a filter drops are among them: a last column says which ones pass it.
    pub(super) unfiltered: bool,
}

impl Picking {
    fn new(
        base: &Arc<dyn ExecutionPlan>,
        slots: Vec<Slot>,
        columns: &[Arc<dyn PhysicalExpr>],
    ) -> Result<Self> {
        let picked = match columns.is_empty() {
            true => None,
            false => {
                let columns = numbered(columns.iter());
                let (columns, unfiltered) = project_unfiltered(base, columns)?;
                Some(Picked {
                    columns,
                    unfiltered,
                })
            }
        };
        Ok(Self { slots, picked })
    }

    /// The rows of all partitions; none if no row is picked.
    pub(super) fn execute(
        &self,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<SendableRecordBatchStream>> {
        let Some(picked) = &self.picked else {
            return Ok(Vec::new());
        };
        execute_stream_partitioned(Arc::clone(&picked.columns), Arc::clone(context))
    }

    /// What is read of each slot's rows.
    pub(super) fn schemas(&self) -> Result<Vec<SchemaRef>> {
        let slots = self.slots.iter().zip(self.picked.iter().cycle());
        let schemas = slots.map(|(slot, picked)| {
            Ok(Arc::new(picked.columns.schema().project(&slot.columns)?))
        });
        schemas.collect()
    }
}

/// A row of every group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) last: bool,
    /// The place of the condition that it must meet.
    pub(super) condition: Option<usize>,
    /// Which of the picked columns are asked for.
    pub(super) columns: Vec<usize>,
}

/// The rows that are to be picked.
#[derive(Debug, Default)]
pub(super) struct ToPick {
    pub(super) slots: Vec<Slot>,
    picked: Vec<Arc<dyn PhysicalExpr>>,
}

impl ToPick {
    /// The slot of a row and the place of a value among its columns.
    pub(super) fn pick(
        &mut self,
        last: bool,
        condition: Option<usize>,
        expr: Arc<dyn PhysicalExpr>,
    ) -> (usize, usize) {
        let place = self.slot(last, condition);
        let column = place_of(&mut self.picked, expr);
        (place, place_of(&mut self.slots[place].columns, column))
    }

    pub(super) fn slot(&mut self, last: bool, condition: Option<usize>) -> usize {
        let same = |of: &Slot| (of.last, of.condition) == (last, condition);
        self.slots.iter().position(same).unwrap_or_else(|| {
            self.slots.push(Slot {
                last,
                condition,
                columns: Vec::new(),
            });
            self.slots.len() - 1
        })
    }

    /// Whether the row that any value is taken from is the last one.
    pub(super) fn any_is_last(&self) -> bool {
        let known = self.slots.iter().find(|slot| slot.condition.is_none());
        known.is_some_and(|slot| slot.last)
    }

    pub(super) fn over(self, base: &Arc<dyn ExecutionPlan>) -> Result<Arc<Picking>> {
        Picking::new(base, self.slots, &self.picked).map(Arc::new)
    }
}

/// The place of `item`, which is added if it is not there.
pub(super) fn place_of<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    let known = items.iter().position(|known| *known == item);
    known.unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}
