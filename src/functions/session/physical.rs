//! A planned call of one of the window functions, taken apart for the operator.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::windows::WindowUDFExpr;

use super::window::{Kind, SessionizeFunction};
use crate::functions::arguments::{self, BoundArguments};

/// One call: the function, its arguments parsed, and the expressions to evaluate.
#[derive(Debug, Clone)]
pub(crate) struct SessionCall {
    pub(crate) kind: Kind,
    pub(crate) bound: Arc<BoundArguments>,
    /// The key, if the function takes one, then the columns that `bound` points to.
    pub(crate) evaluated: Vec<Arc<dyn PhysicalExpr>>,
    /// Every argument after the key.
    rule: Vec<Arc<dyn PhysicalExpr>>,
}

impl SessionCall {
    /// The call behind `expression` over rows of `input`; `None` if it calls another function.
    pub(crate) fn of(expression: &WindowUDFExpr, input: &Schema) -> Result<Option<Self>> {
        let function = expression.fun().inner();
        let Some(function) = function.downcast_ref::<SessionizeFunction>() else {
            return Ok(None);
        };
        Self::bind(function.kind(), expression.args(), input).map(Some)
    }

    /// The call of `kind` with these arguments over rows of `input`.
    pub(crate) fn bind(
        kind: Kind,
        arguments: &[Arc<dyn PhysicalExpr>],
        input: &Schema,
    ) -> Result<Self> {
        let fields = arguments.iter().map(|a| a.return_field(input));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let has_key = kind.has_key();
        let bound = BoundArguments::try_new(kind.name(), has_key, arguments, &fields)?;
        Ok(Self {
            kind,
            bound: Arc::new(bound),
            evaluated: arguments::evaluated(has_key, arguments),
            rule: arguments
                .iter()
                .skip(usize::from(has_key))
                .cloned()
                .collect(),
        })
    }

    /// Whether both calls part a key's events alike, so that one state serves both.
    pub(crate) fn shares_rule(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}
