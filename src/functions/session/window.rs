//! What the seven window functions share: one implementation, told apart by their kind.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDFImpl,
};
use datafusion::physical_plan::PhysicalExpr;

use super::evaluator::SessionizeEvaluator;
use crate::functions::arguments::{self, BoundArguments};

/// Which of the window functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    SessionNumber,
    SessionId,
    SessionStart,
    SessionEnd,
    SessionEventNumber,
    IsSessionStart,
    SessionStartReason,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::SessionNumber,
        Self::SessionId,
        Self::SessionStart,
        Self::SessionEnd,
        Self::SessionEventNumber,
        Self::IsSessionStart,
        Self::SessionStartReason,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SessionNumber => "session_number",
            Self::SessionId => "session_id",
            Self::SessionStart => "session_start",
            Self::SessionEnd => "session_end",
            Self::SessionEventNumber => "session_event_number",
            Self::IsSessionStart => "is_session_start",
            Self::SessionStartReason => "session_start_reason",
        }
    }

    /// Whether the key is the first argument.
    pub(crate) fn has_key(self) -> bool {
        self == Self::SessionId
    }

    /// Which of them `function` is, if it is one.
    #[cfg(feature = "runner")]
    pub(crate) fn of(function: &datafusion::logical_expr::WindowUDF) -> Option<Self> {
        let function = function.inner().downcast_ref::<SessionizeFunction>()?;
        Some(function.kind)
    }

    /// Whether a row's value depends on no later row.
    pub(crate) fn is_causal(self) -> bool {
        self != Self::SessionEnd
    }

    fn return_type(self, time_type: &DataType) -> DataType {
        match self {
            Self::SessionNumber | Self::SessionEventNumber => DataType::Int64,
            Self::SessionId | Self::SessionStartReason => DataType::Utf8,
            Self::SessionStart | Self::SessionEnd => time_type.clone(),
            Self::IsSessionStart => DataType::Boolean,
        }
    }
}

/// The arguments of the call that was planned last, so that they are parsed once a query
/// and not once a partition. The expressions are held, so their addresses stay theirs.
type Bound = Option<(Vec<Arc<dyn PhysicalExpr>>, Arc<BoundArguments>)>;

/// A window function of this crate.
#[derive(Debug)]
pub(crate) struct SessionizeFunction {
    kind: Kind,
    signature: Signature,
    documentation: &'static Documentation,
    bound: Mutex<Bound>,
}

impl SessionizeFunction {
    pub(crate) fn new(kind: Kind, documentation: &'static Documentation) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature
            .clone()
            .with_parameter_names(arguments::names(kind.has_key()));
        Self {
            kind,
            signature: named.unwrap_or(signature),
            documentation,
            bound: Mutex::new(None),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    fn bound(&self, args: &PartitionEvaluatorArgs<'_>) -> Result<Arc<BoundArguments>> {
        let expressions = args.input_exprs();
        let mut cached = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, bound)) = cached.as_ref()
            && of.len() == expressions.len()
            && of.iter().zip(expressions).all(|(a, b)| Arc::ptr_eq(a, b))
        {
            return Ok(Arc::clone(bound));
        }
        let bound = Arc::new(BoundArguments::try_new(
            self.kind.name(),
            self.kind.has_key(),
            expressions,
            args.input_fields(),
        )?);
        *cached = Some((expressions.to_vec(), Arc::clone(&bound)));
        Ok(bound)
    }
}

impl PartialEq for SessionizeFunction {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for SessionizeFunction {}

impl Hash for SessionizeFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}

impl WindowUDFImpl for SessionizeFunction {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Never fails: what cannot be accepted is refused by `field`, whose error reaches the
    /// user without a frame of candidate signatures.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let coerced = arguments::coerce(self.kind.name(), self.kind.has_key(), given);
        Ok(coerced.unwrap_or_else(|_| given.to_vec()))
    }

    /// Literals are parsed at planning, so only columns are evaluated.
    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        arguments::evaluated(self.kind.has_key(), args.input_exprs())
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        if args.ignore_nulls() {
            return plan_err!(
                "`{}`: IGNORE NULLS is not accepted; rows with a null timestamp never \
                 count",
                self.kind.name()
            );
        }
        let bound = self.bound(&args)?;
        Ok(Box::new(SessionizeEvaluator::new(self.kind, bound)))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let fields = args.input_fields();
        let types: Vec<_> = fields.iter().map(|f| f.data_type().clone()).collect();
        let types = arguments::coerce(self.kind.name(), self.kind.has_key(), &types)?;
        let time = usize::from(self.kind.has_key());
        let return_type = self.kind.return_type(&types[time]);
        let nullable =
            fields[time].is_nullable() || self.kind == Kind::SessionStartReason;
        Ok(Arc::new(Field::new(args.name(), return_type, nullable)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(self.documentation)
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        if self.kind.is_causal() {
            LimitEffect::None
        } else {
            LimitEffect::Unknown
        }
    }
}
