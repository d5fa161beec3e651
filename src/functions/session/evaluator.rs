//! The evaluator of all window functions: it feeds the rules of `boundary` and writes
//! down what each function wants to know.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::PartitionEvaluator;

use super::output::{CachedId, Writer, as_timestamps};
use super::window::Kind;
use crate::boundary::{EventColumns, SessionState};
use crate::functions::arguments::BoundArguments;
use crate::functions::text::TextColumn;

/// One partition's run through one function.
#[derive(Debug)]
pub(crate) struct SessionizeEvaluator {
    kind: Kind,
    bound: Arc<BoundArguments>,
    state: SessionState,
    id: CachedId,
}

impl SessionizeEvaluator {
    pub(crate) fn new(kind: Kind, bound: Arc<BoundArguments>) -> Self {
        Self {
            kind,
            bound,
            state: SessionState::default(),
            id: CachedId::default(),
        }
    }

    /// The last event time of each row's session: known from the rows after it.
    fn session_ends(
        &mut self,
        columns: &EventColumns<'_>,
        rows: usize,
    ) -> Result<ArrayRef> {
        let mut ends = Vec::with_capacity(rows);
        for row in 0..rows {
            ends.push(match columns.event(row)? {
                None => None,
                Some(event) => {
                    self.state.push(&self.bound.rules, &event)?;
                    Some((self.state.number(), event.time))
                }
            });
        }
        let mut last = None;
        for end in ends.iter_mut().rev() {
            match (&end, last) {
                (Some((number, _)), Some((later, time))) if *number == later => {
                    *end = Some((later, time));
                }
                (Some(_), _) => last = *end,
                (None, _) => {}
            }
        }
        let ends: Int64Array = ends.iter().map(|end| end.map(|(_, time)| time)).collect();
        as_timestamps(&ends, &self.bound.time_type)
    }
}

impl PartitionEvaluator for SessionizeEvaluator {
    fn is_causal(&self) -> bool {
        self.kind.is_causal()
    }

    fn supports_bounded_execution(&self) -> bool {
        self.kind.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let bound = Arc::clone(&self.bound);
        let columns = EventColumns::try_new(
            &bound.rules,
            &bound.columns,
            bound.encoder.as_ref(),
            values,
            (0, num_rows),
        )?;
        if self.kind == Kind::SessionEnd {
            return self.session_ends(&columns, num_rows);
        }
        let mut column = Writer::try_new(self.kind, values.first(), num_rows)?;
        for row in 0..num_rows {
            match columns.event(row)? {
                None => column.append_null(),
                Some(event) => {
                    let reason = self.state.push(&bound.rules, &event)?;
                    column.append(row, &self.state, reason, &mut self.id);
                }
            }
        }
        column.finish(&bound.time_type)
    }

    fn evaluate(
        &mut self,
        values: &[ArrayRef],
        range: &Range<usize>,
    ) -> Result<ScalarValue> {
        if !self.kind.is_causal() {
            return internal_err!("`{}` needs the whole partition", self.kind.name());
        }
        let bound = Arc::clone(&self.bound);
        let row = range.start;
        let columns = EventColumns::try_new(
            &bound.rules,
            &bound.columns,
            bound.encoder.as_ref(),
            values,
            (row, row + 1),
        )?;
        let event = columns.event(row)?;
        let reason = match &event {
            Some(event) => self.state.push(&bound.rules, event)?,
            None => None,
        };
        let state = event.map(|_| &self.state);
        Ok(match self.kind {
            Kind::SessionNumber => ScalarValue::Int64(state.map(SessionState::number)),
            Kind::SessionEventNumber => {
                ScalarValue::Int64(state.map(SessionState::event_number))
            }
            Kind::SessionStart | Kind::SessionEnd => {
                timestamp(state.map(SessionState::start), &bound.time_type)?
            }
            Kind::IsSessionStart => ScalarValue::Boolean(state.map(|_| reason.is_some())),
            Kind::SessionStartReason => {
                ScalarValue::Utf8(reason.map(|reason| reason.as_str().to_string()))
            }
            Kind::SessionId => {
                let number = state.map(SessionState::number);
                let keys = key_column(self.kind, values)?;
                let key = keys.and_then(|keys| keys.get(row));
                let id = number.map(|number| self.id.get(key, number).to_string());
                ScalarValue::Utf8(id)
            }
        })
    }
}

fn key_column(kind: Kind, values: &[ArrayRef]) -> Result<Option<TextColumn<'_>>> {
    match values.first() {
        Some(key) if kind.has_key() => TextColumn::try_new(key).map(Some),
        _ => Ok(None),
    }
}

fn timestamp(ticks: Option<i64>, time_type: &DataType) -> Result<ScalarValue> {
    let DataType::Timestamp(unit, zone) = time_type else {
        return internal_err!("{time_type} is not a timestamp");
    };
    let zone = zone.clone();
    Ok(match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(ticks, zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(ticks, zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(ticks, zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(ticks, zone),
    })
}
