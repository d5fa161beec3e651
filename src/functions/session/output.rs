//! From the state of a key to the values of a function: one column being written.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanBuilder, Int64Array, Int64Builder, StringBuilder, make_array,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::window::Kind;
use crate::boundary::{SessionState, StableId, StartReason};
use crate::functions::text::TextColumn;

/// The column of one causal function, written row by row.
pub(crate) struct Writer<'a> {
    kind: Kind,
    keys: Option<TextColumn<'a>>,
    output: Output,
}

impl<'a> Writer<'a> {
    /// A column of `rows` rows. `key` is the first argument of functions that take a key.
    pub(crate) fn try_new(
        kind: Kind,
        key: Option<&'a ArrayRef>,
        rows: usize,
    ) -> Result<Self> {
        let keys = key
            .filter(|_| kind.has_key())
            .map(TextColumn::try_new)
            .transpose()?;
        Ok(Self {
            kind,
            keys,
            output: Output::new(kind, rows),
        })
    }

    /// A row without a time.
    pub(crate) fn append_null(&mut self) {
        match &mut self.output {
            Output::Number(builder) => builder.append_null(),
            Output::Flag(builder) => builder.append_null(),
            Output::Text(builder) => builder.append_null(),
        }
    }

    /// The value of `row`, whose event led to `state`, for `reason` if it starts a session.
    #[inline]
    pub(crate) fn append(
        &mut self,
        row: usize,
        state: &SessionState,
        reason: Option<StartReason>,
        id: &mut CachedId,
    ) {
        match &mut self.output {
            Output::Number(builder) => builder.append_value(match self.kind {
                Kind::SessionNumber => state.number(),
                Kind::SessionStart => state.start(),
                _ => state.event_number(),
            }),
            Output::Flag(builder) => builder.append_value(reason.is_some()),
            Output::Text(builder) => match self.keys {
                Some(keys) => {
                    builder.append_value(id.get(keys.get(row), state.number()));
                }
                None => builder.append_option(reason.map(StartReason::as_str)),
            },
        }
    }

    /// The column; `time_type` is that of the function's timestamps.
    pub(crate) fn finish(self, time_type: &DataType) -> Result<ArrayRef> {
        match self.output {
            Output::Number(mut builder) if self.kind == Kind::SessionStart => {
                as_timestamps(&builder.finish(), time_type)
            }
            Output::Number(mut builder) => Ok(Arc::new(builder.finish())),
            Output::Flag(mut builder) => Ok(Arc::new(builder.finish())),
            Output::Text(mut builder) => Ok(Arc::new(builder.finish())),
        }
    }
}

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
}

/// The id of the session at hand, hashed once a session.
#[derive(Debug, Default)]
pub(crate) struct CachedId {
    hasher: StableId,
    key: Option<String>,
    number: i64,
    id: String,
}

impl CachedId {
    pub(crate) fn get(&mut self, key: Option<&str>, number: i64) -> &str {
        if self.number != number || self.key.as_deref() != key {
            self.number = number;
            match (&mut self.key, key) {
                (Some(known), Some(key)) => {
                    known.clear();
                    known.push_str(key);
                }
                (known, key) => *known = key.map(str::to_string),
            }
            self.hasher.part(key);
            self.hasher.part(Some(&number.to_string()));
            self.id.clear();
            self.id.push_str(self.hasher.finish());
        }
        &self.id
    }
}

/// Ticks as timestamps of any unit and zone.
pub(crate) fn as_timestamps(
    ticks: &Int64Array,
    time_type: &DataType,
) -> Result<ArrayRef> {
    let data = ticks.to_data().into_builder();
    Ok(make_array(data.data_type(time_type.clone()).build()?))
}
