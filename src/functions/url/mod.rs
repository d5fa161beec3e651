//! The parts of a URL, as text: nothing is decoded, and nothing that is no URL is an
//! error. The functions over them, one file each.

mod registrable_domain;
mod url_host;
mod url_parameter;
mod url_path;
mod url_query;

use std::borrow::Cow;

use ::url::Host;
use datafusion::logical_expr::ScalarUDF;

pub(super) use registrable_domain::registrable_domain;

/// The functions over URLs and their parts.
pub(super) fn all() -> [ScalarUDF; 5] {
    [
        url_host::function().into(),
        url_path::function().into(),
        url_query::function().into(),
        url_parameter::UrlParameter::default().into(),
        registrable_domain::function().into(),
    ]
}

/// What stands before the first `/` and the first `?` once every `android-app://`,
/// `http://` and `https://` is removed wherever it stands, in this order.
pub(super) fn host(url: &str) -> Cow<'_, str> {
    const SCHEMES: [&str; 3] = ["android-app://", "http://", "https://"];
    // the usual case, one in front or none, needs no copy
    let mut in_front = SCHEMES.iter().filter_map(|scheme| url.strip_prefix(scheme));
    let rest = in_front.next().unwrap_or(url);
    if !has_scheme(rest) {
        return Cow::Borrowed(&rest[..end_of_host(rest)]);
    }
    let remove = |text: String, scheme: &&str| text.replace(scheme, "");
    let mut text = SCHEMES.iter().fold(url.to_owned(), remove);
    text.truncate(end_of_host(&text));
    Cow::Owned(text)
}

fn end_of_host(text: &str) -> usize {
    text.find(['/', '?']).unwrap_or(text.len())
}

fn has_scheme(text: &str) -> bool {
    let mut colons = text.match_indices(':');
    colons.any(|(at, _)| text[at + 1..].starts_with("//"))
}

/// The path with its leading `/`, '' if there is none; without query and fragment.
pub(super) fn path(url: &str) -> &str {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    let after_scheme = match url.split_once("://") {
        Some((_, rest)) => rest,
        None => url.strip_prefix("//").unwrap_or(url),
    };
    after_scheme.find('/').map_or("", |at| &after_scheme[at..])
}

/// What stands between the first `?` and the fragment, '' if there is none.
pub(super) fn query(url: &str) -> &str {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    url.split_once('?').map_or("", |(_, query)| query)
}

/// The text after the first `name=` up to the next `name=`, and of that up to `&`;
/// `None` if empty. `pattern` is the name and its `=`.
pub(super) fn parameter<'a>(url: &'a str, pattern: &str) -> Option<&'a str> {
    let (_, rest) = url.split_once(pattern)?;
    let value = rest.split_once(pattern).map_or(rest, |(value, _)| value);
    let value = value.split_once('&').map_or(value, |(value, _)| value);
    (!value.is_empty()).then_some(value)
}

/// The longest name that a host can have.
pub(super) const LONGEST_HOST: usize = 253;

/// The host in what stands between `//` and the path: without user and port, in lower case
/// and in ASCII, without a dot at its end. `None` if it is no host.
pub(super) fn host_of_authority(authority: &str) -> Option<Host> {
    let (_, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
    let is_port = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        _ => authority,
    };
    match Host::parse(host).ok()? {
        Host::Domain(mut name) => {
            if name.ends_with('.') {
                name.pop();
            }
            let is_host = name.split('.').all(|label| !label.is_empty());
            (is_host && name.len() <= LONGEST_HOST).then_some(Host::Domain(name))
        }
        address => Some(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (url, expected) in [
            ("https://shop.example/a?b", "shop.example"),
            ("http://u:p@Shop.example.:80?x/y", "u:p@Shop.example.:80"),
            ("android-app://com.app/x", "com.app"),
            ("HTTPS://shop.example/", "HTTPS:"),
            ("https://https://a.example/x", "a.example"),
            ("a.example?u=http://b.example", "a.example"),
            ("a.http://b.example/c", "a.b.example"),
            // removed in order: what removing https:// leaves is not looked at again
            ("hthttps://tp://a.example/", "http:"),
            ("hthttp://tp://a.example/", "http:"),
            ("/path", ""),
            ("a.example#frag/x", "a.example#frag"),
            ("", ""),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }

    #[test]
    fn paths() {
        for (url, expected) in [
            ("https://a.example/b/c?d=/e#f", "/b/c"),
            ("https://a.example", ""),
            ("https://a.example?x=/y", ""),
            ("//a.example/b", "/b"),
            ("/b", "/b"),
            ("a.example/b", "/b"),
            ("https://a.example/#/route", "/"),
            ("mailto:x", ""),
            ("", ""),
        ] {
            assert_eq!(path(url), expected, "{url}");
        }
    }

    #[test]
    fn queries() {
        for (url, expected) in [
            ("https://a.example/b?c=d&e#f", "c=d&e"),
            ("https://a.example/b?c?d", "c?d"),
            ("https://a.example/b#c?d", ""),
            ("https://a.example/b?", ""),
            ("", ""),
        ] {
            assert_eq!(query(url), expected, "{url}");
        }
    }

    #[test]
    fn parameters() {
        for (url, expected) in [
            ("?gclid=a&b", Some("a")),
            ("?xgclid=a%20b", Some("a%20b")),
            ("?gclid=agclid=b", Some("a")),
            ("?gclid=&gclid=b", None),
            ("?gclid=gclid=b", None),
            ("?GCLID=a", None),
            ("?gclid=a#f", Some("a#f")),
            ("", None),
        ] {
            assert_eq!(parameter(url, "gclid="), expected, "{url}");
        }
    }
}
