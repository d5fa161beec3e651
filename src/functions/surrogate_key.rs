//! `surrogate_key`.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use super::arguments::text_type;
use super::{docs, scalar};
use crate::boundary::StableId;

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    docs::scalar(
        "The lower-case hex md5 of its arguments, cast to text and joined with `-`; a \
         null is written as `_dbt_utils_surrogate_key_null_`. Never null.",
        "surrogate_key(value [, …])",
        &[(
            "value",
            "One or more values of any type that can be cast to text.",
        )],
        "SELECT surrogate_key('507f191e810c19729de860ea', 1) AS value;\n\
         +----------------------------------+\n\
         | value                            |\n\
         +----------------------------------+\n\
         | 34e587cce9fc0a90b2d8d1e99efa3427 |\n\
         +----------------------------------+",
    )
});

/// The function `surrogate_key`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SurrogateKey {
    signature: Signature,
}

impl Default for SurrogateKey {
    fn default() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for SurrogateKey {
    fn name(&self) -> &str {
        "surrogate_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        if given.is_empty() {
            return plan_err!(
                "`surrogate_key`: no argument was given; accepted: 1 or more"
            );
        }
        for (position, given) in given.iter().enumerate() {
            if text_type(given).is_none() {
                return plan_err!(
                    "`surrogate_key`: argument {} is of type {given}; accepted: a value \
                     that can be cast to text",
                    position + 1
                );
            }
        }
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut id = StableId::default();
        scalar::map_texts(&args, |texts, row, builder| {
            for text in texts {
                id.part(text.get(row));
            }
            builder.append_value(id.finish());
            Ok(())
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}
