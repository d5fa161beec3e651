//! The arguments that all window functions share: their order, the types they take, and
//! their values, parsed once a query and before any row.

use std::fmt::Display;
use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use datafusion::arrow::datatypes::{DataType, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_datafusion_err};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;

use crate::boundary::{
    Boundary, ColumnIndexes, Gap, Granularity, Rules, SplitEncoder, duration_nanos,
    interval_nanos,
};

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
    fn coerce(self, given: &DataType) -> Option<DataType> {
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
        return Err(plan_datafusion_err!(
            "`{function}`: {} arguments were given; accepted: `{}`, and by name or in \
             this order: {}",
            given.len(),
            names[..required].join("`, `"),
            names[required..].join(", ")
        ));
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

/// The one shape of all errors about arguments.
fn refuse(
    function: &str,
    argument: &str,
    given: impl Display,
    accepted: &str,
) -> DataFusionError {
    plan_datafusion_err!(
        "`{function}`: argument `{argument}` is {given}; accepted: {accepted}"
    )
}

/// The arguments of one call, parsed.
#[derive(Debug)]
pub(crate) struct BoundArguments {
    pub(crate) rules: Rules,
    /// Where the columns are among the values that an evaluator gets; the key is first.
    pub(crate) columns: ColumnIndexes,
    pub(crate) encoder: Option<SplitEncoder>,
    pub(crate) time_type: DataType,
}

impl BoundArguments {
    /// Checks and parses everything that does not depend on a row.
    pub(crate) fn try_new(
        function: &'static str,
        has_key: bool,
        expressions: &[Arc<dyn PhysicalExpr>],
        fields: &[FieldRef],
    ) -> Result<Self> {
        let coerced = coerce(function, has_key, &types(fields))?;
        let first = usize::from(has_key);
        let DataType::Timestamp(unit, _) = &coerced[first] else {
            let accepted = Argument::Time.accepted();
            return Err(refuse(function, "t", &coerced[first], accepted));
        };
        let mut bound = Self {
            rules: Rules::new(function, *unit),
            columns: ColumnIndexes::default(),
            encoder: None,
            time_type: coerced[first].clone(),
        };
        let mut next = first;
        let given = expressions.iter().zip(&coerced).skip(first).zip(ARGUMENTS);
        for ((expression, data_type), argument) in given {
            if is_evaluated(argument, expression) {
                bound.set_column(argument, data_type, next)?;
                next += 1;
            } else if let Some(literal) = expression.downcast_ref::<Literal>() {
                bound.set_literal(argument, literal.value())?;
            } else {
                let given = format!("the expression {expression}");
                return Err(refuse(
                    function,
                    argument.name(),
                    given,
                    argument.accepted(),
                ));
            }
        }
        bound.rules = bound.rules.ready();
        Ok(bound)
    }

    fn set_column(
        &mut self,
        argument: Argument,
        data_type: &DataType,
        index: usize,
    ) -> Result<()> {
        match argument {
            Argument::Gap if data_type.is_string() => {
                return Err(refuse(
                    self.rules.function,
                    argument.name(),
                    format!("a column of type {data_type}"),
                    argument.accepted(),
                ));
            }
            // a column that is null in every row is as good as none
            _ if data_type.is_null() => {}
            Argument::Gap => {
                self.columns.gap = Some(index);
                self.rules.gap = Gap::PerRow;
            }
            Argument::SplitOn => {
                self.columns.split_on = Some(index);
                self.encoder = SplitEncoder::try_new(data_type)?;
                self.rules.value_change = true;
            }
            Argument::StartWhen => {
                self.columns.start_when = Some(index);
                self.rules.forced = true;
            }
            Argument::EndAfter => {
                self.columns.end_after = Some(index);
                self.rules.forced = true;
            }
            _ => self.columns.time = index,
        }
        Ok(())
    }

    fn set_literal(&mut self, argument: Argument, value: &ScalarValue) -> Result<()> {
        if value.is_null() {
            return Ok(());
        }
        let rules = &mut self.rules;
        let refused = |given: String| {
            refuse(rules.function, argument.name(), given, argument.accepted())
        };
        match argument {
            Argument::Gap => rules.gap = Gap::Every(length(value).map_err(refused)?),
            Argument::MaxDuration => {
                rules.max_duration = Some(length(value).map_err(refused)?);
            }
            Argument::Boundary => {
                rules.boundary = match text(value) {
                    Some("at_least") => Boundary::AtLeast,
                    Some("more_than") => Boundary::MoreThan,
                    _ => return Err(refused(quoted(value))),
                };
            }
            Argument::Granularity => {
                rules.granularity = match text(value) {
                    Some("exact") => Granularity::Exact,
                    Some("second") => Granularity::Second,
                    _ => return Err(refused(quoted(value))),
                };
            }
            Argument::TimeZone => {
                let zone = text(value).and_then(|name| name.parse::<Tz>().ok());
                rules.time_zone = Some(zone.ok_or_else(|| refused(quoted(value)))?);
            }
            _ => return Err(refused(quoted(value))),
        }
        Ok(())
    }
}

/// The expressions that an evaluator gets as arrays, in the order of the arguments.
pub(crate) fn evaluated(
    has_key: bool,
    expressions: &[Arc<dyn PhysicalExpr>],
) -> Vec<Arc<dyn PhysicalExpr>> {
    let (key, others) = expressions.split_at(usize::from(has_key).min(expressions.len()));
    let others = others.iter().zip(ARGUMENTS);
    let others =
        others.filter(|(expression, argument)| is_evaluated(*argument, expression));
    key.iter()
        .chain(others.map(|(expression, _)| expression))
        .map(Arc::clone)
        .collect()
}

fn is_evaluated(argument: Argument, expression: &Arc<dyn PhysicalExpr>) -> bool {
    match expression.downcast_ref::<Literal>() {
        _ if argument == Argument::Time => true,
        None => argument.is_column(),
        Some(literal) => {
            argument.is_column()
                && argument != Argument::Gap
                && !literal.value().is_null()
        }
    }
}

fn types(fields: &[FieldRef]) -> Vec<DataType> {
    fields
        .iter()
        .map(|field| field.data_type().clone())
        .collect()
}

fn text(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

fn quoted(value: &ScalarValue) -> String {
    match text(value) {
        Some(text) => format!("'{text}'"),
        None => value.to_string(),
    }
}

/// The nanoseconds of a literal length, or how to show what was given.
fn length(value: &ScalarValue) -> std::result::Result<i128, String> {
    let nanos = match value {
        ScalarValue::IntervalMonthDayNano(Some(interval)) => interval_nanos(*interval),
        ScalarValue::DurationSecond(Some(value)) => {
            duration_nanos(*value, TimeUnit::Second)
        }
        ScalarValue::DurationMillisecond(Some(value)) => {
            duration_nanos(*value, TimeUnit::Millisecond)
        }
        ScalarValue::DurationMicrosecond(Some(value)) => {
            duration_nanos(*value, TimeUnit::Microsecond)
        }
        ScalarValue::DurationNanosecond(Some(value)) => {
            duration_nanos(*value, TimeUnit::Nanosecond)
        }
        other => match text(other).map(parse_interval_month_day_nano) {
            Some(Ok(interval)) => interval_nanos(interval),
            _ => Err("it is no length of time"),
        },
    };
    nanos.map_err(|why| format!("{} ({why})", quoted(value)))
}
