//! `url_query`.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use crate::functions::docs;
use crate::functions::scalar::TextFunction;

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
pub(in crate::functions) fn function() -> TextFunction {
    TextFunction::new(
        "url_query",
        &["url"],
        |url| Some(super::query(url).into()),
        &DOCUMENTATION,
    )
}
