//! The arguments that all window functions share: their order, the types they take, and
//! their values, parsed once a query and before any row (`bound`).

mod bound;

use std::fmt::Display;

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::{DataFusionError, Result, plan_datafusion_err};

use crate::boundary::SplitEncoder;
pub(super) use bound::length;
pub(crate) use bound::{BoundArguments, evaluated};

/// An argument after the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Time,
    Gap,
    Boundary,
    Granularity,
    MaxDuration,
    TimeZone,
    SplitOn,
    StartWhen,
    EndAfter,
}

/// The arguments in the order in which they are given without names.
pub(crate) const ARGUMENTS: [Argument; 9] = [
    Argument::Time,
    Argument::Gap,
    Argument::Boundary,
    Argument::Granularity,
    Argument::MaxDuration,
    Argument::TimeZone,
    Argument::SplitOn,
    Argument::StartWhen,
    Argument::EndAfter,
];

const LENGTH: &str = "a positive interval or duration without months, such as \
                      INTERVAL '30 minutes' or '30 minutes'";

impl Argument {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Time => "t",
            Self::Gap => "gap",
            Self::Boundary => "boundary",
            Self::Granularity => "granularity",
            Self::MaxDuration => "max_duration",
            Self::TimeZone => "time_zone",
            Self::SplitOn => "split_on",
            Self::StartWhen => "start_when",
            Self::EndAfter => "end_after",
        }
    }

    /// One sentence for the documentation.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Time => {
                "The event's time. A null time has null results and changes no session."
            }
            Self::Gap => {
                "How long without an event ends a session; may be a column (a null in a \
                 row never splits). A day is 24 hours. Default 30 minutes."
            }
            Self::Boundary => {
                "Whether a distance of exactly the gap (or `max_duration`) splits. \
                 Default 'at_least': it does."
            }
            Self::Granularity => {
                "Whether distances are measured exactly or between whole seconds, each \
                 time floored. Default 'exact'."
            }
            Self::MaxDuration => {
                "How far from its start a session may reach. Default: no limit."
            }
            Self::TimeZone => {
                "Also splits where the local calendar day of this zone changes. \
                 Timestamps without a zone are UTC. Default: off."
            }
            Self::SplitOn => {
                "Also splits where this value is not null and differs from the session's \
                 last one that was not null. Default: off."
            }
            Self::StartWhen => "Starts a session where true. Default: off.",
            Self::EndAfter => {
                "Ends the session after an event where this is true. Default: off."
            }
        }
    }

    pub(crate) fn accepted(self) -> &'static str {
        match self {
            Self::Time => "a timestamp or a date",
            Self::Gap => LENGTH,
            Self::MaxDuration => LENGTH,
            Self::Boundary => "the literal 'at_least' or 'more_than'",
            Self::Granularity => "the literal 'exact' or 'second'",
            Self::TimeZone => "a literal IANA name such as 'Europe/Berlin'",
            Self::SplitOn => "an expression of a type whose values can be compared",
            Self::StartWhen | Self::EndAfter => "a boolean",
        }
    }

    /// Whether the value may differ from row to row.
    fn is_column(self) -> bool {
        matches!(
            self,
            Self::Time | Self::Gap | Self::SplitOn | Self::StartWhen | Self::EndAfter
        )
    }

    /// The type to convert to, `None` if there is none.
    pub(crate) fn coerce(self, given: &DataType) -> Option<DataType> {
        use DataType::{Boolean, Date32, Date64, Dictionary, Duration, Interval, Null};
        match (self, given) {
            (_, Dictionary(_, value)) => self.coerce(value),
            (Self::Time, DataType::Timestamp(..)) => Some(given.clone()),
            (Self::Time, Date32) => Some(DataType::Timestamp(TimeUnit::Second, None)),
            (Self::Time, Date64) => {
                Some(DataType::Timestamp(TimeUnit::Millisecond, None))
            }
            (Self::Time, Null) => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
            (_, Null) => Some(Null),
            (Self::Gap | Self::MaxDuration, Interval(_)) => {
                Some(Interval(IntervalUnit::MonthDayNano))
            }
            (Self::Gap | Self::MaxDuration, Duration(_)) => Some(given.clone()),
            (
                Self::Gap
                | Self::MaxDuration
                | Self::Boundary
                | Self::Granularity
                | Self::TimeZone,
                text,
            ) if text.is_string() => Some(given.clone()),
            (Self::StartWhen | Self::EndAfter, Boolean) => Some(Boolean),
            (Self::SplitOn, value) if SplitEncoder::supports(value) => {
                Some(given.clone())
            }
            _ => None,
        }
    }
}

/// The names of all arguments of a function, its key first if it has one.
pub(crate) fn names(has_key: bool) -> Vec<&'static str> {
    let key = has_key.then_some("key");
    key.into_iter()
        .chain(ARGUMENTS.iter().map(|argument| argument.name()))
        .collect()
}

/// The types to convert the arguments to.
pub(crate) fn coerce(
    function: &'static str,
    has_key: bool,
    given: &[DataType],
) -> Result<Vec<DataType>> {
    let names = names(has_key);
    let required = if has_key { 2 } else { 1 };
    if given.len() < required || given.len() > names.len() {
        return Err(wrong_count(function, given.len(), &names, required));
    }
    let (key, others) = given.split_at(required - 1);
    let key = key.iter().map(|given| {
        text_type(given).ok_or_else(|| {
            let given = format!("of type {given}");
            refuse(function, "key", given, "a value that can be cast to text")
        })
    });
    let others = others.iter().zip(ARGUMENTS).map(|(given, argument)| {
        let coerced = argument.coerce(given);
        coerced.ok_or_else(|| {
            let given = format!("of type {given}");
            refuse(function, argument.name(), given, argument.accepted())
        })
    });
    key.chain(others).collect()
}

/// The text type that values of `given` are read as, `None` if they have no text.
pub(crate) fn text_type(given: &DataType) -> Option<DataType> {
    match given {
        text if text.is_string() => Some(given.clone()),
        DataType::Dictionary(_, value) => text_type(value),
        DataType::Null => Some(DataType::Utf8),
        other => can_cast_types(other, &DataType::Utf8).then_some(DataType::Utf8),
    }
}

/// The error for too few or too many arguments, of which `required` must be there.
pub(super) fn wrong_count(
    function: &str,
    given: usize,
    names: &[&str],
    required: usize,
) -> DataFusionError {
    plan_datafusion_err!(
        "`{function}`: {given} arguments were given; accepted: `{}`, and by name or in \
         this order: {}",
        names[..required].join("`, `"),
        names[required..].join(", ")
    )
}

/// The one shape of all errors about arguments.
pub(super) fn refuse(
    function: &str,
    argument: &str,
    given: impl Display,
    accepted: &str,
) -> DataFusionError {
    plan_datafusion_err!(
        "`{function}`: argument `{argument}` is {given}; accepted: {accepted}"
    )
}
