//! `url_host`.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use crate::functions::docs;
use crate::functions::scalar::TextFunction;

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
pub(in crate::functions) fn function() -> TextFunction {
    TextFunction::new(
        "url_host",
        &["url"],
        |url| Some(super::host(url)),
        &DOCUMENTATION,
    )
}
