//! The one window by which a model numbers its rows, in terms of its table's columns.

use datafusion::arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{Expr, WindowFunctionDefinition, ident};

use super::shape::{Source, Unfit};
use crate::functions::{Kind, SessionCall};
use crate::runner::materialization::incremental::lineage::covers;

/// What counts within a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// `row_number()`.
    Rows,
    /// `session_number(…)`.
    Sessions,
    /// `session_id(…)`, which is made of the session's number.
    SessionIds,
}

/// A window function over the key, in terms of the table's columns.
#[derive(Debug, Clone)]
pub(super) struct Number {
    pub(super) counted: Counted,
    /// It, with `session_number` in place of `session_id`.
    pub(super) function: Expr,
    /// What `session_id` calls the key.
    pub(super) key: Option<Expr>,
}

/// The window that all functions of a model are over, in terms of the table's columns.
pub(super) struct OneWindow {
    pub(super) partition: Vec<Expr>,
    pub(super) time: String,
    pub(super) lookback: i64,
    pub(super) numbers: Vec<Number>,
}

impl OneWindow {
    pub(super) fn of(
        state: &SessionState,
        functions: &[WindowFunction],
        names: &Names<'_>,
    ) -> Result<Self, Unfit> {
        let mut numbers = Vec::new();
        let mut shared: Option<(Vec<Expr>, Vec<Sort>)> = None;
        let (mut sessions, mut lookback, mut first) = (None, 0, None);
        for function in functions {
            let (number, params) = number(function, names)?;
            let window = (params.partition_by.clone(), params.order_by.clone());
            if shared.get_or_insert_with(|| window.clone()) != &window {
                return Err("its windows are not all one");
            }
            let time = time_of(&params, names.table)?;
            if number.counted != Counted::Rows {
                // one count of a key's sessions is kept
                let counted = sessions.get_or_insert_with(|| number.function.clone());
                if counted != &number.function {
                    return Err("it counts sessions in more than one way");
                }
                if !covers(&params.partition_by, number.key.as_slice()) {
                    return Err("sessions of one key have ids of several");
                }
                lookback = apart(state, function, names.input, &time)?;
            }
            first = Some(time.0);
            numbers.push(number);
        }
        let (Some((partition, _)), Some(time)) = (shared, first) else {
            return Err("it has no window");
        };
        Ok(Self {
            partition,
            time,
            lookback,
            numbers,
        })
    }
}

/// Whether a window expression is one of the numbers that can be taken up.
pub(super) fn numbers_rows(expr: &Expr) -> bool {
    match expr.clone().unalias() {
        Expr::WindowFunction(function) => counted(&function).is_some(),
        _ => false,
    }
}

fn counted(function: &WindowFunction) -> Option<Counted> {
    let WindowFunctionDefinition::WindowUDF(udf) = &function.fun else {
        return None;
    };
    let params = &function.params;
    if params.filter.is_some() || params.distinct || params.null_treatment.is_some() {
        return None;
    }
    match Kind::of(udf) {
        Some(Kind::SessionNumber) => Some(Counted::Sessions),
        Some(Kind::SessionId) => Some(Counted::SessionIds),
        None if udf.name() == "row_number" => Some(Counted::Rows),
        _ => None,
    }
}

/// The input's columns under the names that the table has for them.
pub(super) struct Names<'a> {
    pub(super) input: &'a DFSchema,
    pub(super) columns: &'a [Source],
    pub(super) table: &'a SchemaRef,
}

impl Names<'_> {
    /// `expr`, over the input, in terms of the table's columns.
    fn of(&self, expr: &Expr) -> Result<Expr, Unfit> {
        let mut unfit = None;
        let renamed = expr.clone().transform_up(|e| {
            let Expr::Column(column) = &e else {
                return Ok(Transformed::no(e));
            };
            match self.column(column) {
                Ok(name) => Ok(Transformed::yes(ident(name))),
                Err(reason) => {
                    unfit = Some(reason);
                    Ok(Transformed::no(e))
                }
            }
        });
        let renamed = renamed
            .data()
            .map_err(|_| "its window cannot be rewritten")?;
        match unfit {
            Some(reason) => Err(reason),
            None => Ok(renamed),
        }
    }

    fn column(&self, column: &Column) -> Result<String, Unfit> {
        let place = self.input.index_of_column(column);
        let place = place.map_err(|_| "a column of its window is not found")?;
        let found = self.columns.iter().position(|c| *c == Source::Input(place));
        let found = found.ok_or("its window needs a column that it does not keep")?;
        let (from, to) = (self.input.field(place), self.table.field(found));
        match is_kept(from, to) {
            true => Ok(to.name().clone()),
            false => Err("a column of its window is committed as another type"),
        }
    }
}

/// Whether no value is another once it is committed.
fn is_kept(from: &Field, to: &Field) -> bool {
    match (from.data_type(), to.data_type()) {
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => from <= to,
        (from, to) => from == to || (from.is_string() && to.is_string()),
    }
}

/// The number that `function` is, and its window, in terms of the table's columns.
fn number(
    function: &WindowFunction,
    names: &Names<'_>,
) -> Result<(Number, WindowFunctionParams), Unfit> {
    let counted = counted(function).ok_or("a number of it cannot be taken up")?;
    let mut renamed = function.clone();
    let all = |exprs: &[Expr]| {
        let renamed = exprs.iter().map(|e| names.of(e));
        renamed.collect::<Result<Vec<_>, Unfit>>()
    };
    let params = &mut renamed.params;
    params.args = all(&params.args)?;
    params.partition_by = all(&params.partition_by)?;
    for sort in &mut params.order_by {
        sort.expr = names.of(&sort.expr)?;
    }
    let params = params.clone();
    let mut key = None;
    if counted == Counted::SessionIds {
        key = Some(renamed.params.args.remove(0));
        let number = crate::functions::expr_fn::session_number(Vec::new());
        let Expr::WindowFunction(number) = number else {
            return Err("a number of it cannot be taken up");
        };
        renamed.fun = number.fun;
    }
    let number = Number {
        counted,
        function: Expr::from(renamed),
        key,
    };
    Ok((number, params))
}

/// The timestamp that a window orders rows by first.
fn time_of(
    params: &WindowFunctionParams,
    table: &SchemaRef,
) -> Result<(String, TimeUnit), Unfit> {
    let first = params.order_by.first().ok_or("its window has no order")?;
    let (Expr::Column(column), true) = (&first.expr, first.asc) else {
        return Err("its window is not ordered by a column, oldest first");
    };
    match table.field_with_name(&column.name).map(Field::data_type) {
        Ok(DataType::Timestamp(unit, _)) => Ok((column.name.clone(), *unit)),
        _ => Err("its window is not ordered by a timestamp first"),
    }
}

/// How far apart, in units of the order's time, two events are surely in two sessions.
fn apart(
    state: &SessionState,
    function: &WindowFunction,
    input: &DFSchema,
    (_, unit): &(String, TimeUnit),
) -> Result<i64, Unfit> {
    let WindowFunctionDefinition::WindowUDF(udf) = &function.fun else {
        return Err("a number of it cannot be taken up");
    };
    let kind = Kind::of(udf).ok_or("a number of it cannot be taken up")?;
    let params = &function.params;
    let time = usize::from(kind.has_key());
    let ordered = params.order_by.first().map(|sort| &sort.expr);
    if params.args.get(time) != ordered {
        return Err("its sessions are not by the time that rows are ordered by");
    }
    let bind = || -> Result<SessionCall, DataFusionError> {
        let arguments = params.args.iter();
        let arguments = arguments.map(|e| state.create_physical_expr(e.clone(), input));
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
        SessionCall::bind(kind, &arguments, input.as_arrow())
    };
    let call = bind().map_err(|_| "the arguments of its sessions are not plain")?;
    let nanos = call.bound.rules.surely_apart();
    let nanos = nanos.ok_or("its sessions end by more than inactivity")?;
    let per_tick = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    i64::try_from(nanos / per_tick + 1).map_err(|_| "its gap is too long")
}
