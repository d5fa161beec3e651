//! `registrable_domain`.

use std::sync::LazyLock;

use ::url::Host;
use datafusion::logical_expr::Documentation;

use super::host_of_authority;
use crate::functions::docs;
use crate::functions::scalar::TextFunction;

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    docs::scalar(
        "The part of a host that somebody registered: the public suffix and one label \
         before it, by the public suffix list with its private part (`github.io`). Lower \
         case, and international names in their `xn--` form, so that both spellings are \
         one. A user, a port and a dot at the end are taken off. Null for null, for an IP \
         address, for a public suffix itself and for what is no host; a suffix that the \
         list does not know is one label.",
        "registrable_domain(host)",
        &[(
            "host",
            "Text of any layout, such as the result of `url_host`.",
        )],
        "SELECT registrable_domain('News.Shop.co.uk:8080') AS value;\n\
         +------------+\n\
         | value      |\n\
         +------------+\n\
         | shop.co.uk |\n\
         +------------+",
    )
});

/// The function `registrable_domain`.
pub(in crate::functions) fn function() -> TextFunction {
    let one = |host: &str| registrable_domain(host).map(Into::into);
    TextFunction::new("registrable_domain", &["host"], one, &DOCUMENTATION)
}

/// The registrable domain of a host that may have a user, a port and a dot at its end.
pub(in crate::functions) fn registrable_domain(host: &str) -> Option<String> {
    // percent-encoding is for URLs; a host has none
    if host.contains('%') {
        return None;
    }
    let Host::Domain(name) = host_of_authority(host)? else {
        return None;
    };
    psl::domain_str(&name).map(str::to_owned)
}
