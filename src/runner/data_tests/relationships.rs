//! `relationships`: values without a row in another relation. Nulls pass.

use super::{TestInput, column, text};
use crate::runner::error::Result;

pub(super) const ARGUMENTS: &[&str] = &["to", "field"];

pub(super) fn sql(input: &TestInput<'_>) -> Result<String> {
    let column = column("relationships", input)?;
    let to = text("relationships", input, "to")?;
    let field = text("relationships", input, "field")?;
    Ok(format!(
        "with child as (select {column} as from_field from {} where {column} is not null), \
         parent as (select {field} as to_field from {to}) \
         select from_field from child left join parent on child.from_field = parent.to_field \
         where parent.to_field is null",
        input.relation
    ))
}
