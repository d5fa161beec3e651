//! `url_parameter`.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::functions::{docs, scalar};

const ARGUMENTS: [&str; 2] = ["url", "name"];

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    docs::scalar(
        "The text after the first `name=` anywhere in the URL, up to the next `name=` and the next `&`. Not decoded, case-sensitive; null if empty or absent.",
        "url_parameter(url, name)",
        &[
            ("url", "Text of any layout."),
            ("name", "The name of the parameter, without `=`."),
        ],
        "SELECT url_parameter('https://shop.example/?gclid=a%20b&x=1', 'gclid') AS value;\n\
         +-------+\n\
         | value |\n\
         +-------+\n\
         | a%20b |\n\
         +-------+",
    )
});

/// The function `url_parameter`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UrlParameter {
    signature: Signature,
}

impl Default for UrlParameter {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(ARGUMENTS.to_vec());
        Self {
            signature: named.unwrap_or(signature),
        }
    }
}

impl ScalarUDFImpl for UrlParameter {
    fn name(&self) -> &str {
        "url_parameter"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let coerced = scalar::coerce_texts(self.name(), &ARGUMENTS, given);
        Ok(coerced.unwrap_or_else(|_| given.to_vec()))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        scalar::coerce_texts(self.name(), &ARGUMENTS, given)?;
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut pattern = String::new();
        scalar::map_texts(&args, |texts, row, builder| {
            let value = match (texts[0].get(row), texts[1].get(row)) {
                (Some(url), Some(name)) => {
                    if pattern.strip_suffix('=') != Some(name) {
                        pattern.clear();
                        pattern.push_str(name);
                        pattern.push('=');
                    }
                    super::parameter(url, &pattern)
                }
                _ => None,
            };
            builder.append_option(value);
            Ok(())
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}
