//! Patterns of rules: texts with `*`, and several of them with `|`.

/// One or more texts in lower case in which `*` stands for any characters, none too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    alternatives: Vec<String>,
}

impl Pattern {
    /// The pattern written as `text`; `None` if it is blank.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let alternatives: Vec<_> = alternatives(text).collect();
        (!alternatives.is_empty()).then_some(Self { alternatives })
    }

    /// Whether `text`, in lower case, is one of what it stands for.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.alternatives.iter().any(|one| is_match(one, text))
    }
}

/// The texts between `|`, in lower case, without those that are blank.
pub(super) fn alternatives(text: &str) -> impl Iterator<Item = String> {
    let trimmed = text.split('|').map(|one| one.trim().to_lowercase());
    trimmed.filter(|one| !one.is_empty())
}

fn is_match(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    // the earliest place of each leaves the most for those after it
    for part in between.split('*') {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None if part.is_empty() => {}
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("cpc", "cpc", true),
            ("cpc", "cpcx", false),
            ("CPC|ppc", "ppc", true),
            ("cpc| paid* ", "paid_social", true),
            ("*cp*", "cp", true),
            ("*cp*", "xcpy", true),
            ("*cp*", "c-p", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("**", "", true),
            ("*", "", true),
            ("*", "ü", true),
            ("ü*", "üx", true),
        ] {
            let found = Pattern::parse(pattern).unwrap().matches(text);
            assert_eq!(found, expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_blank_pattern_is_none() {
        assert_eq!(Pattern::parse(" | "), None);
    }
}
