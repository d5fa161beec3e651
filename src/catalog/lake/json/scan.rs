//! Walks over JSON text that is known to be valid.

/// The keys (in their quotes) and values of an object.
pub(super) fn entries(object: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut values = Values::of(object);
    std::iter::from_fn(move || Some((values.next()?, values.next()?)))
}

/// The items of a list.
pub(super) fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    Values::of(list)
}

/// The text of a string that is given in its quotes; `None` if an escape is no letter.
pub(super) fn unquoted(string: &[u8]) -> Option<String> {
    serde_json::from_slice(string).ok()
}

/// The values between two brackets: what separates them is skipped.
struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Values<'a> {
    fn of(whole: &'a [u8]) -> Self {
        let end = whole.len().saturating_sub(1);
        let rest = whole.get(1..end).unwrap_or_default();
        Self { rest }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let separates = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':');
        let start = self.rest.iter().position(|b| !separates(b))?;
        let rest = &self.rest[start..];
        let length = match rest[0] {
            b'"' => string(rest),
            b'{' | b'[' => nested(rest),
            _ => {
                let end = |b: &u8| separates(b) || matches!(b, b'}' | b']');
                rest.iter().position(end).unwrap_or(rest.len())
            }
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(value)
    }
}

/// The length of a string with its quotes.
fn string(text: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of an object or a list with its brackets.
fn nested(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += string(&text[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}
