//! Rows of some keys numbered anew, against those that are committed.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array,
};
use datafusion::arrow::compute::{cast, concat, filter, filter_record_batch, take};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, Schema, SchemaRef,
};
use datafusion::common::{Column, Result, internal_err};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{
    Expr, LogicalPlanBuilder, cast as logical_cast, ident, lit,
};
use datafusion::prelude::DataFrame;

use super::Resumption;
use super::difference::Difference;
use super::input::InputChange;
use super::old::{Old, told};
use super::tails::{Keys, ROWS, SESSIONS, Tail, Tails, batch_of, columns, tails_schema};
use super::window::Counted;
use crate::functions::expr_fn::surrogate_key;
use crate::runner::materialization::incremental::places::Positions;
use crate::runner::materialization::incremental::rows::as_committed;

/// Which row a numbered one is.
const WHICH: &str = "which row";

/// What is numbered, and from where on.
pub(super) struct Numbering<'a> {
    pub(super) of: &'a Resumption<'a>,
    pub(super) keys: &'a Keys,
    pub(super) tails: &'a Tails,
}

/// What differs, and the tails of the keys.
pub(super) struct Numbered {
    pub(super) came: Vec<RecordBatch>,
    pub(super) went: Positions,
    pub(super) tails: (Tails, RecordBatch),
}

impl Numbering<'_> {
    /// `old` are the committed rows. `None` if they do not fit the tails, or if rows are too many.
    pub(super) async fn run(
        &self,
        change: &InputChange,
        old: &Old,
    ) -> Result<Option<Numbered>> {
        let Some(starts) = self.starts(&old.rows)? else {
            return Ok(None);
        };
        let rows = self.rows(change, old)?;
        let Some(numbered) = self.number(rows, &starts).await? else {
            return Ok(None);
        };
        let mut tails = Tails::new();
        self.count(&numbered, &mut tails)?;
        let tails = self.tails_of(change, &old.rows, &starts, &tails)?;
        let difference = Difference {
            of: self.of,
            change,
            old,
            numbered: &numbered,
        };
        let found = difference.rows().await?;
        Ok(found.map(|(came, went)| Numbered { came, went, tails }))
    }

    fn key_places(&self, schema: &Schema) -> Result<Vec<usize>> {
        let key = self.of.shape.key.iter().map(|name| schema.index_of(name));
        Ok(key.collect::<Result<_, _>>()?)
    }

    /// The numbers of the rows before the first one of each key that was read: the last one's,
    /// without the rows and sessions that were read. `None` if they are more than there are.
    fn starts(&self, old: &RecordBatch) -> Result<Option<Tails>> {
        let shape = &self.of.shape;
        let sessions = [Counted::Sessions, Counted::SessionIds];
        let session = sessions.into_iter().find_map(|c| shape.column_of(c));
        let session = session.map(|place| self.of.base.schema.field(place).name());
        let session = session.and_then(|name| old.column_by_name(name));
        let session = session.map(|column| cast(column, &DataType::Utf8));
        let session = session.transpose()?;
        let mut starts = self.tails.clone();
        let mut seen = HashSet::new();
        let key = columns(old, &self.key_places(old.schema().as_ref())?);
        for (row, key) in self.keys.rows(&key)?.into_iter().enumerate() {
            let Some(start) = starts.get_mut(&key) else {
                return Ok(None);
            };
            start.rows -= 1;
            if let Some(session) = &session {
                let session = session.as_string::<i32>().value(row).to_owned();
                start.sessions -= i64::from(seen.insert((key, session)));
            }
        }
        let fit = starts.values().all(|s| s.rows >= 0 && s.sessions >= 0);
        Ok(fit.then_some(starts))
    }

    /// The rows to number, by the columns that they are told by, with what each is: a row that
    /// came, counted over all batches, or behind these the committed row that stays.
    fn rows(
        &self,
        change: &InputChange,
        old: &Old,
    ) -> Result<Vec<(RecordBatch, Int64Array)>> {
        let (mut rows, mut next) = (Vec::new(), 0);
        for batch in &change.came {
            let end = next + batch.num_rows() as i64;
            let which = Int64Array::from_iter_values(next..end);
            rows.push((told(batch, &old.columns, self.of)?, which));
            next = end;
        }
        let stay: BooleanArray = old.went.iter().map(|went| Some(!went)).collect();
        let which = Int64Array::from_iter_values(next..next + old.went.len() as i64);
        let which = filter(&which, &stay)?;
        let stay = filter_record_batch(&told(&old.rows, &old.columns, self.of)?, &stay)?;
        rows.push((stay, which.as_primitive().clone()));
        Ok(rows)
    }

    /// The rows' keys and numbers, then the numbers of rows and sessions before and up to each,
    /// and which row it is.
    async fn number(
        &self,
        rows: Vec<(RecordBatch, Int64Array)>,
        starts: &Tails,
    ) -> Result<Option<RecordBatch>> {
        let (shape, table) = (&self.of.shape, &self.of.base.schema);
        let Some((first, _)) = rows.first() else {
            return internal_err!("nothing is numbered");
        };
        let mut fields: Vec<FieldRef> = Vec::new();
        for field in first.schema().fields() {
            fields.push(Arc::new(table.field_with_name(field.name())?.clone()));
        }
        for name in [ROWS, SESSIONS, WHICH] {
            fields.push(Arc::new(Field::new(name, DataType::Int64, false)));
        }
        let wide: SchemaRef = Arc::new(Schema::new(fields));
        let mut with_starts = Vec::new();
        for (batch, which) in rows {
            let key = columns(&batch, &self.key_places(batch.schema().as_ref())?);
            let keys = self.keys.rows(&key)?;
            let start = |key: &[u8]| starts.get(key).copied().unwrap_or_default();
            let starts: Vec<Tail> = keys.iter().map(|key| start(key)).collect();
            let mut all = batch.columns().to_vec();
            all.push(Arc::new(Int64Array::from_iter_values(
                starts.iter().map(|t| t.rows),
            )));
            let sessions = starts.iter().map(|t| t.sessions);
            all.push(Arc::new(Int64Array::from_iter_values(sessions)));
            all.push(Arc::new(which));
            with_starts.push(RecordBatch::try_new(Arc::clone(&wide), all)?);
        }
        let rows = MemTable::try_new(wide, vec![with_starts])?;
        let source = provider_as_source(Arc::new(rows));
        let mut functions: Vec<Expr> = Vec::new();
        for number in &shape.numbers {
            if !functions.contains(&number.function) {
                functions.push(number.function.clone());
            }
        }
        let rows = LogicalPlanBuilder::scan("numbered", source, None)?;
        let width = rows.schema().fields().len();
        let plan = rows.window(functions.clone())?.build()?;
        let columns = (0..functions.len()).map(|place| {
            let found = plan.schema().qualified_field(width + place);
            Expr::Column(Column::from(found))
        });
        let columns: Vec<Expr> = columns.collect();
        let numbers = shape.numbers.iter().map(|number| {
            let place = functions.iter().position(|f| *f == number.function);
            place.map_or_else(|| lit(0_i64), |place| columns[place].clone())
        });
        let outputs = self.outputs(table, &numbers.collect::<Vec<_>>());
        let rows = DataFrame::new(self.of.state.clone(), plan);
        self.of.held.one(rows.select(outputs)?).await
    }

    /// What [`number`](Self::number) gives, given each number within the rows.
    fn outputs(&self, table: &SchemaRef, within: &[Expr]) -> Vec<Expr> {
        let shape = &self.of.shape;
        let number = |i: usize| {
            let within = logical_cast(within[i].clone(), DataType::Int64);
            match shape.numbers[i].counted {
                Counted::Rows => ident(ROWS) + within,
                Counted::Sessions | Counted::SessionIds => ident(SESSIONS) + within,
            }
        };
        let mut outputs: Vec<_> = shape.key.iter().map(|k| ident(k.clone())).collect();
        for (place, i) in shape.number_places() {
            let value = match &shape.numbers[i].key {
                Some(key) => surrogate_key(vec![key.clone(), number(i)]),
                None => number(i),
            };
            let field = table.field(place);
            outputs.push(as_committed(value, field).alias(field.name()));
        }
        let sessions = shape
            .numbers
            .iter()
            .position(|n| n.counted != Counted::Rows);
        let sessions = sessions.map_or_else(|| ident(SESSIONS), number);
        outputs.push(ident(ROWS).alias(ROWS));
        outputs.push(sessions.alias(SESSIONS));
        outputs.push(ident(WHICH).alias(WHICH));
        outputs
    }

    /// Takes the numbers of rows into the tails.
    fn count(&self, numbered: &RecordBatch, tails: &mut Tails) -> Result<()> {
        let key = columns(numbered, &self.key_places(numbered.schema().as_ref())?);
        let width = numbered.num_columns();
        let number = |place: usize| numbered.column(place).as_primitive::<Int64Type>();
        let (before, sessions) = (number(width - 3), number(width - 2));
        for (row, key) in self.keys.rows(&key)?.into_iter().enumerate() {
            let tail = tails.entry(key).or_insert_with(|| Tail {
                rows: before.value(row),
                sessions: 0,
            });
            tail.rows += 1;
            tail.sessions = tail.sessions.max(sessions.value(row));
        }
        Ok(())
    }

    /// The tails of all keys that have changed: those without a row here end before it.
    fn tails_of(
        &self,
        change: &InputChange,
        old: &RecordBatch,
        starts: &Tails,
        numbered: &Tails,
    ) -> Result<(Tails, RecordBatch)> {
        let schema = tails_schema(&self.of.shape, &self.of.base.schema)?;
        let mut tails = Tails::new();
        let (mut columns_of, mut ordered) = (Vec::new(), Vec::new());
        let all = change.came.iter().chain(&change.went);
        let all = all.chain(std::iter::once(old));
        for batch in all {
            let key = columns(batch, &self.key_places(batch.schema().as_ref())?);
            let mut picked = Vec::new();
            for (row, bytes) in self.keys.rows(&key)?.into_iter().enumerate() {
                if tails.contains_key(&bytes) {
                    continue;
                }
                let start = starts.get(&bytes).copied().unwrap_or_default();
                let tail = numbered.get(&bytes).copied().unwrap_or(start);
                tails.insert(bytes, tail);
                ordered.push(tail);
                picked.push(u32::try_from(row).unwrap_or(u32::MAX));
            }
            let picked = UInt32Array::from(picked);
            let key = key.iter().map(|c| take(c, &picked, None));
            columns_of.push(key.collect::<Result<Vec<ArrayRef>, _>>()?);
        }
        let mut together = Vec::new();
        for place in 0..self.of.shape.key.len() {
            let parts: Vec<&dyn Array> =
                columns_of.iter().map(|of| of[place].as_ref()).collect();
            together.push(concat(&parts)?);
        }
        let batch = batch_of(&together, &ordered, &schema)?;
        Ok((tails, batch))
    }
}
