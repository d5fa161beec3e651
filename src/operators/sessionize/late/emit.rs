//! The wide pass: rows as they come, and the functions beside them.

use std::hash::BuildHasher;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringBuilder, UInt8Array,
    UInt64Array,
};
use datafusion::arrow::compute::{is_null, nullif};
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::hash_utils::RandomState;
use datafusion::common::{Result, internal_err};
use datafusion::physical_plan::PhysicalExpr;

use super::facts::FactArrays;
use super::narrow::moved;
use crate::boundary::StartReason;
use crate::functions::{CachedId, Kind, TextColumn, as_timestamps};

/// One function of the operator, and its column.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) field: FieldRef,
    pub(super) function: Function,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Function {
    RowNumber,
    /// `count(*)` of the rows up to this one.
    RowCount,
    /// The same up to the last row that ties with it.
    Count,
    /// Of the time, which has that type.
    Lag(DataType),
    Session {
        kind: Kind,
        /// Its place among the rules.
        rule: usize,
        time_type: DataType,
        /// The time, then the key that an id is made of.
        read: Vec<Arc<dyn PhysicalExpr>>,
    },
}

impl Output {
    /// What it reads of the rows.
    pub(super) fn read(&self) -> &[Arc<dyn PhysicalExpr>] {
        match &self.function {
            Function::Session { read, .. } => read,
            _ => &[],
        }
    }

    /// The same over rows that have only the columns at `kept`.
    pub(super) fn moved(&self, kept: &[usize]) -> Result<Self> {
        let mut output = self.clone();
        if let Function::Session { read, .. } = &mut output.function {
            for expression in read {
                *expression = moved(expression, kept)?;
            }
        }
        Ok(output)
    }
}

/// What is known of the rows of a batch.
#[derive(Debug)]
pub(super) struct BatchFacts {
    pub(super) rules: Vec<FactArrays>,
    pub(super) row_numbers: Option<UInt64Array>,
    pub(super) lags: Option<Int64Array>,
    pub(super) counts: Option<UInt64Array>,
}

/// Adds the functions to batches.
#[derive(Debug)]
pub(super) struct Emit {
    schema: SchemaRef,
    outputs: Vec<Output>,
    ids: RecentIds,
}

impl Emit {
    pub(super) fn new(schema: SchemaRef, outputs: Vec<Output>) -> Self {
        Self {
            schema,
            outputs,
            ids: RecentIds::default(),
        }
    }

    pub(super) fn batch(
        &mut self,
        batch: &RecordBatch,
        facts: &BatchFacts,
    ) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns = batch.columns().to_vec();
        for output in &self.outputs {
            columns.push(match &output.function {
                Function::RowNumber => {
                    Arc::new(wanted(facts.row_numbers.as_ref())?.clone())
                }
                Function::RowCount => counted(facts.row_numbers.as_ref())?,
                Function::Count => counted(facts.counts.as_ref())?,
                Function::Lag(time_type) => {
                    as_timestamps(wanted(facts.lags.as_ref())?, time_type)?
                }
                Function::Session {
                    kind,
                    rule,
                    time_type,
                    read,
                } => {
                    let values = read.iter();
                    let values = values.map(|e| e.evaluate(batch)?.into_array(rows));
                    let values = values.collect::<Result<Vec<_>>>()?;
                    let facts = &facts.rules[*rule];
                    session(*kind, time_type, &values, facts, &mut self.ids)?
                }
            });
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn counted(counts: Option<&UInt64Array>) -> Result<ArrayRef> {
    let counts: Int64Array = wanted(counts)?.unary(u64::cast_signed);
    Ok(Arc::new(counts))
}

fn wanted<T>(fact: Option<&T>) -> Result<&T> {
    match fact {
        Some(fact) => Ok(fact),
        None => internal_err!("a fact that a function needs was not gathered"),
    }
}

/// One function's values; null where the time is. `read` is the time, then the key.
fn session(
    kind: Kind,
    time_type: &DataType,
    read: &[ArrayRef],
    facts: &FactArrays,
    ids: &mut RecentIds,
) -> Result<ArrayRef> {
    let values: ArrayRef = match kind {
        Kind::SessionNumber => Arc::new(wanted(facts.numbers.as_ref())?.clone()),
        Kind::SessionEventNumber => {
            Arc::new(wanted(facts.event_numbers.as_ref())?.clone())
        }
        Kind::SessionStart => as_timestamps(wanted(facts.starts.as_ref())?, time_type)?,
        Kind::IsSessionStart => {
            let reasons = wanted(facts.reasons.as_ref())?.values().iter();
            let starts: Vec<bool> = reasons.map(|code| *code != 0).collect();
            Arc::new(BooleanArray::from(starts))
        }
        Kind::SessionStartReason => reasons(wanted(facts.reasons.as_ref())?),
        Kind::SessionId => {
            ids.column(wanted(read.get(1))?, wanted(facts.numbers.as_ref())?)?
        }
        Kind::SessionEnd => as_timestamps(wanted(facts.ends.as_ref())?, time_type)?,
    };
    match wanted(read.first())? {
        times if times.null_count() > 0 => Ok(nullif(&values, &is_null(times)?)?),
        _ => Ok(values),
    }
}

fn reasons(codes: &UInt8Array) -> ArrayRef {
    let mut reasons = StringBuilder::with_capacity(codes.len(), codes.len());
    for code in codes.values() {
        reasons.append_option(StartReason::of_code(*code).map(StartReason::as_str));
    }
    Arc::new(reasons.finish())
}

/// The ids of sessions met lately: in the order of time those of many visitors alternate.
#[derive(Debug)]
pub(super) struct RecentIds {
    hasher: RandomState,
    slots: Vec<CachedId>,
}

/// A power of two.
const SLOTS: usize = 4096;

impl Default for RecentIds {
    fn default() -> Self {
        Self {
            hasher: RandomState::with_seed(0),
            slots: std::iter::repeat_with(CachedId::default)
                .take(SLOTS)
                .collect(),
        }
    }
}

impl RecentIds {
    pub(super) fn column(
        &mut self,
        keys: &ArrayRef,
        numbers: &Int64Array,
    ) -> Result<ArrayRef> {
        let keys = TextColumn::try_new(keys)?;
        let rows = numbers.len();
        let mut ids = StringBuilder::with_capacity(rows, rows.saturating_mul(32));
        for (row, number) in numbers.values().iter().enumerate() {
            let key = keys.get(row);
            let slot = self.hasher.hash_one(key) as usize % SLOTS;
            ids.append_value(self.slots[slot].get(key, *number));
        }
        Ok(Arc::new(ids.finish()))
    }
}
