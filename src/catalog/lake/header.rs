//! The header of a CSV file: mistakes that a reader by position and name would not tell.

use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use futures::StreamExt;
use object_store::{ObjectMeta, ObjectStore};

use super::bytes::chunks;
use super::files::{compression, delimiter};
use crate::csv::header_names;

/// A header longer than this is left to the reader.
const LONGEST: usize = 1 << 20;

/// Refuses a header with names that come twice, or of one name that another delimiter cuts.
pub(super) async fn check_header(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
) -> Result<()> {
    let line = first_line(store, file).await?;
    let Ok(line) = String::from_utf8(line) else {
        return plan_err!("its header is not UTF-8; write the file as UTF-8");
    };
    let delimiter = char::from(delimiter(&file.location));
    match header_names(&line, delimiter) {
        Ok(names) => check(&names, delimiter),
        // what is no CSV is told by the reader
        Err(_) => Ok(()),
    }
}

/// The file's first line; line breaks within quotes do not end it.
async fn first_line(store: &Arc<dyn ObjectStore>, file: &ObjectMeta) -> Result<Vec<u8>> {
    let mut chunks = chunks(store, file, compression(&file.location)).await?;
    let (mut line, mut quoted) = (Vec::new(), false);
    while let Some(chunk) = chunks.next().await {
        for byte in chunk? {
            quoted ^= byte == b'"';
            if (byte == b'\n' && !quoted) || line.len() > LONGEST {
                return Ok(line);
            }
            line.push(byte);
        }
    }
    Ok(line)
}

fn check(names: &[String], delimiter: char) -> Result<()> {
    if let [only] = names
        && let Some(other) = [';', '\t', '|', ','].iter().find(|d| only.contains(**d))
    {
        return plan_err!(
            "its header is one column, `{}`: the fields seem to be separated by {}, and {} is expected; write the file with commas, or with tabs as `.tsv`",
            only.escape_debug(),
            shown(*other),
            shown(delimiter)
        );
    }
    for (index, name) in names.iter().enumerate() {
        let Some(first) = names[..index].iter().position(|n| n == name) else {
            continue;
        };
        let (first, second) = (first + 1, index + 1);
        return match name.as_str() {
            "" => plan_err!(
                "the columns {first} and {second} of its header have no name; at most one may have none"
            ),
            name => plan_err!(
                "the columns {first} and {second} of its header are both called `{name}`"
            ),
        };
    }
    Ok(())
}

fn shown(delimiter: char) -> String {
    match delimiter {
        '\t' => "a tab".to_owned(),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_would_be_misread_are_told() {
        let found = |header: &str, delimiter| {
            let names = header_names(header, delimiter).expect("a header");
            check(&names, delimiter).map_err(|e| e.message().into_owned())
        };
        for (header, delimiter, named) in [
            ("a;b", ',', "separated by `;`, and `,` is expected"),
            ("a|b", ',', "separated by `|`"),
            ("a\tb", ',', "separated by a tab"),
            ("a,b", '\t', "separated by `,`, and a tab is expected"),
            (
                "a,b,a",
                ',',
                "the columns 1 and 3 of its header are both called `a`",
            ),
            ("a,,", ',', "the columns 2 and 3 of its header have no name"),
        ] {
            let error = found(header, delimiter).expect_err(header);
            assert!(error.contains(named), "{error}");
        }
        for (header, delimiter) in
            [("a,b;c", ','), (",a", ','), ("a", ','), ("a\tA", '\t')]
        {
            assert!(found(header, delimiter).is_ok(), "{header}");
        }
    }
}
