//! Where picked rows find no room: they go to disk, and are sorted there by their groups.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::{concat_batches, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::picks::Picks;
use crate::operators::spill::{Disk, DiskWriter, sorted};

/// Columns before those of the slots: the group and the slot.
const BEFORE: usize = 2;

/// The rows of all slots in one file, as they come; each has nulls for the other slots.
pub(super) struct PicksOnDisk {
    disk: Disk,
    schema: SchemaRef,
    slots: Vec<SchemaRef>,
    file: DiskWriter,
}

impl PicksOnDisk {
    pub(super) fn try_new(disk: &Disk, slots: &[SchemaRef]) -> Result<Self> {
        let number = |name| Arc::new(Field::new(name, DataType::UInt32, false));
        let columns = slots.iter().flat_map(|slot| slot.fields());
        let columns = columns.map(|f| Arc::new(f.as_ref().clone().with_nullable(true)));
        let before = [number("__group"), number("__slot")].into_iter();
        let schema = Arc::new(Schema::new(before.chain(columns).collect::<Vec<_>>()));
        Ok(Self {
            disk: disk.clone(),
            file: disk.writer(Arc::clone(&schema))?,
            slots: slots.to_vec(),
            schema,
        })
    }

    pub(super) fn push(&mut self, picks: Picks) -> Result<()> {
        let rows = picks.groups.len();
        if rows == 0 {
            return Ok(());
        }
        let slots = vec![picks.slot as u32; rows];
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from(picks.groups)),
            Arc::new(UInt32Array::from(slots)),
        ];
        for (slot, schema) in self.slots.iter().enumerate() {
            if slot == picks.slot {
                columns.extend(picks.columns.iter().cloned());
                continue;
            }
            let fields = schema.fields().iter();
            columns.extend(fields.map(|f| new_null_array(f.data_type(), rows)));
        }
        let schema = Arc::clone(&self.schema);
        self.file.write(&RecordBatch::try_new(schema, columns)?)
    }

    /// All rows by group.
    pub(super) fn finish(self) -> Result<ByGroup> {
        let as_it_is = Arc::new(|batch: &RecordBatch| Ok(batch.clone()));
        let file = self.file.finish()?;
        let schema = Arc::clone(&self.schema);
        Ok(ByGroup {
            rows: Some(sorted(&self.disk, &file, schema, as_it_is, 1)?),
            ahead: RecordBatch::new_empty(self.schema),
            slots: self.slots,
        })
    }
}

/// The rows of all slots, group by group.
pub(super) struct ByGroup {
    /// None once all are read.
    rows: Option<SendableRecordBatchStream>,
    /// Rows of a group of which more may come.
    ahead: RecordBatch,
    slots: Vec<SchemaRef>,
}

impl ByGroup {
    /// The next groups, and the columns of each slot; none after the last.
    pub(super) async fn next(&mut self) -> Result<(Vec<u32>, Vec<Vec<ArrayRef>>)> {
        while let Some(rows) = &mut self.rows {
            let Some(batch) = rows.next().await.transpose()? else {
                self.rows = None;
                break;
            };
            let batch = concat_batches(self.ahead.schema_ref(), [&self.ahead, &batch])?;
            let groups = batch.column(0).as_primitive::<UInt32Type>().values();
            let last = groups.partition_point(|group| Some(group) < groups.last());
            self.ahead = batch.slice(last, batch.num_rows() - last);
            if last > 0 {
                return self.of(&batch.slice(0, last));
            }
        }
        let last = self.ahead.slice(0, 0);
        let last = std::mem::replace(&mut self.ahead, last);
        self.of(&last)
    }

    /// What whole groups have of each slot.
    fn of(&self, batch: &RecordBatch) -> Result<(Vec<u32>, Vec<Vec<ArrayRef>>)> {
        let of_rows = batch.column(0).as_primitive::<UInt32Type>().values();
        let slots = batch.column(1).as_primitive::<UInt32Type>().values();
        let mut groups: Vec<u32> = of_rows.to_vec();
        groups.dedup();
        let mut rows = vec![vec![None; groups.len()]; self.slots.len()];
        let mut place = 0;
        for (row, (group, slot)) in (0..).zip(of_rows.iter().zip(slots)) {
            place += usize::from(groups[place] != *group);
            rows[*slot as usize][place] = Some(row);
        }
        let mut columns = batch.columns()[BEFORE..].iter();
        let slots = self.slots.iter().zip(rows).map(|(schema, rows)| {
            let rows = UInt32Array::from(rows);
            let columns = columns.by_ref().take(schema.fields().len());
            columns.map(|c| Ok(take(c, &rows, None)?)).collect()
        });
        let slots = slots.collect::<Result<_>>()?;
        Ok((groups, slots))
    }
}
