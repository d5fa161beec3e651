//! `url_host`.

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
        "The host of a URL as its text: every `android-app://`, `http://` and `https://` is removed, and what stands before the first `/` and `?` is kept. Port, user, fragment and case stay. Null for null.",
        "url_host(url)",
        &[("url", "Text of any layout.")],
        "SELECT url_host('https://shop.example:8080/shoes?utm_source=news') AS value;\n\
         +-------------------+\n\
         | value             |\n\
         +-------------------+\n\
         | shop.example:8080 |\n\
         +-------------------+",
    )
});

/// The function `url_host`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UrlHost {
    signature: Signature,
}

impl Default for UrlHost {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(ARGUMENTS.to_vec());
        Self {
            signature: named.unwrap_or(signature),
        }
    }
}

impl ScalarUDFImpl for UrlHost {
    fn name(&self) -> &str {
        "url_host"
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
            builder.append_option(texts[0].get(row).map(|url| url::host(url)));
            Ok(())
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}
