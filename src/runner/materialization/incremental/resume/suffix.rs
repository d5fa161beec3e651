//! The committed rows of the keys that have changed, each key's from a time on.

use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::common::Result;
use datafusion::logical_expr::ident;

use super::Resumption;
use super::input::InputChange;
use super::tails::columns;
use crate::runner::materialization::incremental::key_set::KeySet;
use crate::runner::materialization::incremental::key_times::KeyTimes;
use crate::runner::materialization::incremental::rows::{
    positioned_rows_of, with_places,
};

/// The keys that have changed and from when on.
pub(super) struct Suffix<'a> {
    of: &'a Resumption<'a>,
    from: Arc<KeyTimes>,
}

impl<'a> Suffix<'a> {
    /// `None` if a row has no time.
    pub(super) fn of(
        of: &'a Resumption<'a>,
        change: &InputChange,
    ) -> Result<Option<Self>> {
        let pool = &of.state.runtime_env().memory_pool;
        let table = &of.base.schema;
        let types = of.shape.key.iter().map(|name| table.field_with_name(name));
        let types = types.map(|field| Ok(field?.data_type().clone()));
        let mut from = KeyTimes::new(types.collect::<Result<_>>()?, pool);
        for batch in change.came.iter().chain(&change.went) {
            let schema = batch.schema();
            let key = of.shape.key.iter().map(|name| schema.index_of(name));
            let key = columns(batch, &key.collect::<Result<Vec<_>, _>>()?);
            let time = schema.index_of(&of.shape.time)?;
            if !from.add(&key, batch.column(time), of.shape.lookback)? {
                return Ok(None);
            }
        }
        Ok(Some(Self {
            of,
            from: Arc::new(from),
        }))
    }

    pub(super) fn keys(&self) -> &Arc<KeySet> {
        self.from.keys()
    }

    /// These columns of the rows, and behind them their places in the table's files; `None` if
    /// they are too many, or if one has no time.
    pub(super) async fn read(&self, columns: &[usize]) -> Result<Option<RecordBatch>> {
        let of = self.of;
        let schema = &of.base.schema;
        let rows = positioned_rows_of(&of.state, of.job.table.stores(), of.base)?;
        let time = ident(of.shape.time.clone());
        let field = schema.field_with_name(&of.shape.time)?;
        let key = of.shape.key.iter().map(|name| ident(name.clone()));
        let key: Vec<_> = key.collect();
        let rows = rows.filter(self.from.predicate(&key, &time, field.data_type())?)?;
        let names = columns.iter().map(|place| schema.field(*place).name());
        let Some(rows) = of.held.one(with_places(rows, names)?).await? else {
            return Ok(None);
        };
        let time = rows.column_by_name(&of.shape.time);
        let timed = time.is_some_and(|time| time.null_count() == 0);
        Ok(timed.then_some(rows))
    }
}
