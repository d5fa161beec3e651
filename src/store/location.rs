//! Locations as users write them -> URLs.

use std::path::{Component, Path, PathBuf};

use datafusion::common::{DataFusionError, Result, plan_err};
use url::Url;

pub(super) fn parse(location: &str, base: &Path) -> Result<Url> {
    if location.trim().is_empty() {
        return plan_err!("an empty location; expected a path or a URL");
    }
    match scheme(location) {
        Some("file") => file_url(location),
        Some(scheme) => other_url(scheme, location),
        None => path_url(&base.join(location), location),
    }
}

/// The scheme of `scheme://…`; `None` for a path (also one with a colon in it).
fn scheme(location: &str) -> Option<&str> {
    let (scheme, _) = location.split_once("://")?;
    let mut letters = scheme.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
    let rest = letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (first && rest).then_some(scheme)
}

fn path_url(path: &Path, location: &str) -> Result<Url> {
    Url::from_file_path(without_dots(path)).map_err(|()| {
        DataFusionError::Plan(format!(
            "`{location}` is relative to `{}`, which is not absolute",
            path.display()
        ))
    })
}

/// Resolves `.` and `..` by name: the path need not exist, and may be a glob.
fn without_dots(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

/// `?` and `#` are part of the path here: no store has queries or fragments.
fn escape(rest: &str) -> String {
    rest.replace('?', "%3F").replace('#', "%23")
}

fn file_url(location: &str) -> Result<Url> {
    let url = parse_url(&escape(location), location)?;
    match url.to_file_path() {
        Ok(path) => path_url(&path, location),
        Err(()) => {
            plan_err!("`{location}` names a host; a local path starts with `file:///`")
        }
    }
}

fn other_url(scheme: &str, location: &str) -> Result<Url> {
    let rest = &location[scheme.len()..];
    parse_url(&format!("{scheme}{}", escape(rest)), location)
}

fn parse_url(text: &str, location: &str) -> Result<Url> {
    Url::parse(text)
        .map_err(|e| DataFusionError::Plan(format!("`{location}` is not a URL: {e}")))
}

/// The path of `url` as the user wrote it, without a leading `/`: percent signs decoded.
pub(crate) fn decoded_path(url: &Url) -> String {
    decode(url.path().trim_start_matches('/'))
}

/// Undoes `%` escapes.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(location: &str) -> String {
        parse(location, Path::new("/base/dir")).unwrap().to_string()
    }

    #[test]
    fn paths_and_urls() {
        assert_eq!(url("lake/a.parquet"), "file:///base/dir/lake/a.parquet");
        assert_eq!(url("../x/./y"), "file:///base/x/y");
        assert_eq!(url("/abs/with space"), "file:///abs/with%20space");
        assert_eq!(url("file:///abs/a b"), "file:///abs/a%20b");
        assert_eq!(url("s3://bucket/k=v/x"), "s3://bucket/k=v/x");
        assert_eq!(url("memory:///t"), "memory:///t");
        assert_eq!(url("C:odd"), "file:///base/dir/C:odd");
    }

    #[test]
    fn globs_survive() {
        for location in ["a?b/*.parquet", "day=[01]*/x", "{a,b}.csv", "100%/x"] {
            let url = parse(location, Path::new("/base")).unwrap();
            assert_eq!(decoded_path(&url), format!("base/{location}"));
        }
        let url = parse("s3://b/a?b/*.parquet", Path::new("/base")).unwrap();
        assert_eq!(decoded_path(&url), "a?b/*.parquet");
    }

    #[test]
    fn unreadable_locations() {
        assert!(parse(" ", Path::new("/base")).is_err());
        assert!(parse("x", Path::new("relative")).is_err());
        assert!(parse("file://host/x", Path::new("/base")).is_err());
    }
}
