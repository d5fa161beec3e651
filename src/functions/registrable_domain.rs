//! `registrable_domain`.

use std::sync::LazyLock;

use ::url::Host;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use super::{docs, scalar};

const ARGUMENTS: [&str; 1] = ["host"];

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
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RegistrableDomain {
    signature: Signature,
}

impl Default for RegistrableDomain {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(ARGUMENTS.to_vec());
        Self {
            signature: named.unwrap_or(signature),
        }
    }
}

impl ScalarUDFImpl for RegistrableDomain {
    fn name(&self) -> &str {
        "registrable_domain"
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
            builder.append_option(texts[0].get(row).and_then(registrable_domain));
            Ok(())
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

/// The registrable domain of a host that may have a user, a port and a dot at its end.
pub(super) fn registrable_domain(host: &str) -> Option<String> {
    let host = canonical(host)?;
    psl::domain_str(&host).map(str::to_owned)
}

/// The host in lower case and in ASCII, without user, port and last dot; `None` if it is
/// an address or no host at all.
pub(super) fn canonical(host: &str) -> Option<String> {
    let (_, host) = host.rsplit_once('@').unwrap_or(("", host));
    let host = match host.split_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) => return None,
        None => host,
    };
    // percent-encoding is for URLs; a host has none
    if host.contains('%') {
        return None;
    }
    let Ok(Host::Domain(mut name)) = Host::parse(host) else {
        return None;
    };
    if name.ends_with('.') {
        name.pop();
    }
    let is_host = name.split('.').all(|label| !label.is_empty());
    is_host.then_some(name)
}
