//! The evaluator of all window functions: it feeds the rules of `boundary` and writes
//! down what each function wants to know.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanBuilder, Int64Array, Int64Builder, StringBuilder, make_array,
};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::PartitionEvaluator;

use super::arguments::BoundArguments;
use super::text::TextColumn;
use super::window::Kind;
use crate::boundary::{EventColumns, SessionState, StableId, StartReason};

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
        let keys = key_column(self.kind, values)?;
        let mut output = Output::new(self.kind, num_rows);
        for row in 0..num_rows {
            match columns.event(row)? {
                None => output.append_null(),
                Some(event) => {
                    let reason = self.state.push(&bound.rules, &event)?;
                    match &mut output {
                        Output::Number(builder) if self.kind == Kind::SessionNumber => {
                            builder.append_value(self.state.number());
                        }
                        Output::Number(builder) if self.kind == Kind::SessionStart => {
                            builder.append_value(self.state.start());
                        }
                        Output::Number(builder) => {
                            builder.append_value(self.state.event_number());
                        }
                        Output::Flag(builder) => builder.append_value(reason.is_some()),
                        Output::Text(builder) => match keys {
                            Some(keys) => builder.append_value(
                                self.id.get(keys.get(row), self.state.number()),
                            ),
                            None => {
                                builder.append_option(reason.map(StartReason::as_str))
                            }
                        },
                    }
                }
            }
        }
        output.finish(&bound.time_type, self.kind)
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

/// The id of the session at hand, hashed once a session.
#[derive(Debug, Default)]
struct CachedId {
    hasher: StableId,
    key: Option<String>,
    number: i64,
    id: String,
}

impl CachedId {
    fn get(&mut self, key: Option<&str>, number: i64) -> &str {
        if self.number != number || self.key.as_deref() != key {
            self.number = number;
            self.key = key.map(str::to_string);
            self.hasher.part(key);
            self.hasher.part(Some(&number.to_string()));
            self.id.clear();
            self.id.push_str(self.hasher.finish());
        }
        &self.id
    }
}

/// The column being written.
enum Output {
    Number(Int64Builder),
    Flag(BooleanBuilder),
    Text(StringBuilder),
}

impl Output {
    fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::IsSessionStart => Self::Flag(BooleanBuilder::with_capacity(rows)),
            Kind::SessionId => {
                Self::Text(StringBuilder::with_capacity(rows, rows.saturating_mul(32)))
            }
            Kind::SessionStartReason => {
                Self::Text(StringBuilder::with_capacity(rows, rows))
            }
            _ => Self::Number(Int64Builder::with_capacity(rows)),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Number(builder) => builder.append_null(),
            Self::Flag(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
        }
    }

    fn finish(self, time_type: &DataType, kind: Kind) -> Result<ArrayRef> {
        match self {
            Self::Number(mut builder) if kind == Kind::SessionStart => {
                as_timestamps(&builder.finish(), time_type)
            }
            Self::Number(mut builder) => Ok(Arc::new(builder.finish())),
            Self::Flag(mut builder) => Ok(Arc::new(builder.finish())),
            Self::Text(mut builder) => Ok(Arc::new(builder.finish())),
        }
    }
}

/// Ticks as timestamps of any unit and zone.
fn as_timestamps(ticks: &Int64Array, time_type: &DataType) -> Result<ArrayRef> {
    let data = ticks.to_data().into_builder();
    Ok(make_array(data.data_type(time_type.clone()).build()?))
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
