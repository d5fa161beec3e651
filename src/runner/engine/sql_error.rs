//! Errors of SQL, at their place in the model's own file.

use std::collections::BTreeSet;

use datafusion::common::{DataFusionError, Diagnostic, SchemaError};

use super::spoken;
use crate::functions::window_functions;
use crate::runner::compile::{Node, Relation};
use crate::runner::error::{ErrorKind, RunnerError, did_you_mean};
use crate::runner::materialization::clean_message;
use crate::store::told_by_store;

/// A place in compiled SQL: line, column, length.
type Place = (usize, usize, usize);

/// `error` of the compiled SQL of `node`, with place and hint as far as they are known.
pub(super) fn located(
    error: DataFusionError,
    node: &Node,
    relations: &[Relation],
) -> RunnerError {
    let found = first(&error);
    let (message, hint) = describe(found, relations);
    let message = match unreadable(&error) {
        Some(file) => format!("{file}: {}", lower_first(&message)),
        None => message,
    };
    let place = diagnostic(&error)
        .and_then(span)
        .or_else(|| parser_place(&message))
        .or_else(|| source_place(&error, &node.compiled.sql))
        .or_else(|| named_place(&message, &node.compiled.sql));
    let message = without_place(&message);
    let mut located = RunnerError::new(kind(found), message);
    if let Some(place) = place.and_then(|(l, c, n)| node.locate(l, c, n)) {
        located = located.with_location(place);
    }
    if let Some(hint) = hint {
        located = located.with_hint(hint);
    }
    located.with_source(error)
}

fn kind(error: &DataFusionError) -> ErrorKind {
    match error {
        DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::Execution(_)
        | DataFusionError::External(_) => ErrorKind::Source,
        DataFusionError::Internal(_) => ErrorKind::Internal,
        _ => ErrorKind::Sql,
    }
}

/// The first error of a collection, without the wrappers around it.
fn first(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Collection(errors) => errors.first().map_or(error, first),
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => {
            first(inner)
        }
        DataFusionError::Shared(inner) => first(inner),
        other => other,
    }
}

/// The first diagnostic with a place, anywhere in the chain.
fn diagnostic(error: &DataFusionError) -> Option<&Diagnostic> {
    match error {
        DataFusionError::Diagnostic(found, inner) => {
            found.span.map(|_| &**found).or_else(|| diagnostic(inner))
        }
        DataFusionError::Collection(errors) => errors.iter().find_map(diagnostic),
        DataFusionError::Context(_, inner) => diagnostic(inner),
        DataFusionError::Shared(inner) => diagnostic(inner),
        _ => None,
    }
}

fn span(diagnostic: &Diagnostic) -> Option<Place> {
    let span = diagnostic.span?;
    let length = if span.start.line == span.end.line {
        span.end.column.saturating_sub(span.start.column).max(1)
    } else {
        1
    };
    let number = |n: u64| usize::try_from(n).ok();
    Some((
        number(span.start.line)?,
        number(span.start.column)?,
        number(length)?,
    ))
}

/// Message and hint.
fn describe(error: &DataFusionError, relations: &[Relation]) -> (String, Option<String>) {
    if let DataFusionError::SchemaError(schema, _) = error
        && let SchemaError::FieldNotFound {
            field,
            valid_fields,
        } = &**schema
    {
        let mut seen = BTreeSet::new();
        let names = valid_fields.iter().map(|f| f.name());
        let names: Vec<&str> = names.filter(|n| seen.insert(*n)).collect();
        let mut message = format!("there is no column `{}`", field.flat_name());
        if !names.is_empty() {
            message.push_str(&format!("; found {}", listed(&names)));
        }
        return (message, did_you_mean(field.name(), names));
    }
    if let DataFusionError::SQL(parser, _) = error {
        let text = parser.to_string();
        let text = text.trim_start_matches("sql parser error: ");
        return (text.to_owned(), None);
    }
    if let Some((said, hint)) = told_by_store(error) {
        return (said, Some(hint));
    }
    let message = clean_message(error);
    if let Some(function) = without_over(&message) {
        let message = format!("`{function}` is a window function, called without OVER");
        let hint = format!("write `{function}(…) OVER (PARTITION BY … ORDER BY …)`");
        return (message, Some(hint));
    }
    if let Some((message, hint)) = message.split_once("Did you mean") {
        let name = hint.trim().trim_end_matches('?').trim_matches('\'');
        let message = message.trim().trim_end_matches('.').to_owned();
        return (
            lower_first(&message),
            Some(format!("did you mean `{name}`?")),
        );
    }
    if let Some((table, _)) = message.split_once(" has not been built yet") {
        let name = table.trim_matches('`').rsplit('.').next().unwrap_or(table);
        let hint = format!("build it first: `sessionize build --select +{name}`");
        return (message, Some(hint));
    }
    if let Some(table) = missing_table(&message) {
        let name = table.rsplit('.').next().unwrap_or(table);
        let spoken: Vec<String> = relations.iter().map(spoken).collect();
        let hint = relations
            .iter()
            .find(|r| r.name == name)
            .map(|r| format!("did you mean `{}`?", self::spoken(r)))
            .or_else(|| did_you_mean(table, spoken.iter().map(String::as_str)))
            .or_else(|| did_you_mean(name, relations.iter().map(|r| r.name.as_str())));
        return (format!("there is no table `{table}`"), hint);
    }
    (message, None)
}

/// The window function in ``Invalid function 'session_id'``.
fn without_over(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("Invalid function '")?;
    let (name, _) = rest.split_once('\'')?;
    let known = window_functions();
    known
        .iter()
        .any(|f| f.name() == name)
        .then(|| name.to_owned())
}

/// The notes added to `error` on its way, the outermost first.
fn notes(error: &DataFusionError) -> Vec<&str> {
    match error {
        DataFusionError::Context(note, inner) => {
            let mut notes = notes(inner);
            notes.insert(0, note);
            notes
        }
        DataFusionError::Diagnostic(_, inner) => notes(inner),
        DataFusionError::Shared(inner) => notes(inner),
        DataFusionError::Collection(errors) => {
            errors.first().map(notes).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// ``the file `…` is not readable``.
fn unreadable(error: &DataFusionError) -> Option<&str> {
    let names = |note: &&str| note.starts_with("the file `");
    notes(error).into_iter().rfind(names)
}

/// Where the SQL reads the source table of ``cannot read `source('a', 'b')` ``.
fn source_place(error: &DataFusionError, sql: &str) -> Option<Place> {
    let notes = notes(error);
    let note = notes
        .iter()
        .find(|n| n.starts_with("cannot read `source("))?;
    let mut names = note.split('\'').skip(1).step_by(2);
    let (source, table) = (names.next()?, names.next()?);
    [
        format!("\"{source}\".\"{table}\""),
        format!("{source}.{table}"),
    ]
    .iter()
    .find_map(|name| Some((sql.find(name)?, name)))
    .map(|(offset, name)| place_at(sql, offset, name))
}

/// The name in ``table 'a.b.c' not found``.
fn missing_table(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("table '")?;
    rest.strip_suffix("' not found")
}

fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}

/// The numbers in `… at Line: 3, Column: 5`.
fn parser_place(message: &str) -> Option<Place> {
    let (before, rest) = message.rsplit_once(" at Line: ")?;
    let (line, column) = rest.split_once(", Column: ")?;
    let digits = column.bytes().take_while(u8::is_ascii_digit).count();
    let length = before
        .rsplit_once("found: ")
        .map_or(1, |(_, t)| t.chars().count());
    let column = column.get(..digits)?.parse().ok()?;
    Some((line.trim().parse().ok()?, column, length.max(1)))
}

/// The message without `at Line: 3, Column: 5`, which speaks of the compiled SQL.
fn without_place(message: &str) -> String {
    match message.rsplit_once(" at Line: ") {
        Some((before, _)) => lower_first(before),
        None => message.to_owned(),
    }
}

/// Where the first of the names that the message quotes stands that stands only once.
fn named_place(message: &str, sql: &str) -> Option<Place> {
    let mut names = message.split(['`', '\'']).skip(1).step_by(2);
    names.find_map(|name| {
        let name = name.rsplit('.').next().unwrap_or(name);
        let mut found = sql.match_indices(name);
        let (offset, _) = found.next()?;
        if name.is_empty() || found.next().is_some() {
            return None;
        }
        Some(place_at(sql, offset, name))
    })
}

/// Where `name` stands at `offset`.
fn place_at(sql: &str, offset: usize, name: &str) -> Place {
    let before = sql.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rsplit('\n').next().unwrap_or(before);
    (line, start.chars().count() + 1, name.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::SessionizeExt;
    use datafusion::prelude::SessionContext;

    #[test]
    fn the_parser_says_where() {
        let message = "Expected: end of statement, found: frm at Line: 2, Column: 9";
        assert_eq!(parser_place(message), Some((2, 9, 3)));
        assert_eq!(
            without_place(message),
            "expected: end of statement, found: frm"
        );
    }

    #[tokio::test]
    async fn a_missing_column_lists_what_is_there() {
        let context = SessionContext::new();
        let sql = "select user_ix from (select 1 as user_id) as t";
        let error = super::super::sql::plan(&context, sql, false)
            .await
            .unwrap_err();
        let (message, hint) = describe(first(&error), &[]);
        assert_eq!(message, "there is no column `user_ix`; found `user_id`");
        assert_eq!(hint.as_deref(), Some("did you mean `user_id`?"));
    }

    #[tokio::test]
    async fn a_window_function_without_its_window_is_told_so() {
        let context = SessionContext::new().with_sessionize();
        let sql = "select session_number(t) from (select now() as t) as e";
        let error = super::super::sql::plan(&context, sql, false)
            .await
            .unwrap_err();
        let (message, hint) = describe(first(&error), &[]);
        let expected = "`session_number` is a window function, called without OVER";
        assert_eq!(message, expected);
        assert!(hint.is_some_and(|h| h.contains("OVER (PARTITION BY")));
    }

    #[tokio::test]
    async fn a_missing_table_has_a_hint() {
        let context = SessionContext::new();
        let planned = super::super::sql::plan(&context, "select * from sesions", false);
        let error = planned.await.unwrap_err();
        let relation = Relation {
            catalog: "p".into(),
            schema: "main".into(),
            name: "sessions".into(),
        };
        let (message, hint) = describe(first(&error), &[relation]);
        assert!(message.starts_with("there is no table `"), "{message}");
        assert!(hint.is_some_and(|h| h.contains("sessions")));
    }

    #[test]
    fn a_name_that_stands_once_is_found() {
        assert_eq!(
            named_place("no `b`", "select a,\n  b\nfrom t"),
            Some((2, 3, 1))
        );
        assert_eq!(named_place("no `a`", "select a, a"), None);
        let message = "`a`: argument `gap` is wrong";
        assert_eq!(named_place(message, "select a(gap => a)"), Some((1, 10, 3)));
    }
}
