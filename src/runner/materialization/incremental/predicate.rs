//! SQL functions that ask what a run has found out. They are built per run and never
//! registered: no user can call them.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// What can be asked of rows.
pub(super) trait Predicate: Debug + Send + Sync + 'static {
    /// What plans call it.
    const NAME: &'static str;

    /// Whether it holds, for each of so many rows of some columns.
    fn holds(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<BooleanArray>;
}

/// Whether `predicate` holds for `arguments`.
pub(super) fn holds<P: Predicate>(predicate: &Arc<P>, arguments: Vec<Expr>) -> Expr {
    let function = Holds {
        predicate: Arc::clone(predicate),
        signature: Signature::any(arguments.len(), Volatility::Immutable),
    };
    ScalarUDF::new_from_impl(function).call(arguments)
}

#[derive(Debug)]
struct Holds<P> {
    predicate: Arc<P>,
    signature: Signature,
}

impl<P> PartialEq for Holds<P> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.predicate, &other.predicate)
    }
}

impl<P> Eq for Holds<P> {}

impl<P> Hash for Holds<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.predicate).hash(state);
    }
}

impl<P: Predicate> ScalarUDFImpl for Holds<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let found = self.predicate.holds(columns, args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}
