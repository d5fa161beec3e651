//! `url_path`.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use crate::functions::docs;
use crate::functions::scalar::TextFunction;

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
pub(in crate::functions) fn function() -> TextFunction {
    TextFunction::new(
        "url_path",
        &["url"],
        |url| Some(super::path(url).into()),
        &DOCUMENTATION,
    )
}
