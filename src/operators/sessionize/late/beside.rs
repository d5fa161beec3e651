//! A left join as columns beside rows that leave as they come, for rows of files that are kept.
//!
//! It holds the columns of the other side that are asked for, and 24 bytes a key. A key that
//! two of the others have is found, and too little memory for all of them is an error, before it
//! has given a row: then the join has to run as DataFusion planned it.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::joins::JoinOn;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr, execute_stream};
use futures::{StreamExt, TryStreamExt};
use hashbrown::HashTable;

use super::entries::KeyHasher;
use super::left_join::{LeftJoin, Side};
use super::narrow::{indexes, named, project, repeatable, shifted};

/// The hash of a key, and the place of its row.
type Slot = (u64, u64, u32);

/// A left join whose rows are the same in the same order in every run.
#[derive(Debug)]
pub(super) struct JoinedRows {
    pub(super) rows: Arc<dyn ExecutionPlan>,
    others: Arc<dyn ExecutionPlan>,
    /// What is equal: expressions over rows, and over the others.
    on: JoinOn,
    columns: Vec<Side>,
}

/// What stands beside rows that have their key first, as far as it is needed.
#[derive(Debug)]
pub(crate) struct Beside {
    /// The key first, too.
    others: Arc<dyn ExecutionPlan>,
    keys: usize,
    /// The columns of rows after their key, then those of others.
    joined: SchemaRef,
    /// What is made of them.
    columns: Vec<Arc<dyn PhysicalExpr>>,
    made: SchemaRef,
}

/// The others, found by their key.
#[derive(Debug)]
pub(crate) struct Others {
    beside: Beside,
    rows: RecordBatch,
    places: HashTable<Slot>,
    _reservation: MemoryReservation,
}

impl JoinedRows {
    /// `None` if `plan` is none, or hashes do not tell its keys apart.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let Some(join) = LeftJoin::of(plan) else {
            return Ok(None);
        };
        let Some(rows) = repeatable(&unspread(join.rows))? else {
            return Ok(None);
        };
        let join = Self {
            rows,
            // scans hand their files out once, and the join may have to run after all
            others: reset_plan_states(unspread(join.others))?,
            on: join.on,
            columns: join.columns,
        };
        Ok(join.finds_keys()?.then_some(join))
    }

    /// Whether hashes tell keys apart.
    fn finds_keys(&self) -> Result<bool> {
        for (of_rows, of_others) in &self.on {
            let of_rows = of_rows.data_type(&self.rows.schema())?;
            let of_others = of_others.data_type(&self.others.schema())?;
            if of_rows != of_others || !KeyHasher::supports(&of_rows) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The column of `rows` that a column of the join is.
    pub(super) fn column_of_rows(&self, column: usize) -> Option<usize> {
        match self.columns.get(column)? {
            Side::Rows(column) => Some(*column),
            Side::Others(_) => None,
        }
    }

    /// The rows with no more than is needed for `columns`, which are made of the join, and what
    /// makes them.
    pub(super) fn make(
        &self,
        columns: &[ProjectionExpr],
    ) -> Result<(Arc<dyn ExecutionPlan>, Beside)> {
        let mut read = indexes(columns.iter().map(|column| &column.expr));
        read.sort_by_key(|column| matches!(self.columns[*column], Side::Others(_)));
        let (of_rows, of_others): (Vec<_>, Vec<_>) = self.on.iter().cloned().unzip();
        let (mut of_rows, mut of_others) = (keyed(of_rows), keyed(of_others));
        for column in &read {
            match self.columns[*column] {
                Side::Rows(index) => of_rows.extend(named(&[index], &self.rows)),
                Side::Others(index) => of_others.extend(named(&[index], &self.others)),
            }
        }
        let rows = project(&self.rows, of_rows)?;
        let others = ProjectionExec::try_new(of_others, Arc::clone(&self.others))?;
        let keys = self.on.len();
        let (left, right) = (rows.schema(), others.schema());
        let right = right.fields()[keys..].iter();
        let right = right.map(|f| Arc::new(f.as_ref().clone().with_nullable(true)));
        let left = left.fields()[keys..].iter().cloned();
        let joined = Schema::new(left.chain(right).collect::<Vec<_>>());
        let places: Vec<_> = (0..read.len()).collect();
        let (mut values, mut fields) = (Vec::new(), Vec::new());
        for column in columns {
            let value = shifted(&column.expr, &read, &places)?;
            let (data_type, nullable) =
                (value.data_type(&joined)?, value.nullable(&joined)?);
            fields.push(Field::new(&column.alias, data_type, nullable));
            values.push(value);
        }
        let beside = Beside {
            others: Arc::new(others),
            keys,
            joined: Arc::new(joined),
            columns: values,
            made: Arc::new(Schema::new(fields)),
        };
        Ok((rows, beside))
    }
}

/// `plan` without what spreads its rows over partitions for a join.
fn unspread(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    match plan.downcast_ref::<RepartitionExec>() {
        Some(repartition) => unspread(repartition.input()),
        None => Arc::clone(plan),
    }
}

fn keyed(keys: Vec<Arc<dyn PhysicalExpr>>) -> Vec<ProjectionExpr> {
    let keys = keys.into_iter().enumerate();
    keys.map(|(index, key)| ProjectionExpr::new(key, format!("__key_{index}")))
        .collect()
}

impl Beside {
    /// Reads the others; `None` if two of them have one key.
    pub(crate) async fn read(self, context: &Arc<TaskContext>) -> Result<Option<Others>> {
        let consumer = MemoryConsumer::new("LateLeftJoin");
        let reservation = consumer.register(context.memory_pool());
        let schema = self.others.schema();
        let mut rows = execute_stream(Arc::clone(&self.others), Arc::clone(context))?;
        let mut batches = Vec::new();
        let mut read = 0;
        while let Some(batch) = rows.try_next().await? {
            // once as it came and once beside all others
            let bytes = 2 * batch.get_array_memory_size();
            read += batch.num_rows();
            reservation.try_grow(bytes + batch.num_rows() * SLOT)?;
            batches.push(batch);
        }
        if u32::try_from(read).is_err() {
            return Ok(None);
        }
        let all = concat_batches(&schema, &batches)?;
        drop(batches);
        let Some(places) = places_of(&all.columns()[..self.keys], read)? else {
            return Ok(None);
        };
        let values: Vec<_> = (self.keys..schema.fields().len()).collect();
        let rows = all.project(&values)?;
        reservation.resize(rows.get_array_memory_size() + places.allocation_size());
        Ok(Some(Others {
            beside: self,
            rows,
            places,
            _reservation: reservation,
        }))
    }
}

/// What a place in the table of slots takes, when it is least full.
const SLOT: usize = 2 * (size_of::<Slot>() + 1);

/// The place of each key that is not null; `None` if two rows have one.
fn places_of(keys: &[ArrayRef], rows: usize) -> Result<Option<HashTable<Slot>>> {
    let mut hasher = KeyHasher::default();
    let [first, second] = hasher.hash(keys, rows)?;
    let mut places = HashTable::with_capacity(rows);
    for (row, (first, second)) in first.iter().zip(second).enumerate() {
        if keys.iter().any(|key| key.is_null(row)) {
            continue;
        }
        let same = |slot: &Slot| (slot.0, slot.1) == (*first, *second);
        if places.find(*first, same).is_some() {
            return Ok(None);
        }
        places.insert_unique(*first, (*first, *second, row as u32), |slot| slot.0);
    }
    Ok(Some(places))
}

impl Others {
    /// What is made of `rows`, which have their key first, and the others beside them.
    pub(crate) fn beside(
        self: Arc<Self>,
        rows: SendableRecordBatchStream,
    ) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.beside.made);
        let made = rows.map(move |rows| self.make(&rows?));
        Box::pin(RecordBatchStreamAdapter::new(schema, made))
    }

    fn make(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let (keys, values) = rows.columns().split_at(self.beside.keys);
        let mut hasher = KeyHasher::default();
        let [first, second] = hasher.hash(keys, rows.num_rows())?;
        let places =
            first
                .iter()
                .zip(second)
                .enumerate()
                .map(|(row, (first, second))| {
                    let same = |slot: &Slot| (slot.0, slot.1) == (*first, *second);
                    let is_null = keys.iter().any(|key| key.is_null(row));
                    let found = self.places.find(*first, same).filter(|_| !is_null);
                    found.map(|slot| slot.2)
                });
        let places: UInt32Array = places.collect();
        let mut joined = values.to_vec();
        for column in self.rows.columns() {
            joined.push(take(column, &places, None)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let schema = Arc::clone(&self.beside.joined);
        let joined = RecordBatch::try_new_with_options(schema, joined, &options)?;
        let made = self.beside.columns.iter();
        let made =
            made.map(|column| column.evaluate(&joined)?.into_array(joined.num_rows()));
        let made = made.collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.beside.made), made)?)
    }
}
