//! The functions over one partition's rows: a state a rule, a column a function.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use datafusion::common::Result;
use datafusion::physical_plan::PhysicalExpr;

use crate::boundary::{EventColumns, Rules, SessionState, StartReason};
use crate::functions::{CachedId, SessionCall, Writer};

/// One window function of the operator.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    /// One of this crate's.
    Session(SessionCall),
    /// `row_number()`.
    RowNumber,
    /// `lag(…)` of an expression, by one row.
    Lag(Arc<dyn PhysicalExpr>),
}

/// All functions over the rows of one partition, batch after batch.
#[derive(Debug)]
pub(super) struct Run {
    rules: Vec<RuleRun>,
    /// Places of `row_number()` among the functions.
    row_numbers: Vec<usize>,
    row_number: u64,
    width: usize,
}

/// The functions that share one rule, and so one state.
#[derive(Debug)]
struct RuleRun {
    call: SessionCall,
    state: SessionState,
    columns: Vec<OneColumn>,
}

#[derive(Debug)]
struct OneColumn {
    place: usize,
    call: SessionCall,
    id: CachedId,
}

/// What a batch led to.
#[derive(Debug)]
pub(super) struct Computed {
    /// One column a function, in the order of the calls.
    pub(super) columns: Vec<ArrayRef>,
    /// How many sessions started.
    pub(super) sessions: usize,
}

impl Run {
    pub(super) fn new(calls: &[Call]) -> Self {
        let mut rules: Vec<RuleRun> = Vec::new();
        let mut row_numbers = Vec::new();
        for (place, call) in calls.iter().enumerate() {
            let Call::Session(call) = call else {
                row_numbers.push(place);
                continue;
            };
            let column = OneColumn {
                place,
                call: call.clone(),
                id: CachedId::default(),
            };
            match rules.iter_mut().find(|rule| rule.call.shares_rule(call)) {
                Some(rule) => rule.columns.push(column),
                None => rules.push(RuleRun {
                    call: call.clone(),
                    state: SessionState::default(),
                    columns: vec![column],
                }),
            }
        }
        Self {
            rules,
            row_numbers,
            row_number: 0,
            width: calls.len(),
        }
    }

    /// The functions' values for `batch`, in which a new key starts at each of `starts`.
    pub(super) fn batch(
        &mut self,
        batch: &RecordBatch,
        starts: &[usize],
    ) -> Result<Computed> {
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.width];
        let mut sessions = 0;
        for rule in &mut self.rules {
            sessions = sessions.max(rule.batch(batch, starts, &mut columns)?);
        }
        if !self.row_numbers.is_empty() {
            let rows = batch.num_rows();
            let numbers = row_numbers(rows, starts, &mut self.row_number);
            for place in &self.row_numbers {
                columns[*place] = Some(Arc::clone(&numbers));
            }
        }
        Ok(Computed {
            columns: columns.into_iter().flatten().collect(),
            sessions,
        })
    }
}

/// `row_number()` of a batch in which keys start at `starts`; `number` is that of the row before.
pub(super) fn row_numbers(rows: usize, starts: &[usize], number: &mut u64) -> ArrayRef {
    let mut starts = starts.iter().copied().peekable();
    let numbers = (0..rows).map(|row| {
        if starts.next_if_eq(&row).is_some() {
            *number = 0;
        }
        *number += 1;
        *number
    });
    Arc::new(UInt64Array::from_iter_values(numbers))
}

impl RuleRun {
    fn batch(
        &mut self,
        batch: &RecordBatch,
        starts: &[usize],
        into: &mut [Option<ArrayRef>],
    ) -> Result<usize> {
        let rows = batch.num_rows();
        let values = evaluate(&self.call.evaluated, batch)?;
        let bound = &self.call.bound;
        let events = EventColumns::try_new(
            &bound.rules,
            &bound.columns,
            bound.encoder.as_ref(),
            &values,
            (0, rows),
        )?;
        let keys = self.columns.iter().map(|column| {
            let key = column.call.evaluated.first();
            key.filter(|_| column.call.kind.has_key())
                .map(|key| key.evaluate(batch)?.into_array(rows))
                .transpose()
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let writers = self.columns.iter().zip(&keys);
        let writers =
            writers.map(|(c, key)| Writer::try_new(c.call.kind, key.as_ref(), rows));
        let mut writers = writers.collect::<Result<Vec<_>>>()?;
        let outputs = &mut self.columns;
        let each = |row, followed: Option<(&SessionState, Option<StartReason>)>| {
            let Some((state, reason)) = followed else {
                return writers.iter_mut().for_each(Writer::append_null);
            };
            for (writer, column) in writers.iter_mut().zip(outputs.iter_mut()) {
                writer.append(row, state, reason, &mut column.id);
            }
        };
        let state = &mut self.state;
        let sessions = follow(&bound.rules, &events, rows, starts, state, each)?;
        for (writer, column) in writers.into_iter().zip(&self.columns) {
            let time_type = &column.call.bound.time_type;
            into[column.place] = Some(writer.finish(time_type)?);
        }
        Ok(sessions)
    }
}

/// Goes through events of which a new key's begin at each of `starts`: `each` gets every row
/// with the state that it led to and why it started a session, or nothing if it has no time.
/// Gives the number of sessions.
pub(super) fn follow(
    rules: &Rules,
    events: &EventColumns<'_>,
    rows: usize,
    starts: &[usize],
    state: &mut SessionState,
    mut each: impl FnMut(usize, Option<(&SessionState, Option<StartReason>)>),
) -> Result<usize> {
    let mut starts = starts.iter().copied().peekable();
    let mut sessions = 0;
    for row in 0..rows {
        if starts.next_if_eq(&row).is_some() {
            state.reset();
        }
        let Some(event) = events.event(row)? else {
            each(row, None);
            continue;
        };
        let reason = state.push(rules, &event)?;
        sessions += usize::from(reason.is_some());
        each(row, Some((state, reason)));
    }
    Ok(sessions)
}

fn evaluate(
    expressions: &[Arc<dyn PhysicalExpr>],
    batch: &RecordBatch,
) -> Result<Vec<ArrayRef>> {
    let rows = batch.num_rows();
    let values = expressions.iter();
    values
        .map(|e| e.evaluate(batch)?.into_array(rows))
        .collect()
}
