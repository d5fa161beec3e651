//! Old rows of the keys against new ones, and the commit that makes up the difference.
//!
//! ```text
//! rows of the keys, as committed ──┐
//!                                  ├─► what does not cancel out ─► came: new files
//! rows of the keys, recomputed  ───┘                            └► went: places in files
//! ```
//!
//! Memory grows with the rows that went, not with the table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::{Result, internal_err};
use datafusion::functions_aggregate::expr_fn::{count, max};
use datafusion::logical_expr::{LogicalPlan, ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use super::changes::{CHANGE, net_with};
use super::fine::{Committed, Wanted};
use super::places::{Gone, PLACE, Positions, packed, repeated};
use super::row_index::RowIndex;
use super::rows::committed_column;
use super::went::commit_rows;
use crate::runner::materialization::{Job, execution_error, store_error};
use crate::table::{TableVersion, TableWriter};

/// How often a row was committed.
const COMMITTED: &str = "__committed";

/// What an update did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) came: u64,
    pub(super) went: u64,
    pub(super) bytes: u64,
}

/// One model's rows of some keys, about to be replaced.
pub(super) struct Update<'a> {
    pub(super) job: &'a Job,
    pub(super) base: &'a TableVersion,
    pub(super) context: SessionContext,
    pub(super) index: Option<RowIndex<'a>>,
    pub(super) wanted: &'a Wanted,
    /// The plans that give these rows anew, with how often each counts.
    pub(super) plans: Vec<(LogicalPlan, i64)>,
}

impl Update<'_> {
    /// Commits the difference, and that the rows at `gone` go; `metadata` is in the same entry.
    pub(super) async fn apply(
        &self,
        gone: Positions,
        metadata: BTreeMap<String, String>,
    ) -> crate::runner::error::Result<Applied> {
        let schema = Arc::clone(&self.base.schema);
        let mut fresh = self.job.table.writer(schema).map_err(store_error)?;
        let mut went = Went::new(&self.context);
        went.positions.extend(gone);
        let difference = self.difference().await.map_err(execution_error)?;
        let came = self.split(difference, &mut fresh, &mut went).await?;
        let rows = went.rows();
        let positions = self.places_of(went).await.map_err(execution_error)?;
        let fresh = fresh.finish_all().await.map_err(store_error)?;
        let bytes = commit_rows(
            self.job,
            self.base,
            &self.context,
            fresh,
            positions,
            metadata,
            self.index.as_ref(),
        )
        .await?;
        Ok(Applied {
            came,
            went: rows,
            bytes,
        })
    }

    /// Rows that came or went, and how often.
    async fn difference(&self) -> Result<DataFrame> {
        let fields = self.base.schema.fields();
        let mut all: Option<DataFrame> = None;
        let committed = self.committed().await?.into_iter();
        let committed = committed.map(|(rows, change)| {
            let names = fields.iter().map(|field| ident(field.name()));
            let further = [lit(change).alias(CHANGE), packed().alias(PLACE)];
            rows.select(names.chain(further).collect::<Vec<_>>())
        });
        let made = self.plans.iter().map(|(plan, change)| {
            let output = plan.schema();
            let columns = fields.iter().enumerate();
            let columns = columns.map(|(i, field)| committed_column(output, i, field));
            let none = lit(ScalarValue::Int64(None));
            let further = [lit(*change).alias(CHANGE), none.alias(PLACE)];
            let rows = DataFrame::new(self.context.state(), plan.clone());
            rows.select(columns.chain(further).collect::<Vec<_>>())
        });
        for rows in committed.chain(made) {
            all = Some(match all {
                Some(all) => all.union(rows?)?,
                None => rows?,
            });
        }
        let Some(all) = all else {
            return internal_err!("an update of no rows");
        };
        let places = vec![
            max(ident(PLACE)).alias(PLACE),
            count(ident(PLACE)).alias(COMMITTED),
        ];
        let columns = fields.iter().map(|f| ident(f.name())).collect();
        net_with(all, columns, places)
    }

    /// The committed rows that may go, with their places, and how often each counts.
    async fn committed(&self) -> Result<Vec<(DataFrame, i64)>> {
        let (state, stores) = (self.context.state(), self.job.table.stores());
        let index = self.index.as_ref();
        let mut parts = Vec::new();
        for part in self.wanted.committed() {
            let Committed {
                columns,
                keys,
                filter,
                change,
            } = part;
            let rows =
                RowIndex::rows_of(index, (&state, stores), self.base, &columns, &keys);
            parts.push((rows.await?.filter(filter)?, change));
        }
        Ok(parts)
    }

    /// Writes the rows that came and takes down those that went.
    async fn split(
        &self,
        difference: DataFrame,
        fresh: &mut TableWriter,
        went: &mut Went,
    ) -> crate::runner::error::Result<u64> {
        let mut stream = difference.execute_stream().await.map_err(execution_error)?;
        let written = AtomicU64::new(0);
        let width = self.base.schema.fields().len();
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(execution_error)?;
            let changes = batch.column(width).as_primitive::<Int64Type>().clone();
            let all: Vec<usize> = (0..width).collect();
            let rows = batch.project(&all).map_err(|e| execution_error(e.into()))?;
            went.take_down(&rows, &batch.columns()[width..])
                .map_err(execution_error)?;
            let came = repeated(&rows, &changes).map_err(execution_error)?;
            fresh.write(&came).await.map_err(store_error)?;
            let rows = came.num_rows() as u64;
            let total = written.fetch_add(rows, Ordering::Relaxed) + rows;
            (self.job.progress)(total);
        }
        Ok(written.into_inner())
    }

    /// The places of all rows that went: of rows that were committed several times alike they
    /// are looked for.
    async fn places_of(&self, went: Went) -> Result<Positions> {
        let Went {
            mut positions,
            mut alike,
        } = went;
        if alike.rows() > 0 {
            let width = self.base.schema.fields().len();
            for (rows, _) in self.committed().await? {
                let mut stream = rows.execute_stream().await?;
                while let Some(batch) = stream.next().await {
                    let batch = batch?;
                    positions.add_all(&alike.taken(&batch, width)?);
                }
            }
        }
        alike.none_left(&self.base.url)?;
        Ok(positions)
    }
}

/// Rows that went.
struct Went {
    positions: Positions,
    /// Rows of which several are alike, not all of which went.
    alike: Gone,
}

impl Went {
    fn new(context: &SessionContext) -> Self {
        let pool = &context.runtime_env().memory_pool;
        Self {
            positions: Positions::charged_to(pool),
            alike: Gone::charged_to(pool),
        }
    }

    fn rows(&self) -> u64 {
        self.positions.rows() + self.alike.rows()
    }

    /// Remembers the rows with a negative count. `numbers` are the counts, a place of each row
    /// and how often it was committed.
    fn take_down(&mut self, rows: &RecordBatch, numbers: &[ArrayRef]) -> Result<()> {
        let number = |i: usize| numbers[i].as_primitive::<Int64Type>();
        let (changes, places, committed) = (number(0), number(1), number(2));
        let mut several = Vec::new();
        for row in 0..rows.num_rows() {
            let change = changes.value(row);
            several.push(if committed.value(row) > 1 {
                change.min(0)
            } else {
                0
            });
            if change < 0 && committed.value(row) == 1 && places.is_valid(row) {
                self.positions.add(places.value(row))?;
            }
        }
        self.alike.take_down(rows, &Int64Array::from(several))
    }
}
