//! [`RunnerError`] -> text with an excerpt, or JSON.

use std::error::Error;
use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource,
    Severity, SourceCode, ThemeCharacters, ThemeStyles,
};
use serde_json::{Value, json};

use datafusion_sessionize::runner::error::{ErrorKind, Location, RunnerError};

use super::printer::Level;

/// The error as text: `error:` and the message, the excerpt, the causes, `hint:`.
pub(crate) fn render(error: &RunnerError, level: Level, colored: bool) -> String {
    let word = if level == Level::Warn {
        "warning:"
    } else {
        "error:"
    };
    let mut characters = if colored {
        ThemeCharacters::unicode()
    } else {
        ThemeCharacters::ascii()
    };
    word.clone_into(&mut characters.error);
    word.clone_into(&mut characters.warning);
    let styles = if colored {
        ThemeStyles::ansi()
    } else {
        ThemeStyles::none()
    };
    let handler =
        GraphicalReportHandler::new_themed(GraphicalTheme { characters, styles })
            .with_links(false)
            .with_wrap_lines(false)
            .with_context_lines(1)
            .without_syntax_highlighting();
    let mut text = String::new();
    let report = Report::new(error, level);
    if handler.render_report(&mut text, &report).is_err() {
        text = format!("{word} {error}");
    }
    let mut text = unindented(&text);
    if let Some(hint) = error.hint() {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text
}

/// The error as JSON.
pub(crate) fn json(error: &RunnerError) -> Value {
    let location = error.location();
    json!({
        "kind": format!("{:?}", error.kind()).to_lowercase(),
        "message": error.message(),
        "file": location.map(|l| l.file.display().to_string()),
        "line": location.map(|l| l.line),
        "column": location.map(|l| l.column),
        "hint": error.hint(),
        "causes": causes(error),
    })
}

/// What lies behind the error, the nearest first.
fn causes(error: &RunnerError) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts
}

/// Whether `cause` says again, in the words of another layer, what the message says. The
/// message of an error in SQL or of a source says all of it.
fn restates(cause: &str, error: &RunnerError) -> bool {
    let cause = cause.trim_end_matches('.').to_lowercase();
    let message = error.message().to_lowercase();
    let said = message.contains(&cause) || cause.ends_with(&message);
    let whole = matches!(error.kind(), ErrorKind::Sql | ErrorKind::Source);
    said || whole && error.location().is_some()
}

/// The report without the indentation of its first lines and without empty lines at its ends.
fn unindented(text: &str) -> String {
    let lines: Vec<&str> = text
        .trim_matches('\n')
        .lines()
        .map(|l| l.strip_prefix("  ").unwrap_or(l).trim_end())
        .collect();
    lines.join("\n").trim_end().to_owned()
}

/// A cause without its own causes: the chain is laid out by [`causes`].
#[derive(Debug)]
struct Cause {
    text: String,
    next: Option<Box<Self>>,
}

impl Cause {
    fn chain(error: &RunnerError) -> Option<Box<Self>> {
        causes(error)
            .into_iter()
            .filter(|cause| !restates(cause, error))
            .rev()
            .fold(None, |next, text| Some(Box::new(Self { text, next })))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.next.as_deref().map(|c| c as _)
    }
}

/// What miette draws.
#[derive(Debug)]
struct Report {
    message: String,
    cause: Option<Box<Cause>>,
    level: Level,
    excerpt: Option<(NamedSource<String>, LabeledSpan)>,
}

impl Report {
    fn new(error: &RunnerError, level: Level) -> Self {
        Self {
            message: error.message().to_owned(),
            cause: Cause::chain(error),
            level,
            excerpt: error.location().map(excerpt),
        }
    }
}

fn excerpt(location: &Location) -> (NamedSource<String>, LabeledSpan) {
    let (start, end) = byte_range(location);
    let name = location.file.display().to_string();
    let source = NamedSource::new(name, location.text.to_string());
    (source, LabeledSpan::underline(start..end))
}

/// Where the marked characters lie in the text; never outside it.
fn byte_range(location: &Location) -> (usize, usize) {
    let text: &str = &location.text;
    let line_start: usize = text
        .split_inclusive('\n')
        .take(location.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = &text[line_start..];
    let at = |characters: usize| {
        rest.char_indices()
            .nth(characters)
            .map_or(text.len(), |(offset, _)| line_start + offset)
    };
    let start = location.column.saturating_sub(1);
    (at(start), at(start + location.length.max(1)))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Report {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|c| c as _)
    }
}

impl Diagnostic for Report {
    fn severity(&self) -> Option<Severity> {
        Some(match self.level {
            Level::Warn => Severity::Warning,
            Level::Info | Level::Error => Severity::Error,
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|(source, _)| source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, label) = self.excerpt.as_ref()?;
        Some(Box::new(std::iter::once(label.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located() -> RunnerError {
        RunnerError::new(
            ErrorKind::Graph,
            "model `a` reads `oders`, which is not there",
        )
        .with_location(Location {
            file: "models/a.sql".into(),
            line: 2,
            column: 13,
            length: 5,
            text: "select 'é'\nfrom {{ ref('oders') }}\n".into(),
        })
        .with_source(std::io::Error::other("the cause"))
        .with_hint("did you mean `orders`?")
    }

    #[test]
    fn text_has_place_excerpt_cause_and_hint() {
        insta::assert_snapshot!(render(&located(), Level::Error, false), @r#"
    error: model `a` reads `oders`, which is not there
    `-> the cause
     ,-[models/a.sql:2:13]
     1 | select 'é'
     2 | from {{ ref('oders') }}
     :             ^^^^^
     `----
    hint: did you mean `orders`?
    "#);
    }

    #[test]
    fn json_has_every_part() {
        let value = json(&located());
        assert_eq!(value["line"], 2);
        assert_eq!(value["kind"], "graph");
        assert_eq!(value["causes"], json!(["the cause"]));
    }

    #[test]
    fn a_place_behind_the_end_is_drawn_at_the_end() {
        let mut location = located().location().expect("set above").clone();
        location.line = 99;
        assert_eq!(
            byte_range(&location),
            (location.text.len(), location.text.len())
        );
    }
}
