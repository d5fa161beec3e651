//! `url_path`.

use std::sync::LazyLock;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use super::{docs, scalar, url};

const ARGUMENTS: [&str; 1] = ["url"];

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    docs::scalar(
        "The path of a URL with its leading `/`, without query and fragment; '' if it has none. Null for null.",
        "url_path(url)",
        &[("url", "Text of any layout.")],
        "SELECT url_path('https://shop.example/shoes?utm_source=news#top') AS value;\n\
         +--------+\n\
         | value  |\n\
         +--------+\n\
         | /shoes |\n\
         +--------+",
    )
});

/// The function `url_path`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UrlPath {
    signature: Signature,
}

impl Default for UrlPath {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(ARGUMENTS.to_vec());
        Self {
            signature: named.unwrap_or(signature),
        }
    }
}

impl ScalarUDFImpl for UrlPath {
    fn name(&self) -> &str {
        "url_path"
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
        scalar::map_texts(&args, |texts, row, builder| {
            builder.append_option(texts[0].get(row).map(url::path));
            Ok(())
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}
