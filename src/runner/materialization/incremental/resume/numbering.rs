//! Rows of some keys numbered anew, against those that are committed.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array,
};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::{Column, Result};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{
    Expr, LogicalPlanBuilder, cast as logical_cast, ident, lit,
};
use datafusion::prelude::DataFrame;

use super::Resumption;
use super::input::{InputChange, input_schema};
use super::shape::{Counted, Source};
use super::tails::{Keys, ROWS, SESSIONS, Tail, Tails, batch_of, columns, tails_schema};
use crate::functions::expr_fn::surrogate_key;
use crate::runner::materialization::incremental::places::{Gone, Places, Positions};
use crate::runner::materialization::incremental::rows::as_committed;

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
    /// `old` are the committed rows with their places. `None` if they do not fit the tails.
    pub(super) async fn run(
        &self,
        change: &InputChange,
        old: &[RecordBatch],
    ) -> Result<Option<Numbered>> {
        let Some(starts) = self.starts(old)? else {
            return Ok(None);
        };
        let rows = self.rows(change, old)?;
        let numbered = self.number(rows, &starts).await?;
        let Some(numbered) = numbered else {
            return Ok(None);
        };
        let width = self.of.base.schema.fields().len();
        let mut places = Places::default();
        for batch in old {
            places.add(batch, width)?;
        }
        let mut came = Vec::new();
        let mut tails = Tails::new();
        for batch in &numbered {
            let all: Vec<usize> = (0..width).collect();
            came.push(places.strike(&batch.project(&all)?)?);
            self.count(batch, width, &mut tails)?;
        }
        let tails = self.tails_of(change, old, &starts, &tails)?;
        Ok(Some(Numbered {
            came,
            went: places.left(),
            tails,
        }))
    }

    fn key_places(&self, schema: &Schema) -> Result<Vec<usize>> {
        let key = self.of.shape.key.iter().map(|name| schema.index_of(name));
        Ok(key.collect::<Result<_, _>>()?)
    }

    /// The numbers of the rows before the first one of each key that was read: the last one's,
    /// without the rows and sessions that were read. `None` if they are more than there are.
    fn starts(&self, old: &[RecordBatch]) -> Result<Option<Tails>> {
        let shape = &self.of.shape;
        let sessions = [Counted::Sessions, Counted::SessionIds];
        let session = sessions.into_iter().find_map(|c| shape.column_of(c));
        let mut starts = self.tails.clone();
        let mut seen = HashSet::new();
        for batch in old {
            let key = columns(batch, &self.key_places(batch.schema().as_ref())?);
            let session = session.map(|place| cast(batch.column(place), &DataType::Utf8));
            let session = session.transpose()?;
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
        }
        let fit = starts.values().all(|s| s.rows >= 0 && s.sessions >= 0);
        Ok(fit.then_some(starts))
    }

    /// The rows to number: those that were read without what went, and what came.
    fn rows(
        &self,
        change: &InputChange,
        old: &[RecordBatch],
    ) -> Result<Vec<RecordBatch>> {
        let places: Vec<usize> = self.of.shape.inputs().map(|(place, _)| place).collect();
        let mut gone = Gone::default();
        for batch in &change.went {
            gone.add(batch)?;
        }
        let mut rows = change.came.clone();
        for batch in old {
            rows.push(gone.strike(&batch.project(&places)?)?);
        }
        gone.none_left(&self.of.base.url)?;
        Ok(rows)
    }

    /// The rows with all of the table's columns, then the numbers of rows and sessions.
    async fn number(
        &self,
        rows: Vec<RecordBatch>,
        starts: &Tails,
    ) -> Result<Option<Vec<RecordBatch>>> {
        let (shape, table) = (&self.of.shape, &self.of.base.schema);
        let schema = input_schema(shape, table);
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(ROWS, DataType::Int64, false)));
        fields.push(Arc::new(Field::new(SESSIONS, DataType::Int64, false)));
        let wide: SchemaRef = Arc::new(Schema::new(fields));
        let mut with_starts = Vec::new();
        for batch in rows {
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
        self.of.held.all(rows.select(outputs)?).await
    }

    /// The table's columns, given each number within the rows, then the numbers of rows and
    /// sessions before and up to each row.
    fn outputs(&self, table: &SchemaRef, within: &[Expr]) -> Vec<Expr> {
        let shape = &self.of.shape;
        let number = |i: usize| {
            let within = logical_cast(within[i].clone(), DataType::Int64);
            match shape.numbers[i].counted {
                Counted::Rows => ident(ROWS) + within,
                Counted::Sessions | Counted::SessionIds => ident(SESSIONS) + within,
            }
        };
        let mut outputs = Vec::new();
        for (field, source) in table.fields().iter().zip(&shape.columns) {
            let value = match source {
                Source::Input(_) => ident(field.name().clone()),
                Source::Number(i) => match &shape.numbers[*i].key {
                    Some(key) => surrogate_key(vec![key.clone(), number(*i)]),
                    None => number(*i),
                },
            };
            outputs.push(as_committed(value, field).alias(field.name()));
        }
        let sessions = shape
            .numbers
            .iter()
            .position(|n| n.counted != Counted::Rows);
        let sessions = sessions.map_or_else(|| ident(SESSIONS), number);
        outputs.push(ident(ROWS).alias(ROWS));
        outputs.push(sessions.alias(SESSIONS));
        outputs
    }

    /// Takes the numbers of a batch's rows into the tails.
    fn count(&self, batch: &RecordBatch, width: usize, tails: &mut Tails) -> Result<()> {
        let key = columns(batch, &self.key_places(batch.schema().as_ref())?);
        let number = |place: usize| batch.column(place).as_primitive::<Int64Type>();
        let (before, sessions) = (number(width), number(width + 1));
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
        old: &[RecordBatch],
        starts: &Tails,
        numbered: &Tails,
    ) -> Result<(Tails, RecordBatch)> {
        let schema = tails_schema(&self.of.shape, &self.of.base.schema)?;
        let mut tails = Tails::new();
        let (mut columns_of, mut ordered) = (Vec::new(), Vec::new());
        let all = change.came.iter().chain(&change.went).chain(old);
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
