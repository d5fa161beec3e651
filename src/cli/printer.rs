//! The only way out to the terminal: results on stdout, everything else on stderr.
//!
//! A reader that goes away (`sessionize ls | head -1`) is no error.

use std::io::{self, IsTerminal, Write};

use chrono::Utc;
use indicatif::MultiProgress;
use serde_json::{Value, json};

use datafusion_sessionize::runner::error::RunnerError;

use super::args::LogFormat;
use super::errors;

/// Prints.
#[derive(Debug)]
pub(crate) struct Printer {
    format: LogFormat,
    quiet: bool,
    colored: bool,
    bars: Option<MultiProgress>,
    invocation_id: String,
}

/// What a progress line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Something is as it should be.
    Info,
    /// Something is worth a look.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl Printer {
    /// A printer; colours and live bars only on a terminal.
    pub(crate) fn new(
        format: LogFormat,
        quiet: bool,
        no_color: bool,
        invocation_id: String,
    ) -> Self {
        let terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let no_color =
            no_color || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let live = terminal && !dumb && !quiet && format == LogFormat::Text;
        Self {
            format,
            quiet,
            colored: terminal && !dumb && !no_color && format == LogFormat::Text,
            bars: live.then(MultiProgress::new),
            invocation_id,
        }
    }

    /// The live bars, if stderr is a terminal.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// Whether stdout is a terminal.
    pub(crate) fn to_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Prints a result: `text` and a line end on stdout.
    pub(crate) fn result(&self, text: &str) {
        self.suspended(|| {
            let mut out = io::stdout().lock();
            tolerate(writeln!(out, "{text}").and_then(|()| out.flush()));
        });
    }

    /// Where bytes of a result go.
    pub(crate) fn stdout() -> io::Stdout {
        io::stdout()
    }

    /// Prints a line about the run on stdout, or an event when logs are JSON.
    pub(crate) fn progress(&self, level: Level, name: &str, text: &str, data: &Value) {
        if self.quiet && level != Level::Error {
            return;
        }
        match self.format {
            LogFormat::Text => self.result(text),
            LogFormat::Json => self.result(&self.event(level, name, text, data)),
        }
    }

    /// Prints a remark on stderr.
    pub(crate) fn note(&self, text: &str) {
        if self.quiet {
            return;
        }
        match self.format {
            LogFormat::Text => self.diagnostic(text),
            LogFormat::Json => {
                self.diagnostic(&self.event(Level::Info, "Note", text, &json!({})));
            }
        }
    }

    /// Prints an error with its place, excerpt, causes and hint on stderr.
    pub(crate) fn error(&self, error: &RunnerError) {
        self.problem(Level::Error, error);
    }

    /// Prints something that stops nothing on stderr.
    pub(crate) fn warning(&self, error: &RunnerError) {
        if !self.quiet {
            self.problem(Level::Warn, error);
        }
    }

    fn problem(&self, level: Level, error: &RunnerError) {
        let text = match self.format {
            LogFormat::Text => errors::render(error, level, self.colored),
            LogFormat::Json => {
                let name = if level == Level::Warn {
                    "Warning"
                } else {
                    "Error"
                };
                self.event(level, name, error.message(), &errors::json(error))
            }
        };
        self.diagnostic(&text);
    }

    fn diagnostic(&self, text: &str) {
        self.suspended(|| tolerate(writeln!(io::stderr().lock(), "{text}")));
    }

    fn event(&self, level: Level, name: &str, text: &str, data: &Value) -> String {
        json!({
            "info": {
                "name": name,
                "level": level.word(),
                "msg": text,
                "ts": Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
                "invocation_id": self.invocation_id,
            },
            "data": data,
        })
        .to_string()
    }

    fn suspended(&self, write: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// Prints what the argument parser has to say: help on stdout, complaints on stderr.
pub(crate) fn clap_message(error: &clap::Error) {
    tolerate(error.print());
}

/// A line on stderr before there is a printer.
pub(crate) fn early_error(text: &str) {
    tolerate(writeln!(io::stderr().lock(), "error: {text}"));
}

/// Nobody is left to be told that writing to the terminal failed.
fn tolerate(written: io::Result<()>) {
    drop(written);
}
