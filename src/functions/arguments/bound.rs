//! The arguments of a call: columns by their place, everything else by its value.

use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use datafusion::arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::{Result, ScalarValue};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;

use super::{ARGUMENTS, Argument, coerce, refuse};
use crate::boundary::{
    Boundary, ColumnIndexes, Gap, Granularity, Rules, SplitEncoder, duration_nanos,
    interval_nanos,
};

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
    if let Some(text) = text(value) {
        return format!("'{text}'");
    }
    let array = value.to_array().ok();
    let shown = array.and_then(|array| array_value_to_string(&array, 0).ok());
    shown.unwrap_or_else(|| value.to_string())
}

/// The nanoseconds of a literal length, or how to show what was given.
pub(in crate::functions) fn length(
    value: &ScalarValue,
) -> std::result::Result<i128, String> {
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
