//! Which models can be taken up where they stopped: rows of an input, and numbers over one
//! window by key and time.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Column;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, ident};

use super::window::{Counted, Names, Number, OneWindow, numbers_rows};

/// Why a model cannot be taken up, for those who look for it.
pub(super) type Unfit = &'static str;

/// What a column of the model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A column of the input.
    Input(usize),
    /// The number at that place of [`Shape::numbers`].
    Number(usize),
}

/// A model that can be taken up.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// What the window reads.
    pub(super) input: LogicalPlan,
    /// What each of the table's columns is.
    pub(super) columns: Vec<Source>,
    /// The table's columns that the key consists of.
    pub(super) key: Vec<String>,
    /// The column that rows of a key are ordered by first.
    pub(super) time: String,
    /// How far before a row, in its unit, others may matter to it.
    pub(super) lookback: i64,
    pub(super) numbers: Vec<Number>,
}

impl Shape {
    /// The shape of `plan`, whose rows are committed as `table`; `key` are its output columns.
    pub(super) fn of(
        state: &SessionState,
        plan: &LogicalPlan,
        key: &[Column],
        table: &SchemaRef,
    ) -> Result<Self, Unfit> {
        let chain = Chain::of(plan)?;
        let mut functions = Vec::new();
        let outputs = plan.schema().fields().len();
        let columns = (0..outputs).map(|place| chain.source(plan, place, &mut functions));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let names = Names {
            input: chain.input.schema(),
            columns: &columns,
            table,
        };
        let window = OneWindow::of(state, &functions, &names)?;
        let key: Vec<_> = key.iter().map(|c| c.name.clone()).collect();
        let by = |name: &String| window.partition.contains(&ident(name.clone()));
        if window.partition.len() != key.len() || !key.iter().all(by) {
            return Err("its window is by another key");
        }
        let is_float = |name: &String| {
            let field = table.field_with_name(name);
            field.is_ok_and(|field| field.data_type().is_floating())
        };
        if key.iter().any(is_float) {
            return Err("numbers that are equal and not the same may be two keys");
        }
        Ok(Self {
            input: chain.input.clone(),
            columns,
            key,
            time: window.time,
            lookback: window.lookback,
            numbers: window.numbers,
        })
    }

    /// The places of the columns that come from the input.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let columns = self.columns.iter().enumerate();
        columns.filter_map(|(place, source)| match source {
            Source::Input(input) => Some((place, *input)),
            Source::Number(_) => None,
        })
    }

    /// The places of the columns that its numbers are made of.
    pub(super) fn told_by(&self, table: &SchemaRef) -> Vec<usize> {
        let mut named: BTreeSet<String> = self.key.iter().cloned().collect();
        named.insert(self.time.clone());
        for number in &self.numbers {
            for expr in std::iter::once(&number.function).chain(&number.key) {
                named.extend(expr.column_refs().iter().map(|c| c.name.clone()));
            }
        }
        let inputs = self.inputs().map(|(place, _)| place);
        let named = inputs.filter(|place| named.contains(table.field(*place).name()));
        named.collect()
    }

    /// The places of the numbers.
    pub(super) fn number_places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let columns = self.columns.iter().enumerate();
        columns.filter_map(|(place, source)| match source {
            Source::Number(number) => Some((place, *number)),
            Source::Input(_) => None,
        })
    }

    /// The column of the table that counts this.
    pub(super) fn column_of(&self, counted: Counted) -> Option<usize> {
        self.columns.iter().position(|source| match source {
            Source::Number(number) => self.numbers[*number].counted == counted,
            Source::Input(_) => false,
        })
    }
}

/// The nodes from the output down to the lowest window by the key.
struct Chain<'a> {
    input: &'a LogicalPlan,
}

impl<'a> Chain<'a> {
    fn of(plan: &'a LogicalPlan) -> Result<Self, Unfit> {
        let (mut node, mut input) = (plan, None);
        loop {
            node = match node {
                LogicalPlan::Projection(projection) => projection.input.as_ref(),
                LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
                LogicalPlan::Window(window)
                    if window.window_expr.iter().all(numbers_rows) =>
                {
                    input = Some(window.input.as_ref());
                    window.input.as_ref()
                }
                _ => break,
            };
            // numbers below a selection of rows are that selection's
            if input.is_some() && !matches!(node, LogicalPlan::Window(_)) {
                break;
            }
        }
        let input = input.ok_or("it has no window over its rows alone")?;
        Ok(Self { input })
    }

    /// What the column at `place` of `plan` is.
    fn source(
        &self,
        plan: &LogicalPlan,
        place: usize,
        functions: &mut Vec<WindowFunction>,
    ) -> Result<Source, Unfit> {
        if std::ptr::eq(plan, self.input) {
            return Ok(Source::Input(place));
        }
        match plan {
            LogicalPlan::SubqueryAlias(alias) => {
                self.source(&alias.input, place, functions)
            }
            LogicalPlan::Projection(projection) => {
                let expr = projection.expr[place].clone().unalias_nested().data;
                let Expr::Column(column) = expr else {
                    return Err("it computes with its numbers or columns");
                };
                let schema = projection.input.schema();
                let place = schema.index_of_column(&column);
                let place = place.map_err(|_| "a column of it is not found")?;
                self.source(&projection.input, place, functions)
            }
            LogicalPlan::Window(window) => {
                let inputs = window.input.schema().fields().len();
                if place < inputs {
                    return self.source(&window.input, place, functions);
                }
                let Expr::WindowFunction(function) =
                    window.window_expr[place - inputs].clone().unalias()
                else {
                    return Err("a window of it is no function");
                };
                functions.push(*function);
                Ok(Source::Number(functions.len() - 1))
            }
            _ => Err("it does more than to number rows"),
        }
    }
}
