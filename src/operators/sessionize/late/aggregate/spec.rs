//! Which aggregations the operator can take over.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::Result;
use datafusion::functions_aggregate::count::Count;
use datafusion::functions_aggregate::first_last::{FirstValue, LastValue};
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Literal, is_not_null};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::operators::sessionize::late::entries::KeyHasher;
use crate::operators::sessionize::late::order::{By, Order};

/// An aggregation: its groups, and the order that first and last rows go by.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) group: Vec<Arc<dyn PhysicalExpr>>,
    /// Empty if no row is picked.
    pub(super) order: By,
}

/// One column of the result.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// Its place among the columns of the aggregation.
    pub(super) place: usize,
    pub(super) field: FieldRef,
    pub(super) value: Value,
    /// Whether it is of all rows of the key: of an aggregation that is joined to sessions.
    pub(super) of_key: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// An expression of the group.
    Group(usize),
    /// `count(*)`.
    Count,
    /// Of the group's first or last row for which a condition holds.
    Pick {
        expr: Arc<dyn PhysicalExpr>,
        last: bool,
        condition: Option<Arc<dyn PhysicalExpr>>,
    },
    /// Anything else that DataFusion can accumulate.
    Other(Other),
    /// `row_number()` of the group among others.
    RowNumber,
}

/// An aggregate that DataFusion's accumulators give.
#[derive(Debug, Clone)]
pub(super) struct Other {
    pub(super) function: Arc<AggregateFunctionExpr>,
    pub(super) arguments: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) condition: Option<Arc<dyn PhysicalExpr>>,
}

impl Other {
    /// What it is the least (`false`) or the greatest (`true`) of, if it is that.
    pub(super) fn extreme(&self) -> Option<(&Arc<dyn PhysicalExpr>, bool)> {
        let function = self.function.fun().inner();
        let greatest = match (
            function.downcast_ref::<Min>().is_some(),
            function.downcast_ref::<Max>().is_some(),
        ) {
            (true, _) => false,
            (_, true) => true,
            _ => return None,
        };
        let argument = self.arguments.first()?;
        self.condition.is_none().then_some((argument, greatest))
    }
}

impl Spec {
    /// The aggregation that ends in `last`, and the plan that takes in its rows; `None` if the
    /// operator cannot give the same.
    pub(super) fn of(
        last: &AggregateExec,
    ) -> Result<Option<(Self, Vec<Output>, AggregateExec)>> {
        let first = match last.mode() {
            AggregateMode::Single | AggregateMode::SinglePartitioned => last,
            AggregateMode::Final | AggregateMode::FinalPartitioned => {
                match last.input().downcast_ref::<AggregateExec>() {
                    Some(first) if *first.mode() == AggregateMode::Partial => first,
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let groups = first.group_expr();
        let limited = last.limit_options().is_some() || first.limit_options().is_some();
        if groups.is_empty() || !groups.is_single() || limited {
            return Ok(None);
        }
        let group: Vec<_> = groups.expr().iter().map(|(e, _)| Arc::clone(e)).collect();
        let mut spec = Self {
            group,
            order: Vec::new(),
        };
        let mut values: Vec<_> = (0..spec.group.len()).map(Value::Group).collect();
        let functions = first.aggr_expr().iter().zip(first.filter_expr());
        for (function, condition) in functions {
            match spec.value(function, condition.clone())? {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        let input = first.input_schema();
        let types = spec.group.iter().map(|e| e.data_type(&input));
        let types = types.collect::<Result<Vec<_>>>()?;
        let ordered = match spec.order.first() {
            Some((time, _)) => Order::supports(&time.data_type(&input)?),
            None => true,
        };
        let read = spec.group.iter().chain(spec.order.iter().map(|(e, _)| e));
        let supported = ordered && types.iter().all(KeyHasher::supports);
        if !supported || read.into_iter().any(is_volatile) {
            return Ok(None);
        }
        let schema = last.schema();
        let fields = schema.fields().iter().cloned();
        let outputs = fields.zip(values).enumerate();
        let outputs = outputs.map(|(place, (field, value))| Output {
            place,
            field,
            value,
            of_key: false,
        });
        Ok(Some((spec, outputs.collect(), first.clone())))
    }

    fn value(
        &mut self,
        function: &Arc<AggregateFunctionExpr>,
        condition: Option<Arc<dyn PhysicalExpr>>,
    ) -> Result<Option<Value>> {
        let arguments = function.expressions();
        if arguments.iter().chain(&condition).any(is_volatile) {
            return Ok(None);
        }
        let inner = function.fun().inner();
        let first = inner.downcast_ref::<FirstValue>().is_some();
        let last = inner.downcast_ref::<LastValue>().is_some();
        if first || last {
            let [argument] = &arguments[..] else {
                return Ok(None);
            };
            let Some(turned) = self.goes_by(function.order_bys()) else {
                return Ok(None);
            };
            let condition = match (condition, function.ignore_nulls()) {
                (condition, false) => condition,
                (None, true) => Some(is_not_null(Arc::clone(argument))?),
                (Some(_), true) => return Ok(None),
            };
            return Ok(Some(Value::Pick {
                expr: Arc::clone(argument),
                last: last != turned,
                condition,
            }));
        }
        if !function.order_bys().is_empty() {
            return Ok(None);
        }
        let counts = inner.downcast_ref::<Count>().is_some() && !function.is_distinct();
        if counts && condition.is_none() && arguments.iter().all(counts_rows) {
            return Ok(Some(Value::Count));
        }
        Ok(function.groups_accumulator_supported().then(|| {
            Value::Other(Other {
                function: Arc::clone(function),
                arguments,
                condition,
            })
        }))
    }

    /// Whether rows are to be picked by an order, from its other end (`true`) or as it is;
    /// `None` if they already are by another one.
    fn goes_by(&mut self, order: &[PhysicalSortExpr]) -> Option<bool> {
        let order: By = order
            .iter()
            .map(|e| (Arc::clone(&e.expr), e.options))
            .collect();
        if order.is_empty() {
            return None;
        }
        if self.order.is_empty() {
            self.order = order;
            return Some(false);
        }
        let turned = self.order[0] != order[0];
        let order = if turned { reversed(order) } else { order };
        // rows that the shorter one leaves tied may come in any order
        let shared = self.order.len().min(order.len());
        if self.order[..shared] != order[..shared] {
            return None;
        }
        if order.len() > shared {
            self.order = order;
        }
        Some(turned)
    }
}

/// The same rows from the other end.
fn reversed(order: By) -> By {
    let order = order.into_iter();
    order.map(|(expr, options)| (expr, !options)).collect()
}

/// Whether a value is there in every row.
fn counts_rows(argument: &Arc<dyn PhysicalExpr>) -> bool {
    let literal = argument.downcast_ref::<Literal>();
    literal.is_some_and(|literal| !literal.value().is_null())
}
