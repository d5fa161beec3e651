//! `url_query`.

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
        "The query of a URL without its `?`, up to the fragment; '' if it has none. Null for null.",
        "url_query(url)",
        &[("url", "Text of any layout.")],
        "SELECT url_query('https://shop.example/shoes?utm_source=news#top') AS value;\n\
         +-----------------+\n\
         | value           |\n\
         +-----------------+\n\
         | utm_source=news |\n\
         +-----------------+",
    )
});

/// The function `url_query`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UrlQuery {
    signature: Signature,
}

impl Default for UrlQuery {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(ARGUMENTS.to_vec());
        Self {
            signature: named.unwrap_or(signature),
        }
    }
}

impl ScalarUDFImpl for UrlQuery {
    fn name(&self) -> &str {
        "url_query"
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
            builder.append_option(texts[0].get(row).map(url::query));
            Ok(())
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}
