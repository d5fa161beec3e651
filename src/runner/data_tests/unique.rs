//! `unique`: values that occur more than once, and how often. Nulls do not count.

use super::{TestInput, column};
use crate::runner::error::Result;

pub(super) fn sql(input: &TestInput<'_>) -> Result<String> {
    let column = column("unique", input)?;
    Ok(format!(
        "select {column} as unique_field, count(*) as n_records from {} \
         where {column} is not null group by {column} having count(*) > 1",
        input.relation
    ))
}
