//! The proposal as a table for people.

use super::look::Column;
use super::project::read_as;
use super::propose::Proposal;

/// What was found at `location` and what is made of it.
pub(super) fn table(location: &str, columns: &[Column], proposal: &Proposal) -> String {
    let mut rows =
        vec![["column", "type", "sample", "read as", "because"].map(str::to_owned)];
    for (index, column) in columns.iter().enumerate() {
        let (name, why) = read_as(index, columns, proposal);
        let name = name.unwrap_or_else(|| "-".to_owned());
        let sample = column.sample().replace(['\n', '\r', '\t'], " ");
        rows.push([column.name.clone(), column.type_name(), sample, name, why]);
    }
    let width = |at: usize| {
        let widths = rows.iter().map(|row| row[at].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut lines = Vec::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:<width$}  ");
        }
        line += &row[4];
        lines.push(line.trim_end().to_owned());
    }
    let (pack, why) = (proposal.pack.name(), &proposal.why);
    format!(
        "found in `{location}`:\n\n{}\n\npack: {pack} ({why})",
        lines.join("\n")
    )
}
