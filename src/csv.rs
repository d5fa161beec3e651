//! CSV text -> rows that know their lines. Used by rules that are data, by seeds and by rows
//! of unit tests.

/// Header and records of a CSV text; an empty field is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CsvTable {
    /// Names of the columns.
    pub(crate) header: Vec<String>,
    /// Line of each record (from 1) and its fields, as many as the header's.
    pub(crate) records: Vec<(usize, Vec<Option<String>>)>,
}

/// What is wrong with a CSV text, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CsvError {
    /// Line, from 1.
    pub(crate) line: usize,
    /// What was expected and found.
    pub(crate) message: String,
}

/// Reads `text`: a header line, fields in double quotes may hold the delimiter, line
/// breaks and doubled quotes. Lines without any character are passed over.
pub(crate) fn parse_csv(text: &str, delimiter: char) -> Result<CsvTable, CsvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = split(text, delimiter)?.into_iter();
    let Some((_, names)) = records.next() else {
        return Err(CsvError {
            line: 1,
            message: "expected a header line, found an empty file".to_owned(),
        });
    };
    let header = header(names)?;
    let records = records.collect::<Vec<_>>();
    for (line, fields) in &records {
        if fields.len() != header.len() {
            return Err(CsvError {
                line: *line,
                message: format!(
                    "expected {} fields as in the header, found {}",
                    header.len(),
                    fields.len()
                ),
            });
        }
    }
    Ok(CsvTable { header, records })
}

/// The names of the first line of `text` as they are written: an empty one is ''.
pub(crate) fn header_names(text: &str, delimiter: char) -> Result<Vec<String>, CsvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = split(text, delimiter)?.into_iter().next();
    let names = first.map(|(_, names)| names).unwrap_or_default();
    Ok(names.into_iter().map(Option::unwrap_or_default).collect())
}

fn header(names: Vec<Option<String>>) -> Result<Vec<String>, CsvError> {
    let mut header: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let name = name.map(|n| n.trim().to_owned()).unwrap_or_default();
        let message = if name.is_empty() {
            format!("column {} has no name in the header", header.len() + 1)
        } else if header.contains(&name) {
            format!("column `{name}` stands twice in the header")
        } else {
            header.push(name);
            continue;
        };
        return Err(CsvError { line: 1, message });
    }
    Ok(header)
}

type Record = (usize, Vec<Option<String>>);

/// The state of the reader between two characters.
#[derive(Default)]
struct Reader {
    records: Vec<Record>,
    fields: Vec<Option<String>>,
    field: String,
    quoted: bool,
    line: usize,
    start: usize,
}

impl Reader {
    fn end_field(&mut self) {
        let field = std::mem::take(&mut self.field);
        self.fields.push((!field.is_empty()).then_some(field));
        self.quoted = false;
    }

    fn end_record(&mut self) {
        if !self.fields.is_empty() || !self.field.is_empty() || self.quoted {
            self.end_field();
            let fields = std::mem::take(&mut self.fields);
            self.records.push((self.start, fields));
        }
        self.line += 1;
        self.start = self.line;
    }
}

fn split(text: &str, delimiter: char) -> Result<Vec<Record>, CsvError> {
    let mut reader = Reader {
        line: 1,
        start: 1,
        ..Reader::default()
    };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if reader.field.is_empty() && !reader.quoted => {
                quoted(&mut reader, &mut chars)?;
            }
            c if c == delimiter => reader.end_field(),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' => reader.end_record(),
            c if reader.quoted => {
                return Err(CsvError {
                    line: reader.line,
                    message: format!("expected a delimiter after a quote, found `{c}`"),
                });
            }
            c => reader.field.push(c),
        }
    }
    reader.end_record();
    Ok(reader.records)
}

/// The rest of a quoted field.
fn quoted(
    reader: &mut Reader,
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<(), CsvError> {
    let opened = reader.line;
    reader.quoted = true;
    while let Some(c) = chars.next() {
        if c == '"' {
            if chars.next_if_eq(&'"').is_none() {
                return Ok(());
            }
        } else if c == '\n' {
            reader.line += 1;
        }
        reader.field.push(c);
    }
    Err(CsvError {
        line: opened,
        message: "a quote is opened and never closed".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(fields: &[&str]) -> Vec<Option<String>> {
        let field = |f: &&str| (!f.is_empty()).then(|| (*f).to_owned());
        fields.iter().map(field).collect()
    }

    #[test]
    fn quotes_hold_delimiters_breaks_and_quotes() {
        let table = parse_csv("a,b\n\"1,\"\"x\"\"\n2\",\r\n\n3,4", ',').unwrap();
        assert_eq!(table.header, ["a", "b"]);
        assert_eq!(table.records[0], (2, some(&["1,\"x\"\n2", ""])));
        assert_eq!(table.records[1], (5, some(&["3", "4"])));
        assert_eq!(table.records.len(), 2);
    }

    #[test]
    fn a_wrong_number_of_fields_names_the_line() {
        let error = parse_csv("a;b\n1;2\n3", ';').unwrap_err();
        assert_eq!(error.line, 3);
        assert_eq!(error.message, "expected 2 fields as in the header, found 1");
    }

    #[test]
    fn what_is_no_csv_is_refused() {
        for (text, line, message) in [
            ("", 1, "expected a header line, found an empty file"),
            ("a,a\n", 1, "column `a` stands twice in the header"),
            ("a,\n1,2", 1, "column 2 has no name in the header"),
            ("a\n1\n\"2", 3, "a quote is opened and never closed"),
            (
                "a\n\"1\"2",
                2,
                "expected a delimiter after a quote, found `2`",
            ),
        ] {
            let error = parse_csv(text, ',').unwrap_err();
            assert_eq!((error.line, error.message.as_str()), (line, message));
        }
    }
}
