//! Globs over the paths of a store.

/// Some paths: `*` and `?` stay within a name, `**` spans folders, `[a-z]` and `[!a-z]` are
/// one character, `{a,b}` is either.
#[derive(Debug)]
pub(super) struct Glob {
    whole: String,
    /// `whole` without braces.
    patterns: Vec<String>,
}

impl Glob {
    /// `None` if `whole` is the path of one thing.
    pub(super) fn new(whole: &str) -> Option<Self> {
        let patterns = alternatives(whole);
        let special = patterns.len() > 1 || whole.contains(['*', '?', '[']);
        let whole = whole.to_owned();
        special.then_some(Self { whole, patterns })
    }

    /// The folder below which all matches are.
    pub(super) fn folder(&self) -> &str {
        let end = self.whole.find(['*', '?', '[', '{']).unwrap_or(0);
        let end = self.whole[..end].rfind('/').unwrap_or(0);
        &self.whole[..end]
    }

    /// Whether it names this file.
    pub(super) fn matches(&self, path: &str) -> bool {
        let path: Vec<_> = path.split('/').collect();
        let files = self.patterns.iter().filter(|p| !p.ends_with('/'));
        files.map(|p| names(p)).any(|names| matches(&names, &path))
    }

    /// Whether it names a folder that holds this file, at any depth.
    pub(super) fn matches_folder_of(&self, path: &str) -> bool {
        let path: Vec<_> = path.split('/').collect();
        self.patterns
            .iter()
            .map(|p| names(p))
            .any(|names| (1..path.len()).any(|length| matches(&names, &path[..length])))
    }
}

fn names(pattern: &str) -> Vec<&str> {
    pattern.split('/').filter(|s| !s.is_empty()).collect()
}

/// `pattern` once for each choice in its braces; braces without a comma are letters.
fn alternatives(pattern: &str) -> Vec<String> {
    let opening = pattern.char_indices().filter(|(_, c)| *c == '{');
    for (start, _) in opening {
        let Some((choices, rest)) = choices(&pattern[start + 1..]) else {
            continue;
        };
        let whole = |choice: &&str| format!("{}{choice}{rest}", &pattern[..start]);
        let each = choices.iter().map(whole);
        return each.flat_map(|each| alternatives(&each)).collect();
    }
    vec![pattern.to_owned()]
}

/// What stands between commas up to the closing brace, and what comes after it.
fn choices(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            '}' => {
                found.push(&text[from..at]);
                return (found.len() > 1).then_some((found, &text[at + 1..]));
            }
            _ => {}
        }
    }
    None
}

/// Whether the names of a path match those of a pattern.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            (0..=path.len()).any(|skipped| matches(rest, &path[skipped..]))
        }
        ([first, rest @ ..], [name, path @ ..]) => {
            let pattern: Vec<_> = first.chars().collect();
            let name: Vec<_> = name.chars().collect();
            name_matches(&pattern, &name) && matches(rest, path)
        }
        _ => false,
    }
}

fn name_matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => {
            (0..=name.len()).any(|skipped| name_matches(rest, &name[skipped..]))
        }
        (['?', rest @ ..], [_, name @ ..]) => name_matches(rest, name),
        (['[', set @ ..], [c, name @ ..]) if set.contains(&']') => {
            let end = set.iter().skip(1).position(|c| *c == ']');
            let Some(end) = end.map(|end| end + 1) else {
                return false;
            };
            let (set, rest) = (&set[..end], &set[end + 1..]);
            in_set(set, *c) && name_matches(rest, name)
        }
        ([a, pattern @ ..], [b, name @ ..]) => a == b && name_matches(pattern, name),
        _ => false,
    }
}

fn in_set(set: &[char], c: char) -> bool {
    match set {
        ['!' | '^', rest @ ..] => !in_set(rest, c),
        [from, '-', to, rest @ ..] => (*from..=*to).contains(&c) || in_set(rest, c),
        [first, rest @ ..] => *first == c || in_set(rest, c),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let check = |pattern: &str, path: &str| Glob::new(pattern).unwrap().matches(path);
        assert!(check("a/*.parquet", "a/x.parquet"));
        assert!(!check("a/*.parquet", "a/b/x.parquet"));
        assert!(check("a/**/x.*", "a/x.csv"));
        assert!(check("a/**/*.csv", "a/b/c/x.csv"));
        assert!(check("d=2024-0[1-3]/?", "d=2024-02/x"));
        assert!(!check("d=2024-0[!1-3]/?", "d=2024-02/x"));
        assert!(!check("a[", "b"));
        assert!(check("{a,b/c}/{x,y}.csv", "b/c/y.csv"));
        assert!(!check("{a,b}/x.csv", "a,b/x.csv"));
        assert!(check("a/{x,{y,z}*}.csv", "a/z9.csv"));
        assert!(check("a/{x}*", "a/{x}1"));
        assert!(check("a/*{", "a/b{"));
        assert!(!check("a/*/", "a/b"));
    }

    #[test]
    fn globs_name_folders_too() {
        let check = |pattern: &str, path: &str| {
            Glob::new(pattern).unwrap().matches_folder_of(path)
        };
        assert!(check("lake/dt=2024-01-0*", "lake/dt=2024-01-03/x.parquet"));
        assert!(check(
            "lake/dt=2024-01-0*/",
            "lake/dt=2024-01-03/deep/x.parquet"
        ));
        assert!(!check("lake/dt=2024-01-0*", "lake/dt=2024-01-11/x.parquet"));
        assert!(!check("lake/*", "lake/x.parquet"));
    }
}
