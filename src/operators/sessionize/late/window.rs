//! Which windows the operator can take over.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions_aggregate::count::Count;
use datafusion::logical_expr::{WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::PlainAggregateWindowExpr;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr, WindowExpr};

use super::emit::{Function, Output};
use super::entries::KeyHasher;
use super::facts::Wanted;
use super::keyed::{Keyed, columns_of};
use super::order::{By, Order};
use super::pass::{Rule, Window};
use crate::functions::SessionCall;
use crate::operators::sessionize::exec::call;
use crate::operators::sessionize::run::Call;

/// A window: its key and order, and the rules of the functions over it.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) key: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) order: By,
    pub(super) rules: Vec<(SessionCall, Wanted)>,
    pub(super) row_numbers: bool,
    pub(super) lags: bool,
    pub(super) counts: bool,
}

/// Window functions over one input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows<'a> {
    pub(crate) expressions: &'a [Arc<dyn WindowExpr>],
    pub(crate) input: &'a Arc<dyn ExecutionPlan>,
}

impl<'a> Windows<'a> {
    /// Those of a node; `None` if it is none of DataFusion's window operators.
    pub(crate) fn of(node: &'a Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() {
            return Some(Self {
                expressions: window.window_expr(),
                input: window.input(),
            });
        }
        let window = node.downcast_ref::<WindowAggExec>()?;
        Some(Self {
            expressions: window.window_expr(),
            input: window.input(),
        })
    }
}

impl Shape {
    /// The shape of a window and its functions; `None` if the operator cannot give the same.
    pub(super) fn of(window: Windows<'_>) -> Result<Option<(Self, Vec<Output>)>> {
        let input = window.input.schema();
        let expressions = window.expressions;
        let Some(first) = expressions.first() else {
            return Ok(None);
        };
        let key = first.partition_by().to_vec();
        let order = first.order_by().iter();
        let order: Vec<_> = order.map(|e| (Arc::clone(&e.expr), e.options)).collect();
        let mut read = key.iter().chain(order.iter().map(|(e, _)| e));
        let Some((time, options)) = order.first() else {
            return Ok(None);
        };
        let types = key.iter().map(|key| key.data_type(&input));
        let types = types.collect::<Result<Vec<_>>>()?;
        let supported = !types.is_empty()
            && types.iter().all(KeyHasher::supports)
            && Order::supports(&time.data_type(&input)?)
            && !read.any(is_volatile);
        if !supported {
            return Ok(None);
        }
        let mut outputs = Vec::with_capacity(expressions.len());
        let mut rules: Vec<(SessionCall, Wanted)> = Vec::new();
        for expression in expressions {
            let function = match call(expression, &input)? {
                None if let Some(count) = count(expression) => count,
                Some(Call::RowNumber) => Function::RowNumber,
                Some(Call::Lag(of)) if &of == time => match time.data_type(&input)? {
                    of @ DataType::Timestamp(_, _) => Function::Lag(of),
                    _ => return Ok(None),
                },
                Some(Call::Session(call)) if over(&call, time, *options) => {
                    session(&call, time, &mut rules)
                }
                _ => return Ok(None),
            };
            let field = expression.field()?;
            outputs.push(Output { field, function });
        }
        let any = |of: fn(&Function) -> bool| outputs.iter().any(|o| of(&o.function));
        let shape = Self {
            row_numbers: any(|function| {
                matches!(function, Function::RowNumber | Function::RowCount)
            }),
            counts: any(|function| matches!(function, Function::Count)),
            lags: any(|function| matches!(function, Function::Lag(_))),
            rules,
            key,
            order,
        };
        Ok(Some((shape, outputs)))
    }

    /// The window over rows of `input`, which is repeatable.
    pub(super) fn over(&self, input: &Arc<dyn ExecutionPlan>) -> Result<Window> {
        let keyed = Keyed::over(input, &self.key, &self.order, &[])?;
        let order = self.order.iter();
        let options: Vec<_> = order.map(|(_, options)| *options).collect();
        let mut next = keyed.keys + options.len();
        let rules = self.rules.iter().map(|(call, wanted)| {
            let first = next;
            if !only_time(call) {
                next += call.evaluated.len();
            }
            Rule {
                bound: Arc::clone(&call.bound),
                wanted: *wanted,
                read: first..next,
            }
        });
        let rules = rules.collect();
        let read = self.rules.iter().map(|(call, _)| call);
        let read = read.filter(|call| !only_time(call));
        let read = read.flat_map(|call| &call.evaluated);
        let order = self.order.iter().map(|(e, _)| e);
        Ok(Window {
            all: columns_of(input, self.key.iter().chain(order).chain(read))?,
            keyed,
            options,
            rules,
            row_numbers: self.row_numbers,
            lags: self.lags,
            counts: self.counts,
        })
    }
}

/// `count(*)` of the rows so far: up to the last one that ties with this one, unless the frame
/// is of rows.
fn count(expression: &Arc<dyn WindowExpr>) -> Option<Function> {
    let window = expression.as_any();
    let window = window.downcast_ref::<PlainAggregateWindowExpr>()?;
    let aggregate = window.get_aggregate_expr();
    let constant = |e: &Arc<dyn PhysicalExpr>| {
        let literal = e.downcast_ref::<Literal>();
        literal.is_some_and(|literal| !literal.value().is_null())
    };
    let counts_rows = aggregate.fun().inner().is::<Count>()
        && !aggregate.is_distinct()
        && aggregate.expressions().iter().all(constant)
        // the plan has no other word of it
        && format!("{window:?}").ends_with("filter: None }");
    let frame = expression.get_window_frame();
    let so_far = frame.start_bound.is_unbounded()
        && frame.end_bound == WindowFrameBound::CurrentRow;
    if !counts_rows || !so_far {
        return None;
    }
    match frame.units {
        WindowFrameUnits::Range => Some(Function::Count),
        WindowFrameUnits::Rows => Some(Function::RowCount),
        WindowFrameUnits::Groups => None,
    }
}

/// Whether a call goes by the time that rows are ordered by.
fn over(call: &SessionCall, time: &Arc<dyn PhysicalExpr>, options: SortOptions) -> bool {
    let read = &call.evaluated[usize::from(call.kind.has_key())..];
    let of_time = read.get(call.bound.columns.time - usize::from(call.kind.has_key()));
    !options.descending && of_time == Some(time) && !read.iter().any(is_volatile)
}

/// Whether a call's rule reads nothing else.
pub(super) fn only_time(call: &SessionCall) -> bool {
    call.evaluated.len() == 1 + usize::from(call.kind.has_key())
}

fn session(
    call: &SessionCall,
    time: &Arc<dyn PhysicalExpr>,
    rules: &mut Vec<(SessionCall, Wanted)>,
) -> Function {
    let known = rules.iter().position(|(other, _)| other.shares_rule(call));
    let rule = known.unwrap_or_else(|| {
        rules.push((call.clone(), Wanted::default()));
        rules.len() - 1
    });
    rules[rule].1.add(call.kind);
    let key = call.evaluated.first().filter(|_| call.kind.has_key());
    Function::Session {
        kind: call.kind,
        rule,
        time_type: call.bound.time_type.clone(),
        read: [time].into_iter().chain(key).cloned().collect(),
    }
}
