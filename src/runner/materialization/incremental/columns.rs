//! The columns of new rows against those of the table: `on_schema_change`.

use std::fmt::{self, Display};
use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};

use crate::runner::compile::OnSchemaChange;
use crate::runner::error::{ErrorKind, Result, RunnerError};

/// How the columns of some rows differ from those of a table. Names are compared as Delta
/// Lake does, without regard to case; the order of columns is no difference.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SchemaChange {
    /// Columns that the table has not.
    added: Vec<FieldRef>,
    /// Columns that the rows have not.
    missing: Vec<FieldRef>,
    /// Columns of another type: in the table, in the rows.
    retyped: Vec<(FieldRef, FieldRef)>,
}

impl SchemaChange {
    /// What changes from `table` to `rows`.
    pub(super) fn between(table: &Schema, rows: &Schema) -> Self {
        let mut change = Self::default();
        for new in rows.fields() {
            match find(table, new.name()) {
                None => change.added.push(Arc::clone(new)),
                Some(old) if old.data_type() != new.data_type() => {
                    change.retyped.push((Arc::clone(old), Arc::clone(new)));
                }
                Some(_) => {}
            }
        }
        let missing = table.fields().iter();
        let missing = missing.filter(|old| find(rows, old.name()).is_none());
        change.missing.extend(missing.cloned());
        change
    }

    /// The error of `on_schema_change: fail`; none if nothing differs.
    pub(super) fn refuse(&self, model: &str) -> Result<()> {
        if *self == Self::default() {
            return Ok(());
        }
        let message =
            format!("the columns of `{model}` are not those of its table: {self}");
        let hint = "`--full-refresh` rebuilds the table; `on_schema_change: \
                    append_new_columns` or `sync_all_columns` lets it change";
        Err(RunnerError::new(ErrorKind::Sql, message).with_hint(hint))
    }

    fn refuse_missing(&self, model: &str) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let names = listed(&self.missing, |f| format!("`{}`", f.name()));
        let message =
            format!("`{model}` no longer gives columns that its table has: {names}");
        let hint = "select them (`null as …` will do), or let the table change with \
                    `on_schema_change: sync_all_columns` or `--full-refresh`";
        Err(RunnerError::new(ErrorKind::Sql, message).with_hint(hint))
    }
}

impl Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed =
            |field: &FieldRef| format!("`{}` {}", field.name(), field.data_type());
        let retyped = |(old, new): &(FieldRef, FieldRef)| {
            let (from, to) = (old.data_type(), new.data_type());
            format!("`{}` {from} to {to}", old.name())
        };
        let parts = [
            ("added", listed(&self.added, typed)),
            ("missing", listed(&self.missing, typed)),
            ("retyped", listed(&self.retyped, retyped)),
        ];
        let parts = parts.iter().filter(|(_, list)| !list.is_empty());
        let parts: Vec<_> = parts.map(|(what, list)| format!("{what} {list}")).collect();
        f.write_str(&parts.join("; "))
    }
}

fn listed<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// The column of that name, whatever its case.
pub(super) fn find<'a>(schema: &'a Schema, name: &str) -> Option<&'a FieldRef> {
    let same = |field: &&FieldRef| field.name().to_lowercase() == name.to_lowercase();
    schema.fields().iter().find(same)
}

/// The columns a table has after an increment.
#[derive(Debug)]
pub(super) struct Target {
    /// All of them; those the table has come first, in its order.
    pub(super) schema: SchemaRef,
    /// Whether the rows that are there must be written anew: a column goes or gets another
    /// type. Files in which a dropped column lies on would bring its values back if a column
    /// of that name came again.
    pub(super) rewrites: bool,
    /// What is said of the change.
    pub(super) said: Option<String>,
}

impl Target {
    /// What becomes of `table` when `model` gives rows with the columns `rows`.
    pub(super) fn of(
        policy: OnSchemaChange,
        model: &str,
        table: &SchemaRef,
        rows: &SchemaRef,
    ) -> Result<Self> {
        let change = SchemaChange::between(table, rows);
        let mut target = Self {
            schema: Arc::clone(table),
            rewrites: false,
            said: None,
        };
        match policy {
            OnSchemaChange::Ignore => change.refuse_missing(model)?,
            OnSchemaChange::Fail => change.refuse(model)?,
            OnSchemaChange::AppendNewColumns => {
                target.change_to(table.fields().iter().cloned(), &change.added);
                let added = SchemaChange {
                    added: change.added,
                    ..SchemaChange::default()
                };
                target.say(&added);
            }
            OnSchemaChange::SyncAllColumns => {
                let kept = table.fields().iter().filter_map(|old| {
                    let new = find(rows, old.name())?;
                    Some(Arc::new(new.as_ref().clone().with_name(old.name())))
                });
                target.change_to(kept, &change.added);
                target.rewrites =
                    !change.missing.is_empty() || !change.retyped.is_empty();
                target.say(&change);
            }
        }
        Ok(target)
    }

    fn change_to(&mut self, kept: impl Iterator<Item = FieldRef>, added: &[FieldRef]) {
        let fields: Vec<_> = kept.chain(added.iter().cloned()).collect();
        self.schema = Arc::new(Schema::new(fields));
    }

    fn say(&mut self, change: &SchemaChange) {
        if *change != SchemaChange::default() {
            self.said = Some(format!("columns: {change}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field};

    use super::*;

    fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
        let field = |(name, to): &(&str, DataType)| Field::new(*name, to.clone(), true);
        Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()))
    }

    fn table() -> SchemaRef {
        use DataType::{Int64, Utf8};
        schema(&[("id", Int64), ("a", Utf8), ("b", Int64)])
    }

    fn rows() -> SchemaRef {
        use DataType::{Int64, Utf8};
        schema(&[("c", Utf8), ("B", Utf8), ("ID", Int64)])
    }

    #[test]
    fn every_policy_has_its_columns() {
        let of = |policy| Target::of(policy, "m", &table(), &rows());
        let names = |target: &Target| {
            let fields = target.schema.fields().iter();
            let shown = fields.map(|f| format!("{} {}", f.name(), f.data_type()));
            shown.collect::<Vec<_>>().join(", ")
        };
        let error = of(OnSchemaChange::Ignore).unwrap_err();
        assert_eq!(
            error.message(),
            "`m` no longer gives columns that its table has: `a`"
        );
        let error = of(OnSchemaChange::Fail).unwrap_err();
        assert_eq!(
            error.message(),
            "the columns of `m` are not those of its table: added `c` Utf8; \
             missing `a` Utf8; retyped `b` Int64 to Utf8"
        );
        let appended = of(OnSchemaChange::AppendNewColumns).unwrap();
        assert_eq!(names(&appended), "id Int64, a Utf8, b Int64, c Utf8");
        assert!(!appended.rewrites);
        assert_eq!(appended.said.as_deref(), Some("columns: added `c` Utf8"));
        let synced = of(OnSchemaChange::SyncAllColumns).unwrap();
        assert_eq!(names(&synced), "id Int64, b Utf8, c Utf8");
        assert!(synced.rewrites);
    }

    #[test]
    fn columns_that_are_alike_are_left_alone() {
        use DataType::{Int64, Utf8};
        let rows = schema(&[("b", Int64), ("a", Utf8), ("Id", Int64)]);
        for policy in [
            OnSchemaChange::Ignore,
            OnSchemaChange::Fail,
            OnSchemaChange::AppendNewColumns,
            OnSchemaChange::SyncAllColumns,
        ] {
            let target = Target::of(policy, "m", &table(), &rows).unwrap();
            assert_eq!(target.schema, table());
            assert!(!target.rewrites && target.said.is_none());
        }
    }
}
