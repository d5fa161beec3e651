//! Lists and maps written in a template can be changed later (`{% do d.update({…}) %}`), as in
//! Python; minijinja's own cannot. So every literal is wrapped in a call that makes a
//! changeable one, and [`OffsetMap`] leads from the rewritten text back to the user's.

/// Name of the function around list literals.
pub(super) const LIST: &str = "_changeable_list";
/// Name of the function around map literals.
pub(super) const MAP: &str = "_changeable_map";

/// Where text was inserted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OffsetMap {
    /// `(offset in the source, bytes inserted there)`, ascending.
    insertions: Vec<(usize, usize)>,
}

impl OffsetMap {
    /// The offset in the source for an offset in the rewritten text.
    pub(crate) fn to_source(&self, rewritten: usize) -> usize {
        let mut shift = 0;
        for (at, length) in &self.insertions {
            let start = at + shift;
            if rewritten < start {
                break;
            }
            if rewritten < start + length {
                return *at;
            }
            shift += length;
        }
        rewritten - shift
    }
}

/// Wraps the literals of a template.
pub(crate) fn wrap_literals(source: &str) -> (String, OffsetMap) {
    let mut scanner = Scanner {
        source,
        position: 0,
        inserted: Vec::new(),
    };
    while let Some(found) = source[scanner.position..].find('{') {
        scanner.position += found;
        let rest = &source[scanner.position..];
        if rest.starts_with("{#") {
            scanner.skip_past("#}");
        } else if rest.starts_with("{{") {
            scanner.position += 2;
            scanner.expression("}}");
        } else if rest.starts_with("{%") {
            scanner.position += 2;
            if scanner.at_raw() {
                scanner.skip_past("endraw");
            } else {
                scanner.expression("%}");
            }
        } else {
            scanner.position += 1;
        }
    }
    scanner.finish()
}

struct Scanner<'a> {
    source: &'a str,
    position: usize,
    inserted: Vec<(usize, String)>,
}

impl Scanner<'_> {
    fn skip_past(&mut self, end: &str) {
        let rest = &self.source[self.position..];
        self.position = rest
            .find(end)
            .map_or(self.source.len(), |i| self.position + i + end.len());
    }

    fn at_raw(&self) -> bool {
        let rest = self.source[self.position..].trim_start_matches(['-', '+']);
        rest.trim_start()
            .strip_prefix("raw")
            .is_some_and(|r| r.trim_start_matches(['-', '+', ' ']).starts_with("%}"))
    }

    /// Walks from behind the opening of a tag to behind `end`.
    fn expression(&mut self, end: &str) {
        let bytes = self.source.as_bytes();
        let mut open: Vec<bool> = Vec::new();
        let start = self.position;
        while self.position < bytes.len() {
            let at = self.position;
            if open.is_empty() && self.source[at..].starts_with(end) {
                self.position += end.len();
                return;
            }
            match bytes[at] {
                quote @ (b'\'' | b'"') => {
                    self.position = string_end(bytes, at, quote);
                    continue;
                }
                bracket @ (b'[' | b'{') => {
                    let literal =
                        bracket == b'{' || starts_value(&self.source[start..at]);
                    if literal {
                        let name = if bracket == b'{' { MAP } else { LIST };
                        self.inserted.push((at, format!("{name}(")));
                    }
                    open.push(literal);
                }
                b'(' => open.push(false),
                b')' | b']' | b'}' if open.pop() == Some(true) => {
                    self.inserted.push((at + 1, ")".to_owned()));
                }
                _ => {}
            }
            self.position += self.source[at..].chars().next().map_or(1, char::len_utf8);
        }
    }

    fn finish(self) -> (String, OffsetMap) {
        let mut text = String::with_capacity(self.source.len() + 32);
        let mut map = OffsetMap::default();
        let mut done = 0;
        for (at, insertion) in self.inserted {
            text.push_str(&self.source[done..at]);
            text.push_str(&insertion);
            map.insertions.push((at, insertion.len()));
            done = at;
        }
        text.push_str(&self.source[done..]);
        (text, map)
    }
}

/// Behind the closing quote of the string that starts at `at`.
fn string_end(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut position = at + 1;
    while position < bytes.len() {
        match bytes[position] {
            b'\\' => position += 2,
            byte if byte == quote => return position + 1,
            _ => position += 1,
        }
    }
    bytes.len()
}

/// Whether a `[` behind `before` starts a list (and does not subscript a value).
fn starts_value(before: &str) -> bool {
    let before = before.trim_end();
    let Some(last) = before.chars().next_back() else {
        return true;
    };
    if last.is_alphanumeric() || last == '_' {
        let word = before
            .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
            .unwrap_or_default();
        return matches!(word, "in" | "not" | "if" | "else" | "and" | "or" | "is");
    }
    !matches!(last, ')' | ']' | '}' | '\'' | '"' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_wrapped_and_subscripts_are_not() {
        let (text, _) = wrap_literals("{% set a = [1, {'x': ']'}] %}{{ a[0] }} {x: [1]}");
        assert_eq!(
            text,
            "{% set a = _changeable_list([1, _changeable_map({'x': ']'})]) %}\
             {{ a[0] }} {x: [1]}"
        );
        let (text, _) = wrap_literals("{# [1] #}{% raw %}{{ [1] }}{% endraw %}");
        assert_eq!(text, "{# [1] #}{% raw %}{{ [1] }}{% endraw %}");
    }

    #[test]
    fn offsets_lead_back() {
        let source = "é{{ [1] }}\r\n{{ x }}";
        let (text, map) = wrap_literals(source);
        for (needle, expected) in [("1", "1"), ("x", "x"), ("\r", "\r")] {
            let found = map.to_source(text.rfind(needle).unwrap());
            assert_eq!(found, source.rfind(expected).unwrap());
        }
        assert_eq!(map.to_source(text.len()), source.len());
    }
}
