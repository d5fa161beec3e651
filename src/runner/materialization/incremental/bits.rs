//! Floating-point numbers by their bits: `-0.0` and `0.0` are equal in SQL, and not the same.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use datafusion::arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// The bits of numbers; other columns as they are.
pub(super) fn as_bits(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float16 => {
            let numbers = column.as_primitive::<Float16Type>();
            Arc::new(numbers.unary::<_, Int16Type>(|n| n.to_bits().cast_signed()))
        }
        DataType::Float32 => {
            let numbers = column.as_primitive::<Float32Type>();
            Arc::new(numbers.unary::<_, Int32Type>(|n| n.to_bits().cast_signed()))
        }
        DataType::Float64 => {
            let numbers = column.as_primitive::<Float64Type>();
            Arc::new(numbers.unary::<_, Int64Type>(|n| n.to_bits().cast_signed()))
        }
        _ => Arc::clone(column),
    }
}

/// Columns that say which values of `columns` are null, to be hashed with them: a null is hashed
/// as nothing, so that without these `('a', null)` would be `(null, 'a')`.
pub(super) fn null_masks(columns: &[ArrayRef], rows: usize) -> Vec<ArrayRef> {
    if columns.len() < 2 {
        return Vec::new();
    }
    let masks = columns.chunks(64).map(|some| {
        let mut masks = vec![0_u64; rows];
        for (bit, column) in some.iter().enumerate() {
            if let Some(nulls) = column.logical_nulls() {
                for (mask, valid) in masks.iter_mut().zip(nulls.iter()) {
                    *mask |= u64::from(!valid) << bit;
                }
            }
        }
        Arc::new(UInt64Array::from(masks)) as ArrayRef
    });
    masks.collect()
}

/// A column of floating-point numbers by its bits, and back again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits(DataType);

impl Bits {
    /// `None` if values of that type tell all of themselves.
    pub(super) fn of(column: &DataType) -> Option<Self> {
        let sizes = matches!(column, DataType::Float32 | DataType::Float64);
        sizes.then(|| Self(column.clone()))
    }

    /// The bits of `number`.
    pub(super) fn of_number(&self, number: Expr) -> Expr {
        let bits = match self.0 {
            DataType::Float32 => DataType::Int32,
            _ => DataType::Int64,
        };
        reread(number, bits)
    }

    /// The number of these bits.
    pub(super) fn number(&self, bits: Expr) -> Expr {
        reread(bits, self.0.clone())
    }
}

fn reread(column: Expr, to: DataType) -> Expr {
    let function = Reread {
        to,
        signature: Signature::any(1, Volatility::Immutable),
    };
    ScalarUDF::new_from_impl(function).call(vec![column])
}

/// The SQL function. It is built per run and never registered: no user can call it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Reread {
    to: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Reread {
    fn name(&self) -> &'static str {
        "reread"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(column) = columns.first() else {
            return internal_err!("`reread` takes one argument");
        };
        let reread: ArrayRef = match (column.data_type(), &self.to) {
            (DataType::Int32, DataType::Float32) => {
                let bits = column.as_primitive::<Int32Type>();
                Arc::new(
                    bits.unary::<_, Float32Type>(|b| f32::from_bits(b.cast_unsigned())),
                )
            }
            (DataType::Int64, DataType::Float64) => {
                let bits = column.as_primitive::<Int64Type>();
                Arc::new(
                    bits.unary::<_, Float64Type>(|b| f64::from_bits(b.cast_unsigned())),
                )
            }
            _ => as_bits(column),
        };
        Ok(ColumnarValue::Array(reread))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, Float64Array};

    use super::*;

    #[test]
    fn zeros_are_told_apart() {
        let zeros: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(0.0), Some(-0.0), None]));
        let bits = as_bits(&zeros);
        let bits = bits.as_primitive::<Int64Type>();
        assert_eq!(bits.value(0), 0);
        assert_eq!(bits.value(1), i64::MIN);
        assert!(bits.is_null(2));
    }
}
