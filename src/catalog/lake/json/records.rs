//! A file's bytes -> its records.
//!
//! ```text
//!   {"a": 1}                     [ {"a": 1},
//!   {"a": 2}    one a line         {"a": [2,     one an element, over any number of lines
//!                                        3]} ]
//! ```
//!
//! A file whose first letter is `[` is an array. One record is held at a time.

use datafusion::common::{Result, exec_err};
use serde::de::IgnoredAny;

/// A record longer than this is taken for a file that is broken.
const LONGEST: usize = 64 << 20;
/// Objects and lists within one another, at most; as `serde_json` reads them.
const DEEPEST: u32 = 128;

/// A JSON object as it is written, and the line (from 1) that it begins on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) text: &'a [u8],
    pub(super) line: u64,
}

/// Where in a file the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first letter.
    Start,
    /// In a file of one record a line.
    Line,
    /// In an array, before an element or the end.
    Before { comma: bool },
    /// In an array, after an element.
    After,
    /// In an element.
    Within {
        depth: u32,
        text: bool,
        escaped: bool,
    },
    /// After the array.
    End,
}

/// Cuts chunks of a file into records.
#[derive(Debug)]
pub(super) struct Records {
    /// What errors call the file.
    file: String,
    place: Place,
    line: u64,
    /// Where the record that `held` begins.
    began: u64,
    held: Vec<u8>,
}

impl Records {
    pub(super) fn new(file: String) -> Self {
        Self {
            file,
            place: Place::Start,
            line: 1,
            began: 1,
            held: Vec::new(),
        }
    }

    /// Gives `take` each record that ends in `chunk`.
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        take: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut at = 0;
        while at < chunk.len() {
            at += match self.place {
                Place::Start => self.start(chunk[at]),
                Place::Line => self.in_line(&chunk[at..], take)?,
                Place::Within { .. } => self.within(&chunk[at..], take)?,
                Place::Before { .. } | Place::After | Place::End => {
                    self.between(chunk[at])?
                }
            };
            if self.held.len() > LONGEST {
                return self.broken(self.began, "a record of more than 64 MiB");
            }
        }
        Ok(())
    }

    /// Gives `take` the record that the file ends with.
    pub(super) fn finish(
        &mut self,
        take: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<()> {
        match self.place {
            Place::Start | Place::End => Ok(()),
            Place::Line => self.give(take),
            Place::Within { .. } => self.broken(
                self.began,
                "the file ends within the object that begins here",
            ),
            Place::Before { .. } | Place::After => {
                self.broken(self.line, "the file ends before the `]` of its array")
            }
        }
    }

    /// Skips what stands before the first letter: blanks and a byte order mark.
    fn start(&mut self, byte: u8) -> usize {
        match byte {
            b'\n' => self.line += 1,
            b' ' | b'\t' | b'\r' | 0xEF | 0xBB | 0xBF => {}
            b'[' => self.place = Place::Before { comma: false },
            _ => {
                self.place = Place::Line;
                self.began = self.line;
                return 0;
            }
        }
        1
    }

    fn in_line(
        &mut self,
        rest: &[u8],
        take: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<usize> {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.held.extend_from_slice(rest);
            return Ok(rest.len());
        };
        if self.held.is_empty() {
            let (text, line) = (&rest[..end], self.began);
            self.check(Record { text, line }, take)?;
        } else {
            self.held.extend_from_slice(&rest[..end]);
            self.give(take)?;
        }
        self.line += 1;
        self.began = self.line;
        Ok(end + 1)
    }

    fn between(&mut self, byte: u8) -> Result<usize> {
        match (self.place, byte) {
            (_, b'\n') => self.line += 1,
            (_, b' ' | b'\t' | b'\r') => {}
            (Place::After, b',') => self.place = Place::Before { comma: true },
            (Place::After | Place::Before { comma: false }, b']') => {
                self.place = Place::End;
            }
            (Place::Before { .. }, b'{') => {
                self.began = self.line;
                self.place = Place::Within {
                    depth: 0,
                    text: false,
                    escaped: false,
                };
                return Ok(0);
            }
            (place, byte) => {
                let expected = match place {
                    Place::Before { .. } => "a JSON object",
                    Place::After => "`,` or `]`",
                    _ => "nothing after the `]` of the array",
                };
                let found = char::from(byte);
                let cause = format!("expected {expected}, found `{found}`");
                return self.broken(self.line, &cause);
            }
        }
        Ok(1)
    }

    fn within(
        &mut self,
        rest: &[u8],
        take: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<usize> {
        let Place::Within {
            mut depth,
            mut text,
            mut escaped,
        } = self.place
        else {
            return Ok(0);
        };
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'\n' => self.line += 1,
                _ if escaped => escaped = false,
                b'\\' if text => escaped = true,
                b'"' => text = !text,
                b'{' | b'[' if !text => depth += 1,
                b'}' | b']' if !text => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.held.extend_from_slice(&rest[..=at]);
                self.place = Place::After;
                self.give(take)?;
                return Ok(at + 1);
            }
        }
        self.held.extend_from_slice(rest);
        self.place = Place::Within {
            depth,
            text,
            escaped,
        };
        Ok(rest.len())
    }

    fn give(&mut self, take: &mut impl FnMut(Record<'_>) -> Result<()>) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        let (text, line) = (held.as_slice(), self.began);
        self.check(Record { text, line }, take)?;
        self.held = held;
        self.held.clear();
        Ok(())
    }

    /// Gives `take` a record that is an object; blank lines are none.
    fn check(
        &self,
        record: Record<'_>,
        take: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let text = record.text.trim_ascii();
        if text.is_empty() {
            return Ok(());
        }
        if let Err(e) = serde_json::from_slice::<IgnoredAny>(record.text) {
            let line = record.line + u64::try_from(e.line()).unwrap_or(1).max(1) - 1;
            let cause = e.to_string();
            let cause = cause.split(" at line ").next().unwrap_or_default();
            return self.broken(line, cause);
        }
        if depth(text) > DEEPEST {
            let cause =
                format!("more than {DEEPEST} objects and lists within one another");
            return self.broken(record.line, &cause);
        }
        if text.first() != Some(&b'{') {
            let found: String = String::from_utf8_lossy(text).chars().take(40).collect();
            let cause = format!("expected a JSON object, found `{found}`");
            return self.broken(record.line, &cause);
        }
        let line = record.line;
        take(Record { text, line })
    }

    fn broken<T>(&self, line: u64, cause: &str) -> Result<T> {
        exec_err!(
            "line {line} of the file `{}` is not JSON: {cause}",
            self.file
        )
    }
}

/// How many objects and lists stand within one another.
fn depth(text: &[u8]) -> u32 {
    let (mut depth, mut deepest) = (0, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth -= 1,
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a file that arrives in chunks of `size` bytes.
    fn cut(file: &[u8], size: usize) -> std::result::Result<Vec<(String, u64)>, String> {
        let mut records = Records::new("f".to_owned());
        let mut found = Vec::new();
        let mut take = |record: Record<'_>| {
            let text = String::from_utf8_lossy(record.text).into_owned();
            found.push((text, record.line));
            Ok(())
        };
        for chunk in file.chunks(size) {
            records.push(chunk, &mut take).map_err(|e| e.to_string())?;
        }
        records.finish(&mut take).map_err(|e| e.to_string())?;
        Ok(found)
    }

    fn check(file: &str, expected: &[(&str, u64)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(text, line)| ((*text).to_owned(), *line))
            .collect();
        for size in 1..=file.len().max(1) {
            assert_eq!(
                cut(file.as_bytes(), size).unwrap(),
                expected,
                "{file} {size}"
            );
        }
    }

    #[test]
    fn lines_and_arrays_are_cut_wherever_chunks_end() {
        check("", &[]);
        check(" \n\n", &[]);
        check("[]", &[]);
        check("[\n]\n", &[]);
        check(
            "{\"a\":1}\r\n\n {\"a\":2}",
            &[("{\"a\":1}", 1), ("{\"a\":2}", 3)],
        );
        check("\u{feff}{\"a\":\"é\"}\n", &[("{\"a\":\"é\"}", 1)]);
        check(
            "\n[{\"a\": [1, {\"b\": \"]}\\\"\"}]},\n{}\n ,{\"c\":\n2}]",
            &[
                ("{\"a\": [1, {\"b\": \"]}\\\"\"}]}", 2),
                ("{}", 3),
                ("{\"c\":\n2}", 4),
            ],
        );
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let nested = |depth| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!("{{}}\n{{\"a\":{open}{close}}}")
        };
        assert_eq!(cut(nested(127).as_bytes(), 64).unwrap().len(), 2);
        let error = cut(nested(128).as_bytes(), 64).unwrap_err();
        assert!(error.contains("line 2 of the file `f`"), "{error}");
        assert!(error.contains("more than 128"), "{error}");
        assert!(cut(nested(20_000).as_bytes(), 64).is_err());
        assert_eq!(depth(br#"{"a": "[[[\"[[", "b": [{}]}"#), 3);
    }

    #[test]
    fn what_is_not_json_is_named_with_its_line() {
        for (file, expected) in [
            (
                "{}\noops\n{}",
                "line 2 of the file `f` is not JSON: expected value",
            ),
            ("{}\n{\"a\": 1\n{}", "line 2"),
            (
                "{}\n[1]",
                "line 2 of the file `f` is not JSON: expected a JSON object, found `[1]`",
            ),
            (
                "{} {}",
                "line 1 of the file `f` is not JSON: trailing characters",
            ),
            ("[{}\n,{\"a\":\n 1 2}]", "line 3"),
            (
                "[{}\n,{\"a\": 1}",
                "line 2 of the file `f` is not JSON: the file ends before",
            ),
            (
                "[{}\n,{\"a\": 1",
                "line 2 of the file `f` is not JSON: the file ends within",
            ),
            ("[{},]", "expected a JSON object, found `]`"),
            ("[{} {}]", "expected `,` or `]`, found `{`"),
            ("[1]", "expected a JSON object, found `1`"),
            (
                "[]\n{}",
                "line 2 of the file `f` is not JSON: expected nothing",
            ),
            ("{\"a\": \"\u{1}\"}", "line 1"),
        ] {
            for size in 1..=file.len() {
                let error = cut(file.as_bytes(), size).unwrap_err();
                assert!(error.contains(expected), "{file:?}: {error}");
            }
        }
    }
}
