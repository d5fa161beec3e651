//! From places in compiled SQL back to the file.

use std::sync::Arc;

use super::{Node, NodeKind, SourceMap};
use crate::runner::error::Location;
use crate::runner::template::location_at;

impl SourceMap {
    /// The source range behind the rendered bytes `start..end`.
    pub(super) fn source_range(
        &self,
        start: usize,
        end: usize,
    ) -> Option<(usize, usize)> {
        let next = self.spans.partition_point(|span| span.1 <= start);
        let inside = self.spans.get(next).filter(|span| span.0 <= start);
        let Some(&(out, out_end, from, from_end)) = inside else {
            // Between spans: the nearest mapped place before, else the first one.
            let (_, _, _, near) = *next
                .checked_sub(1)
                .and_then(|i| self.spans.get(i))
                .or_else(|| self.spans.first())?;
            return Some((near, near));
        };
        if out_end - out != from_end - from {
            return Some((from, from_end));
        }
        let first = from + (start - out);
        Some((first, first + (end.min(out_end).saturating_sub(start))))
    }
}

/// The byte offset of `line` and `column` (characters, from 1) in `text`.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let line_start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = &text[line_start..];
    let within = rest.char_indices().nth(column.saturating_sub(1));
    line_start + within.map_or(rest.len(), |(at, _)| at)
}

impl Node {
    /// The place in the node's own file for `line` and `column` (from 1) of its compiled
    /// SQL; `None` if the node has no file.
    pub fn locate(&self, line: usize, column: usize, length: usize) -> Option<Location> {
        match &self.kind {
            NodeKind::DataTest { test, .. } => return Some(test.location.clone()),
            NodeKind::UnitTest { test, .. } => return Some(test.location.clone()),
            _ => {}
        }
        let file = self.file.as_ref()?;
        let sql = &self.compiled.sql;
        let start = offset_of(sql, line, column);
        let marked: usize = sql[start..]
            .chars()
            .take(length.max(1))
            .map(char::len_utf8)
            .sum();
        let (from, to) = self.compiled.map.source_range(start, start + marked)?;
        Some(location_at(&file.path, &Arc::clone(&file.text), from, to))
    }

    /// Where the node begins: the first line of its SQL, else its entry in a property file.
    pub fn start(&self) -> Option<Location> {
        let lines = self.compiled.sql.lines().zip(1..);
        let mut filled = lines.filter(|(text, _)| !text.trim().is_empty());
        match filled.next() {
            Some((text, line)) => {
                let column = text.len() - text.trim_start().len() + 1;
                self.locate(line, column, text.trim().chars().count())
            }
            None => self.properties.location.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_text_runs_in_step_and_expressions_map_whole() {
        // source: `a {{ xx }} b`, rendered: `a LONGER b`
        let map = SourceMap {
            spans: vec![(0, 2, 0, 2), (2, 8, 5, 7), (8, 10, 10, 12)],
        };
        assert_eq!(map.source_range(0, 1), Some((0, 1)));
        assert_eq!(map.source_range(4, 5), Some((5, 7)));
        assert_eq!(map.source_range(9, 10), Some((11, 12)));
        assert_eq!(map.source_range(40, 41), Some((12, 12)));
        assert_eq!(SourceMap::default().source_range(0, 1), None);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(offset_of("é\r\nab", 2, 2), 5);
        assert_eq!(offset_of("é b", 1, 3), 3);
        assert_eq!(offset_of("a", 9, 9), 1);
    }
}
