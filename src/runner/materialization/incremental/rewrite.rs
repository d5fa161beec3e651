//! New rows and the rows that are there, joined: what is written anew.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::{Column, JoinType, NullEquality, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::count as count_of;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::changes::collect;
use super::columns::find;
use super::increment::{Increment, count, counted, outs};
use super::key_set::KeySet;
use super::rows::{as_committed, rows_of};
use crate::runner::compile::IncrementalStrategy;
use crate::runner::error::{ErrorKind, Result as RunnerResult, RunnerError};
use crate::runner::materialization::execution_error;
use crate::table::{Change, DataFile, TableVersion, Uncommitted};

/// The sides of a join.
const OLD: &str = "old";
const NEW: &str = "new";

/// Names that no committed column can have: Delta Lake allows no spaces in them.
const MATCHED: &str = "is matched";
const ROWS: &str = "number of rows";

/// What is to be committed, and what is said of it.
type Outcome = (Change, Uncommitted, String);

/// How an increment meets the rows that are there.
pub(super) struct Rewrite<'a> {
    of: &'a Increment<'a>,
    /// The columns by which rows match, as the table calls them; empty: none does.
    pub(super) key: Vec<String>,
}

impl<'a> Rewrite<'a> {
    pub(super) fn try_new(of: &'a Increment<'a>) -> RunnerResult<Self> {
        let config = &of.job.node.config;
        let (option, names) = match config.incremental.strategy {
            IncrementalStrategy::Merge | IncrementalStrategy::DeleteInsert => {
                ("unique_key", config.unique_key.as_slice())
            }
            IncrementalStrategy::InsertOverwrite => {
                ("partition_by", config.partition_by.as_slice())
            }
            IncrementalStrategy::Append | IncrementalStrategy::Keys => {
                ("", [].as_slice())
            }
        };
        let key = columns(of, option, names)?;
        Ok(Self { of, key })
    }

    /// The rows of the model's SQL under the target's columns; columns that they have not
    /// are null.
    pub(super) fn new_rows(&self) -> Result<DataFrame> {
        let schema = self.of.job.rows.schema();
        let columns = self.of.target.schema.fields().iter().map(|field| {
            let same = |i: &usize| {
                schema.field(*i).name().to_lowercase() == field.name().to_lowercase()
            };
            let value = match (0..schema.fields().len()).find(same) {
                Some(index) => {
                    let (qualifier, found) = schema.qualified_field(index);
                    let column = Expr::Column(Column::from((qualifier, found)));
                    as_committed(column, field)
                }
                None => lit(ScalarValue::try_new_null(field.data_type())?),
            };
            Ok(value.alias(field.name()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        self.of.job.rows.clone().select(columns)
    }

    /// All rows are added.
    pub(super) async fn append(&self, mut staged: Uncommitted) -> RunnerResult<Outcome> {
        let said = format!("appended: {} in", counted(count(staged.files())));
        let mut gone = Vec::new();
        if self.of.target.rewrites {
            gone = self.of.base.files.to_vec();
            let kept = self.old_rows(&gone).map_err(execution_error)?;
            staged.extend(self.of.write(kept).await?);
        }
        Ok((Change::Files(gone), staged, said))
    }

    /// Rows with the keys of the new ones go, and all new rows come.
    pub(super) async fn replace(
        &self,
        what: &str,
        mut staged: Uncommitted,
        nulls: NullEquality,
    ) -> RunnerResult<Outcome> {
        let came = count(staged.files());
        let touched = self.touched(&staged, nulls).await?;
        let mut went = count(&touched);
        if !touched.is_empty() {
            let kept = || {
                let old = self.old_rows(&touched)?.alias(OLD)?;
                let new = self.staged_rows(&staged)?.alias(NEW)?;
                self.join(old, new, JoinType::LeftAnti, nulls)
            };
            let kept = kept().map_err(execution_error)?;
            let kept = self.of.write(kept).await?;
            went -= count(kept.files());
            staged.extend(kept);
        }
        let said = outs(what, went, came);
        Ok((Change::Files(touched), staged, said))
    }

    /// Rows with the key of a new one are updated, the other new ones come.
    pub(super) async fn merge(&self, staged: Uncommitted) -> RunnerResult<Outcome> {
        let updates = self.updated_columns()?;
        self.refuse_duplicates(&staged).await?;
        let nulls = NullEquality::NullEqualsNothing;
        let rows = count(staged.files());
        let touched = self.touched(&staged, nulls).await?;
        if touched.is_empty() {
            let said = merged(rows, 0);
            return Ok((Change::Files(touched), staged, said));
        }
        let updated = self.updated_rows(&staged, &touched, &updates);
        let mut files = self.of.write(updated.map_err(execution_error)?).await?;
        let inserted = || {
            let old = self.old_rows(&touched)?.alias(OLD)?;
            let new = self.staged_rows(&staged)?.alias(NEW)?;
            self.join(new, old, JoinType::LeftAnti, nulls)
        };
        let inserted = inserted().map_err(execution_error)?;
        let inserted = self.of.write(inserted).await?;
        let said = merged(count(inserted.files()), rows - count(inserted.files()));
        files.extend(inserted);
        Ok((Change::Files(touched), files, said))
    }

    /// The rows of `touched`; where a new row has their key, `updates` are taken from it.
    fn updated_rows(
        &self,
        staged: &Uncommitted,
        touched: &[DataFile],
        updates: &[String],
    ) -> Result<DataFrame> {
        let old = self.old_rows(touched)?.alias(OLD)?;
        let new = self.staged_rows(staged)?;
        let new = new.with_column(MATCHED, lit(true))?.alias(NEW)?;
        let nulls = NullEquality::NullEqualsNothing;
        let joined = self.join(old, new, JoinType::Left, nulls)?;
        let matched = || column(NEW, MATCHED).is_not_null();
        let fields = self.of.target.schema.fields().iter();
        let columns = fields.map(|field| {
            let name = field.name();
            let old = column(OLD, name);
            let value = match updates.contains(name) {
                true => when(matched(), column(NEW, name)).otherwise(old)?,
                false => old,
            };
            Ok(value.alias(name))
        });
        joined.select(columns.collect::<Result<Vec<_>>>()?)
    }

    /// What `merge` takes from a new row: what is configured, and of that what it gives.
    fn updated_columns(&self) -> RunnerResult<Vec<String>> {
        let config = &self.of.job.node.config.incremental;
        let (update, exclude) =
            (&config.merge_update_columns, &config.merge_exclude_columns);
        if !update.is_empty() {
            return columns(self.of, "merge_update_columns", update);
        }
        let excluded = columns(self.of, "merge_exclude_columns", exclude)?;
        let fields = self.of.target.schema.fields().iter();
        let given = fields.filter(|f| find(&self.of.rows, f.name()).is_some());
        let updated = given.filter(|f| !excluded.contains(f.name()));
        Ok(updated.map(|f| f.name().clone()).collect())
    }

    /// Which row of two would win is nobody's guess: as in a warehouse, none does.
    async fn refuse_duplicates(&self, staged: &Uncommitted) -> RunnerResult<()> {
        let found = || {
            let key: Vec<_> = self.key.iter().map(ident).collect();
            let rows = self.with_key(self.staged_rows(staged)?)?;
            let rows = rows.aggregate(key.clone(), vec![count_of(lit(1)).alias(ROWS)])?;
            let rows = rows.filter(ident(ROWS).gt(lit(1_i64)))?;
            let first = key.into_iter().map(|k| k.sort(true, false)).collect();
            rows.sort(first)?.limit(0, Some(1))
        };
        let found = found().map_err(execution_error)?;
        let found = found.collect().await.map_err(execution_error)?;
        let Some(first) = found.iter().find(|batch| batch.num_rows() > 0) else {
            return Ok(());
        };
        let mut values = Vec::new();
        for (name, array) in self.key.iter().zip(first.columns()) {
            let value = array_value_to_string(array, 0);
            let value = value.map_err(|e| execution_error(e.into()))?;
            values.push(format!("`{name}` = `{value}`"));
        }
        let rows = first.column(self.key.len()).as_primitive::<Int64Type>();
        let message = format!(
            "the `unique_key` of `{}` is not unique among its new rows: {} have {}",
            self.of.job.node.name,
            rows.value(0),
            values.join(", ")
        );
        let hint = "`merge` needs one row a key: leave one in the SQL, or take \
                    `delete+insert`";
        Err(RunnerError::new(ErrorKind::Execution, message).with_hint(hint))
    }

    /// The files with a row that a new one can match; all of them if all must be written
    /// anew. Keys are hashed: a file too many is copied, never one too few.
    async fn touched(
        &self,
        staged: &Uncommitted,
        nulls: NullEquality,
    ) -> RunnerResult<Vec<DataFile>> {
        if self.of.target.rewrites {
            return Ok(self.of.base.files.to_vec());
        }
        let keys = self.keys(staged, nulls).await.map_err(execution_error)?;
        let mut touched = Vec::new();
        for file in self.of.base.files.iter() {
            let holds = self.holds(file, &keys).await;
            if holds.map_err(execution_error)? {
                touched.push(file.clone());
            }
        }
        Ok(touched)
    }

    /// The keys of the new rows.
    async fn keys(
        &self,
        staged: &Uncommitted,
        nulls: NullEquality,
    ) -> Result<Arc<KeySet>> {
        let types = self.key.iter().map(|name| {
            let field = self.of.target.schema.field_with_name(name)?;
            Ok(field.data_type().clone())
        });
        let pool = &self.of.state.runtime_env().memory_pool;
        let keys = Arc::new(KeySet::new(types.collect::<Result<_>>()?, pool));
        let mut rows = self.staged_rows(staged)?;
        if nulls == NullEquality::NullEqualsNothing {
            rows = self.with_key(rows)?;
        }
        let rows = rows.select(self.key.iter().map(ident).collect::<Vec<_>>())?;
        collect(rows, &[(&keys, self.key.len())]).await?;
        Ok(keys)
    }

    async fn holds(&self, file: &DataFile, keys: &Arc<KeySet>) -> Result<bool> {
        // a column that the table gets now has no values that could match
        let columns = self.key.iter().map(|name| {
            let there = find(&self.of.base.schema, name).is_some();
            let field = self.of.target.schema.field_with_name(name)?;
            let null = || ScalarValue::try_new_null(field.data_type()).map(lit);
            if there { Ok(ident(name)) } else { null() }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = self.files(std::slice::from_ref(file))?;
        let rows = rows.filter(keys.predicate(&columns))?.limit(0, Some(1))?;
        let found = rows.select(vec![lit(1)])?.collect().await?;
        Ok(found.iter().any(|batch| batch.num_rows() > 0))
    }

    /// `rows` without those that have a null in their key.
    fn with_key(&self, rows: DataFrame) -> Result<DataFrame> {
        let known = self.key.iter().map(|name| ident(name).is_not_null());
        match known.reduce(Expr::and) {
            Some(known) => rows.filter(known),
            None => Ok(rows),
        }
    }

    /// Joined by the key.
    fn join(
        &self,
        left: DataFrame,
        right: DataFrame,
        kind: JoinType,
        nulls: NullEquality,
    ) -> Result<DataFrame> {
        let side = |rows: &DataFrame| -> Vec<Column> {
            let schema = rows.schema();
            let columns = schema.columns().into_iter();
            let of_key = |name| columns.clone().find(|c| &c.name == name);
            self.key.iter().filter_map(of_key).collect()
        };
        let on = (side(&left), side(&right));
        let (state, left) = left.into_parts();
        let (_, right) = right.into_parts();
        let plan = LogicalPlanBuilder::from(left);
        let plan = plan.join_detailed(right, kind, on, None, nulls)?.build()?;
        Ok(DataFrame::new(state, plan))
    }

    fn files(&self, files: &[DataFile]) -> Result<DataFrame> {
        let stores = self.of.job.table.stores();
        rows_of(&self.of.state, stores, self.of.base, files)
    }

    /// The rows of files of the table, under the target's columns.
    fn old_rows(&self, files: &[DataFile]) -> Result<DataFrame> {
        let columns = self.of.target.schema.fields().iter().map(|field| {
            let value = match find(&self.of.base.schema, field.name()) {
                Some(old) if old.data_type() == field.data_type() => ident(old.name()),
                Some(old) => as_committed(ident(old.name()), field),
                None => lit(ScalarValue::try_new_null(field.data_type())?),
            };
            Ok(value.alias(field.name()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        self.files(files)?.select(columns)
    }

    /// The new rows, read back.
    fn staged_rows(&self, staged: &Uncommitted) -> Result<DataFrame> {
        let version = TableVersion {
            schema: Arc::clone(&self.of.target.schema),
            ..self.of.base.clone()
        };
        let stores = self.of.job.table.stores();
        rows_of(&self.of.state, stores, &version, staged.files())
    }
}

fn column(side: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(side), name))
}

fn merged(inserted: u64, updated: u64) -> String {
    format!("merged: {} inserted, {updated} updated", counted(inserted))
}

/// The columns that a configuration names, as the table calls them; the new rows must give
/// them.
fn columns(
    of: &Increment<'_>,
    option: &str,
    names: &[String],
) -> RunnerResult<Vec<String>> {
    let found = |name: &String| {
        let given = find(&of.target.schema, name);
        let given = given.filter(|_| find(&of.rows, name).is_some());
        if let Some(field) = given {
            return Ok(field.name().clone());
        }
        let known = of.rows.fields().iter().map(|f| f.name().as_str());
        Err(super::configured::no_such_column(
            option,
            name,
            &of.job.node.name,
            known,
        ))
    };
    names.iter().map(found).collect()
}
