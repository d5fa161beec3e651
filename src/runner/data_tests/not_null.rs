//! `not_null`: rows whose column is null.

use super::{TestInput, column};
use crate::runner::error::Result;

pub(super) fn sql(input: &TestInput<'_>) -> Result<String> {
    let column = column("not_null", input)?;
    Ok(format!(
        "select * from {} where {column} is null",
        input.relation
    ))
}
