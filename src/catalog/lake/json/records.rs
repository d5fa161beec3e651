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

/// What is wrong with a line that ends within its object.
const UNENDED: &str = "the object that begins here does not end on its line; expected one object a line, or one array of objects: `[{…}, {…}]`";

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
    Within(Nesting),
    /// After the array.
    End,
}

/// What stands open between two bytes of a JSON text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Nesting {
    /// Objects and lists, now and at most.
    depth: u32,
    deepest: u32,
    text: bool,
    escaped: bool,
}

impl Nesting {
    fn see(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.text => self.escaped = true,
            b'"' => self.text = !self.text,
            b'{' | b'[' if !self.text => {
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
            // a text that is not valid may close what it did not open
            b'}' | b']' if !self.text => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
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
                Place::Within(_) => self.within(&chunk[at..], take)?,
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
            Place::Line => {
                let held = std::mem::take(&mut self.held);
                self.give_line(&held, take)
            }
            Place::Within(_) => self.broken(
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
            self.give_line(&rest[..end], take)?;
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(&rest[..end]);
            self.give_line(&held, take)?;
            held.clear();
            self.held = held;
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
                self.place = Place::Within(Nesting::default());
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
        let Place::Within(mut open) = self.place else {
            return Ok(0);
        };
        for (at, byte) in rest.iter().enumerate() {
            self.line += u64::from(*byte == b'\n');
            open.see(*byte);
            if open.depth == 0 {
                self.held.extend_from_slice(&rest[..=at]);
                self.place = Place::After;
                self.give(open, take)?;
                return Ok(at + 1);
            }
        }
        self.held.extend_from_slice(rest);
        self.place = Place::Within(open);
        Ok(rest.len())
    }

    /// Gives `take` what is held, of which `nesting` is known.
    fn give(
        &mut self,
        nesting: Nesting,
        take: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        let (text, line) = (held.as_slice(), self.began);
        self.check(Record { text, line }, nesting, take)?;
        self.held = held;
        self.held.clear();
        Ok(())
    }

    /// Gives `take` the record of a line; blank lines are none.
    fn give_line(
        &self,
        text: &[u8],
        take: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(());
        }
        let mut nesting = Nesting::default();
        text.iter().for_each(|byte| nesting.see(*byte));
        let line = self.began;
        self.check(Record { text, line }, nesting, take)
    }

    /// Gives `take` a record that is an object.
    fn check(
        &self,
        record: Record<'_>,
        nesting: Nesting,
        take: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let Record { text, line } = record;
        self.check_utf8(record)?;
        if let Err(e) = serde_json::from_slice::<IgnoredAny>(text) {
            if self.place == Place::Line && e.is_eof() && text.starts_with(b"{") {
                return self.broken(line, UNENDED);
            }
            let line = line + u64::try_from(e.line()).unwrap_or(1).max(1) - 1;
            let cause = e.to_string();
            let cause = cause.split(" at line ").next().unwrap_or_default();
            return self.broken(line, cause);
        }
        if nesting.deepest > DEEPEST {
            let cause =
                format!("more than {DEEPEST} objects and lists within one another");
            return self.broken(line, &cause);
        }
        if text.first() != Some(&b'{') {
            let found: String = String::from_utf8_lossy(text).chars().take(40).collect();
            let cause = format!("expected a JSON object, found `{found}`");
            return self.broken(line, &cause);
        }
        take(record)
    }

    /// JSON is UTF-8: other encodings would be found out only where their texts are read.
    fn check_utf8(&self, record: Record<'_>) -> Result<()> {
        let Err(e) = std::str::from_utf8(record.text) else {
            return Ok(());
        };
        let (before, rest) = record.text.split_at(e.valid_up_to());
        let breaks = before.iter().filter(|byte| **byte == b'\n').count();
        let line = record.line + u64::try_from(breaks).unwrap_or_default();
        let known = String::from_utf8_lossy(before);
        let skipped = known.chars().count().saturating_sub(20);
        let known: String = known.chars().skip(skipped).collect();
        let cause = format!(
            "expected UTF-8, found the byte 0x{:02X} after `{}`; write the file as UTF-8",
            rest.first().unwrap_or(&0),
            known.trim()
        );
        self.broken(line, &cause)
    }

    fn broken<T>(&self, line: u64, cause: &str) -> Result<T> {
        exec_err!(
            "line {line} of the file `{}` is not JSON: {cause}",
            self.file
        )
    }
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
        let brackets = "[".repeat(200);
        let text = format!("{{\"a\": \"\\\"{brackets}\", \"b\": [{{}}]}}");
        assert_eq!(cut(text.as_bytes(), 64).unwrap().len(), 1);
        assert_eq!(cut(format!("[{text}]").as_bytes(), 64).unwrap().len(), 1);
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
            (
                "{}\n{\n  \"a\": 1\n}",
                "line 2 of the file `f` is not JSON: the object that begins here does not end on its line",
            ),
            (
                "{}}\n",
                "line 1 of the file `f` is not JSON: trailing characters",
            ),
        ] {
            for size in 1..=file.len() {
                let error = cut(file.as_bytes(), size).unwrap_err();
                assert!(error.contains(expected), "{file:?}: {error}");
            }
        }
    }

    #[test]
    fn what_is_not_utf8_is_named_with_its_line() {
        for file in [
            b"{}\n{\"a\":\"caf\xe9\"}".as_slice(),
            b"[{},{\n\"caf\xe9\":1}]",
        ] {
            let error = cut(file, 3).unwrap_err();
            assert!(error.contains("line 2 of the file `f`"), "{error}");
            assert!(error.contains("found the byte 0xE9 after"), "{error}");
            assert!(error.contains("caf`"), "{error}");
        }
    }
}
