//! The first expression of an ORDER BY as a number per row.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::{SortOptions, cast};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_plan::PhysicalExpr;

/// An order of rows: expressions, and how each sorts.
pub(super) type By = Vec<(Arc<dyn PhysicalExpr>, SortOptions)>;

/// An order by what `of` makes of the expressions.
pub(super) fn by(
    order: &By,
    of: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>>,
) -> Result<By> {
    let order = order.iter();
    order
        .map(|(expr, options)| Ok((of(expr)?, *options)))
        .collect()
}

/// The order as a plan shows it.
pub(super) fn shown(order: &By) -> String {
    let order = order.iter().map(|(expr, options)| {
        PhysicalSortExpr::new(Arc::clone(expr), *options).to_string()
    });
    order.collect::<Vec<_>>().join(", ")
}

/// Turns values of one type into numbers that sort as the values do, nulls included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    options: SortOptions,
}

impl Order {
    /// Whether values of a type can be numbers.
    pub(super) fn supports(data_type: &DataType) -> bool {
        matches!(
            data_type,
            DataType::Timestamp(_, _)
                | DataType::Date32
                | DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::UInt8
                | DataType::UInt16
                | DataType::UInt32
        )
    }

    pub(super) fn new(options: SortOptions) -> Self {
        Self { options }
    }

    /// Whether later values come first.
    pub(super) fn descends(self) -> bool {
        self.options.descending
    }

    /// What stands for null.
    pub(super) fn null(self) -> u64 {
        if self.options.nulls_first {
            0
        } else {
            u64::MAX
        }
    }

    /// The number of a value; `None` for the one value whose number is that of null.
    #[inline]
    pub(super) fn code(self, value: i64) -> Option<u64> {
        let ascending = value.cast_unsigned() ^ (1 << 63);
        let code = match self.options.descending {
            true => !ascending,
            false => ascending,
        };
        (code != self.null()).then_some(code)
    }

    /// The value of a number.
    #[inline]
    pub(super) fn value(self, code: u64) -> i64 {
        let ascending = match self.options.descending {
            true => !code,
            false => code,
        };
        (ascending ^ (1 << 63)).cast_signed()
    }

    /// The numbers of `values`; `None` if one of them has none.
    pub(super) fn codes(self, values: &ArrayRef) -> Result<Option<Vec<u64>>> {
        let (ticks, null) = (ticks(values)?, self.null());
        Ok(match ticks.nulls() {
            None => ticks.values().iter().map(|v| self.code(*v)).collect(),
            Some(_) => ticks
                .iter()
                .map(|v| v.map_or(Some(null), |v| self.code(v)))
                .collect(),
        })
    }
}

/// Values of a supported type as plain numbers.
pub(super) fn ticks(values: &ArrayRef) -> Result<Int64Array> {
    let ticks = match values.data_type() {
        // arrow does not cast a date to 64 bits at once
        DataType::Date32 => cast(&cast(values, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(values, &DataType::Int64)?,
    };
    Ok(ticks.as_primitive::<Int64Type>().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_sort_as_values_do() {
        for descending in [false, true] {
            for nulls_first in [false, true] {
                let order = Order::new(SortOptions {
                    descending,
                    nulls_first,
                });
                let values = [None, Some(i64::MIN + 1), Some(-1), Some(0), Some(7)];
                let array: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
                let codes = order.codes(&array).unwrap().unwrap();
                let mut sorted = values.to_vec();
                sorted.sort();
                if descending {
                    sorted.reverse();
                }
                sorted.retain(Option::is_some);
                sorted.insert(if nulls_first { 0 } else { sorted.len() }, None);
                let mut by_code: Vec<_> = codes.iter().zip(values).collect();
                by_code.sort();
                let by_code: Vec<_> = by_code.into_iter().map(|(_, v)| v).collect();
                assert_eq!(by_code, sorted, "{descending} {nulls_first}");
                assert_eq!(order.value(codes[2]), -1);
            }
        }
    }

    #[test]
    fn the_value_that_would_be_null_has_no_code() {
        let last = Order::new(SortOptions {
            descending: false,
            nulls_first: false,
        });
        assert_eq!(last.code(i64::MAX), None);
        assert_eq!(last.code(i64::MIN), Some(0));
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, i64::MAX]));
        assert!(last.codes(&values).unwrap().is_none());
    }
}
