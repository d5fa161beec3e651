//! Hosts: of a URL, and the keys under which a rule may name one.

use ::url::Host;

use crate::functions::url::{LONGEST_HOST, host_of_authority, registrable_domain};

/// The host of a page, in lower case and without user, port and a leading `www.`; `None`
/// where the text names none. Of an app (`android-app://…`), its package.
pub(super) fn host_of(url: &str) -> Option<String> {
    let url = url.trim();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => {
            (Some(scheme.to_ascii_lowercase()), rest)
        }
        _ => (None, url.strip_prefix("//").unwrap_or(url)),
    };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = &rest[..end];
    match scheme.as_deref() {
        Some("http" | "https") => parsed(authority),
        Some("android-app" | "ios-app") => {
            let package = authority.to_lowercase();
            (!package.is_empty()).then_some(package)
        }
        Some(_) => None,
        // a word alone is no host
        None => parsed(authority).filter(|host| host.contains('.')),
    }
}

fn is_scheme(text: &str) -> bool {
    let is_of_scheme =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    text.bytes().all(is_of_scheme)
}

fn parsed(authority: &str) -> Option<String> {
    let host = host_of_authority(authority)?.to_string();
    Some(without_www(&host).to_owned())
}

/// The name without a leading `www.`.
pub(super) fn without_www(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

/// What a rule can name `host` by, apart from `*`: itself, `*.` and a domain above it, and
/// either with `*` for its public suffix.
pub(super) fn keys(host: &str) -> Vec<String> {
    let mut keys = vec![host.to_owned()];
    if host.len() > LONGEST_HOST {
        return keys;
    }
    keys.extend(parents(host));
    let before = psl::suffix_str(host).and_then(|suffix| host.strip_suffix(suffix));
    if let Some(before) = before.filter(|before| !before.is_empty()) {
        let any = format!("{before}*");
        keys.extend(parents(&any));
        keys.push(any);
    }
    keys
}

fn parents(name: &str) -> impl Iterator<Item = String> {
    let dots = name.match_indices('.');
    let parents = dots.map(|(at, _)| format!("*{}", &name[at..]));
    parents.filter(|parent| parent != "*.*")
}

/// The key that a rule means by `text` (in lower case), written as [`keys`] are: without
/// `www.`, other scripts in ASCII. `None` if there can be no host that it names.
pub(super) fn key(text: &str) -> Option<String> {
    if is_name(text) {
        return parsed(text);
    }
    let (below, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", without_www(text)),
    };
    let (name, suffix) = match name.strip_suffix(".*") {
        Some(name) => (name, ".*"),
        None => (name, ""),
    };
    let host = if is_name(name) { in_ascii(name) } else { None };
    host.map(|host| format!("{below}{host}{suffix}"))
}

/// A host, in lower case, as those of URLs are written: other scripts in ASCII. `None` if it
/// cannot be one.
pub(super) fn in_ascii(host: &str) -> Option<String> {
    if host.is_ascii() && host.len() <= LONGEST_HOST {
        return Some(host.to_owned());
    }
    match Host::parse(host).ok()? {
        Host::Domain(name) => (name.len() <= LONGEST_HOST).then_some(name),
        address => Some(address.to_string()),
    }
}

fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let mut characters = label.chars();
        !label.is_empty()
            && characters.all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    name.split('.').all(is_label)
}

/// Whether a referrer is the page's own site: one of `own` or below it, the same host, or
/// the same registrable domain.
pub(super) fn is_own(referrer: &str, page: Option<&str>, own: &[String]) -> bool {
    let listed = own.iter().any(|domain| {
        let above = referrer.strip_suffix(domain.as_str());
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    });
    listed
        || page.is_some_and(|page| {
            page == referrer
                || registrable_domain(page)
                    .is_some_and(|own| registrable_domain(referrer) == Some(own))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (url, expected) in [
            ("https://www.Google.com/search?q=x", Some("google.com")),
            ("HTTP://u:p@news.example.:8080#x", Some("news.example")),
            (
                "android-app://com.Google.android.gm/",
                Some("com.google.android.gm"),
            ),
            ("//shop.example/x", Some("shop.example")),
            ("shop.example/x?u=https://y.example", Some("shop.example")),
            ("https://localhost:3000/", Some("localhost")),
            ("localhost", None),
            ("https://192.168.0.1:80/x", Some("192.168.0.1")),
            ("https://[::1]:80/x", Some("[::1]")),
            ("https://bücher.example", Some("xn--bcher-kva.example")),
            ("/path/x.html", None),
            ("about:blank", None),
            ("chrome-extension://abc/x", None),
            ("file:///C:/x", None),
            ("https://a..b/", None),
            ("https:///x", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(host_of(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn keys_of_a_host() {
        let mut found = keys("a.google.co.uk");
        found.sort();
        let mut expected = [
            "a.google.co.uk",
            "*.google.co.uk",
            "*.co.uk",
            "*.uk",
            "a.google.*",
            "*.google.*",
        ];
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(keys("com"), ["com"]);
        // a dot at the end is no part of the suffix that the list gives
        assert_eq!(keys("a.中国."), ["a.中国.", "*.中国.", "*."]);
    }

    #[test]
    fn a_rule_names_hosts_as_they_are_compared() {
        let long = "a.".repeat(127) + "example";
        for (text, expected) in [
            ("a.example", Some("a.example")),
            ("www.a.example", Some("a.example")),
            ("www.a.*", Some("a.*")),
            ("*.www.a.example", Some("*.www.a.example")),
            ("*.a.*", Some("*.a.*")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("*.bücher.*", Some("*.xn--bcher-kva.*")),
            ("www.例え.jp", Some("xn--r8jz45g.jp")),
            ("com.google.android.gm", Some("com.google.android.gm")),
            ("a_b.example", Some("a_b.example")),
            ("192.168.0.1", Some("192.168.0.1")),
            ("1.*", Some("1.*")),
            ("localhost", Some("localhost")),
            ("www.*", None),
            ("*", None),
            ("*.*", None),
            ("a..b", None),
            ("a.example.", None),
            ("a.example:80", None),
            ("https://a.example", None),
            ("a*.example", None),
            (&long, None),
        ] {
            assert_eq!(key(text).as_deref(), expected, "{text}");
            // what is compared is what a URL of that host gives
            if let Some(key) = expected.filter(|key| !key.contains('*')) {
                let host = host_of(&format!("https://{text}/")).unwrap();
                assert_eq!(host, key, "{text}");
                assert!(keys(&host).contains(&key.to_owned()), "{text}");
            }
        }
    }

    #[test]
    fn own_sites() {
        let own = ["shop.example".to_owned()];
        for (referrer, page, expected) in [
            ("shop.example", None, true),
            ("a.shop.example", None, true),
            ("myshop.example", None, false),
            ("a.other.co.uk", Some("b.other.co.uk"), true),
            ("a.co.uk", Some("b.co.uk"), false),
            ("localhost", Some("localhost"), true),
            ("10.0.0.1", Some("10.0.0.2"), false),
        ] {
            assert_eq!(is_own(referrer, page, &own), expected, "{referrer}");
        }
    }
}
