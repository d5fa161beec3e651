//! A file's columns -> the lake's columns, value by value and inside predicates.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{
    Transformed, TransformedResult, TreeNode, TreeNodeRecursion,
};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, Literal};
use datafusion::physical_expr_adapter::{
    PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::PhysicalExpr;

use super::types::plain;
use super::{dotted, text};
use crate::timestamp::{convert, per_second};

/// What follows a column's name where one of its values does not fit.
pub(crate) const UNREADABLE_COLUMN: &str = "cannot be read";

/// Rewrites expressions over the lake's columns into expressions over one file's.
#[derive(Debug, Clone, Default)]
pub(super) struct LakeAdapterFactory {
    /// Columns that are also found under another case.
    pub(super) folded: Arc<BTreeSet<String>>,
    /// Columns may be fields of structs in the files.
    pub(super) flatten: bool,
}

impl PhysicalExprAdapterFactory for LakeAdapterFactory {
    fn create(
        &self,
        lake: SchemaRef,
        file: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        Ok(Arc::new(LakeAdapter {
            folded: Arc::clone(&self.folded),
            flatten: self.flatten,
            lake,
            file,
        }))
    }
}

#[derive(Debug)]
struct LakeAdapter {
    folded: Arc<BTreeSet<String>>,
    flatten: bool,
    lake: SchemaRef,
    file: SchemaRef,
}

impl PhysicalExprAdapter for LakeAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        expr.transform_down(|expr| {
            if let Some(comparison) = self.comparison(&expr)? {
                return Ok(Transformed::new(comparison, true, TreeNodeRecursion::Jump));
            }
            let Some(column) = expr.downcast_ref::<Column>() else {
                return Ok(Transformed::no(expr));
            };
            let read = self.column(column)?;
            Ok(Transformed::new(read, true, TreeNodeRecursion::Jump))
        })
        .data()
    }
}

impl LakeAdapter {
    fn column(&self, column: &Column) -> Result<Arc<dyn PhysicalExpr>> {
        let Ok(field) = self.lake.field_with_name(column.name()) else {
            return internal_err!("the lake has no column `{}`", column.name());
        };
        let folded = self.folded.contains(column.name());
        read_column(field, &self.file, folded, self.flatten)
    }

    /// A comparison of a timestamp with a literal, asked in the file's unit: row groups
    /// and pages can be skipped by their statistics then.
    fn comparison(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(binary) = expr.downcast_ref::<BinaryExpr>() else {
            return Ok(None);
        };
        let (column, literal) = (
            binary.left().downcast_ref::<Column>(),
            binary.right().downcast_ref::<Literal>(),
        );
        let (Some(column), Some(literal)) = (column, literal) else {
            return Ok(None);
        };
        let folded = self.folded.contains(column.name());
        let Some(index) = file_index(&self.file, column.name(), folded) else {
            return Ok(None);
        };
        let file_type = self.file.field(index).data_type();
        let Some((op, value)) = in_unit_of(file_type, *binary.op(), literal.value())
        else {
            return Ok(None);
        };
        let column = Column::new(self.file.field(index).name(), index);
        let literal = Literal::new(value);
        let comparison = BinaryExpr::new(Arc::new(column), op, Arc::new(literal));
        Ok(Some(Arc::new(comparison)))
    }
}

/// `column op value` for a column of type `file`, with the same truth for every row.
fn in_unit_of(
    file: &DataType,
    op: Operator,
    value: &ScalarValue,
) -> Option<(Operator, ScalarValue)> {
    let DataType::Timestamp(file_unit, zone) = file else {
        return None;
    };
    let DataType::Timestamp(unit, _) = value.data_type() else {
        return None;
    };
    let ticks = match value {
        ScalarValue::TimestampSecond(Some(t), _)
        | ScalarValue::TimestampMillisecond(Some(t), _)
        | ScalarValue::TimestampMicrosecond(Some(t), _)
        | ScalarValue::TimestampNanosecond(Some(t), _) => *t,
        _ => return None,
    };
    let (from, to) = (per_second(unit), per_second(*file_unit));
    let (op, ticks) = if to >= from {
        finer(op, ticks, to / from)?
    } else {
        coarser(op, ticks, from / to)?
    };
    let zone = zone.clone();
    let value = match file_unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(Some(ticks), zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(ticks), zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(ticks), zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(ticks), zone),
    };
    Some((op, value))
}

/// The file's ticks are rounded down when read: all ticks of a lake tick are equal to it.
fn finer(op: Operator, ticks: i64, factor: i64) -> Option<(Operator, i64)> {
    let first = ticks.checked_mul(factor)?;
    let next = || ticks.checked_add(1)?.checked_mul(factor);
    match op {
        Operator::GtEq | Operator::Lt => Some((op, first)),
        Operator::Gt => Some((Operator::GtEq, next()?)),
        Operator::LtEq => Some((Operator::Lt, next()?)),
        Operator::Eq | Operator::NotEq if factor == 1 => Some((op, first)),
        _ => None,
    }
}

/// The file's ticks are multiples of `factor` when read.
fn coarser(op: Operator, ticks: i64, factor: i64) -> Option<(Operator, i64)> {
    let below = ticks.div_euclid(factor);
    let exact = ticks.rem_euclid(factor) == 0;
    match op {
        Operator::Gt | Operator::LtEq => Some((op, below)),
        Operator::GtEq if exact => Some((op, below)),
        Operator::GtEq => Some((Operator::Gt, below)),
        Operator::Lt if exact => Some((op, below)),
        Operator::Lt => Some((Operator::LtEq, below)),
        Operator::Eq | Operator::NotEq if exact => Some((op, below)),
        _ => None,
    }
}

/// The index of the column called `name`: exactly, or (if `folded`) as the only one that
/// differs by case.
pub(super) fn file_index(file: &Schema, name: &str, folded: bool) -> Option<usize> {
    if let Ok(index) = file.index_of(name) {
        return Some(index);
    }
    let same = |f: &FieldRef| f.name().eq_ignore_ascii_case(name);
    let mut found = (0..file.fields().len()).filter(|i| same(&file.fields()[*i]));
    match (found.next(), found.next()) {
        (Some(index), None) if folded => Some(index),
        _ => None,
    }
}

/// The lake's column `field` out of a file with the schema `file`; `flatten`: also as a
/// field of a struct there.
pub(super) fn read_column(
    field: &Field,
    file: &Schema,
    folded: bool,
    flatten: bool,
) -> Result<Arc<dyn PhysicalExpr>> {
    let found = match file_index(file, field.name(), folded) {
        Some(index) => {
            let found = file.field(index);
            let column: Arc<dyn PhysicalExpr> =
                Arc::new(Column::new(found.name(), index));
            Some((column, found.data_type().clone()))
        }
        None if flatten => dotted::read(file, field.name(), folded)?,
        None => None,
    };
    let Some((column, from)) = found else {
        let null = ScalarValue::try_from(field.data_type())?;
        return Ok(Arc::new(Literal::new(null)));
    };
    let (from, to) = (&from, field.data_type());
    if from == to {
        return Ok(column);
    }
    if never_fails(from, to) {
        let to = Arc::new(Field::new(field.name(), to.clone(), true));
        let cast = CastExpr::new_with_target_field(column, to, None);
        return Ok(Arc::new(cast));
    }
    Ok(Arc::new(LakeCast {
        input: column,
        field: Arc::new(field.clone().with_nullable(true)),
    }))
}

/// Casts that the pruning of row groups understands and that no value breaks.
fn never_fails(from: &DataType, to: &DataType) -> bool {
    let widens = from.is_signed_integer()
        && to.is_signed_integer()
        && from.primitive_width() <= to.primitive_width();
    widens || (to == &DataType::Utf8 && plain(from) == DataType::Utf8)
}

/// A column's values as the lake's type; a value that does not fit is an error that names
/// column and value.
#[derive(Debug, Eq)]
struct LakeCast {
    input: Arc<dyn PhysicalExpr>,
    field: FieldRef,
}

// `PartialEq` is not derived because of <https://github.com/rust-lang/rust/issues/78808>;
// `Hash` reads the same fields.
impl std::hash::Hash for LakeCast {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.field.hash(state);
    }
}

impl PartialEq for LakeCast {
    fn eq(&self, other: &Self) -> bool {
        self.input.eq(&other.input) && self.field == other.field
    }
}

impl fmt::Display for LakeCast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lake_cast({} AS {})", self.input, self.field.data_type())
    }
}

impl PhysicalExpr for LakeCast {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let array = self.input.evaluate(batch)?.into_array(batch.num_rows())?;
        let (column, to) = (self.field.name(), self.field.data_type());
        match values(&array, to) {
            Ok(values) => Ok(ColumnarValue::Array(values)),
            Err(e) => exec_err!("column `{column}` {UNREADABLE_COLUMN}: {}", cause(&e)),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let Some(input) = children.pop() else {
            return internal_err!("a cast needs its input");
        };
        let field = Arc::clone(&self.field);
        Ok(Arc::new(Self { input, field }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What went wrong, without the names of the layers it went through.
fn cause(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::Execution(cause) => cause.clone(),
        DataFusionError::ArrowError(e, _) => match e.as_ref() {
            ArrowError::CastError(cause) | ArrowError::ParseError(cause) => cause.clone(),
            other => other.to_string(),
        },
        other => other.strip_backtrace(),
    }
}

fn values(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    match (plain(array.data_type()), to) {
        (DataType::Timestamp(_, _), DataType::Timestamp(unit, zone)) => {
            convert(&plain_values(array)?, *unit, zone.clone())
        }
        (DataType::Utf8, DataType::Timestamp(unit, zone)) => {
            convert(&instants(array)?, *unit, zone.clone())
        }
        (DataType::Date32, DataType::Timestamp(unit, zone)) => {
            let seconds = DataType::Timestamp(TimeUnit::Second, None);
            convert(&cast(&plain_values(array)?, &seconds)?, *unit, zone.clone())
        }
        (DataType::Timestamp(unit, _), DataType::Date32) => {
            let utc = convert(&plain_values(array)?, unit, None)?;
            Ok(cast_with_options(&utc, to, &strict)?)
        }
        (DataType::FixedSizeBinary(_), DataType::Utf8) => Ok(text::hex(array)),
        (from, DataType::Utf8) if from.is_nested() => text::json(array),
        _ => Ok(cast_with_options(array, to, &strict)?),
    }
}

/// Dictionaries and views taken off.
fn plain_values(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(array, &plain(array.data_type()))?)
}

/// ISO 8601 strings as instants; without an offset they are UTC.
fn instants(array: &ArrayRef) -> Result<ArrayRef> {
    let text = plain_values(array)?;
    let to = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    let mut instants = cast(&text, &to)?;
    if instants.null_count() > text.null_count() {
        let text = text.as_string::<i32>();
        let whole: StringArray = text.iter().map(|v| v.map(with_seconds)).collect();
        instants = cast(&whole, &to)?;
        if let Some(bad) =
            (0..text.len()).find(|i| text.is_valid(*i) && instants.is_null(*i))
        {
            let value = text.value(bad);
            return exec_err!(
                "`{value}` is not a timestamp (expected ISO 8601, such as `2024-01-31T12:00:00Z`)"
            );
        }
    }
    Ok(instants)
}

/// `2024-01-31T12:00Z` with its seconds; all else as it is.
fn with_seconds(value: &str) -> Cow<'_, str> {
    match value.split_at_checked("2024-01-31T12:00".len()) {
        Some((minute, zone))
            if minute.as_bytes().get(13) == Some(&b':') && !zone.starts_with(':') =>
        {
            Cow::Owned(format!("{minute}:00{zone}"))
        }
        _ => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::TimestampMicrosecondType;

    use super::*;

    #[test]
    fn seconds_may_be_left_out_of_texts() {
        let texts = [
            Some("2024-01-31T12:00Z"),
            None,
            Some("2024-01-31 13:30+01:30"),
            Some("2024-01-31T12:00"),
            Some("2024-01-31T12:00:00.5Z"),
            Some("2024-01-31"),
        ];
        let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let instants = instants(&array).unwrap();
        let noon = 1_706_702_400_000_000_i64;
        assert_eq!(
            instants
                .as_primitive::<TimestampMicrosecondType>()
                .iter()
                .collect::<Vec<_>>(),
            [
                Some(noon),
                None,
                Some(noon),
                Some(noon),
                Some(noon + 500_000),
                Some(noon - 43_200_000_000)
            ]
        );
        for text in [
            "2024-01-31T12",
            "2024-01-31T12:0",
            "soon",
            "2024-01-31T12:0é",
        ] {
            let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
            assert!(super::instants(&array).is_err(), "{text}");
        }
    }

    #[test]
    fn comparisons_keep_their_truth() {
        let operators = [
            Operator::Gt,
            Operator::GtEq,
            Operator::Lt,
            Operator::LtEq,
            Operator::Eq,
            Operator::NotEq,
        ];
        let holds = |op: Operator, a: i64, b: i64| match op {
            Operator::Gt => a > b,
            Operator::GtEq => a >= b,
            Operator::Lt => a < b,
            Operator::LtEq => a <= b,
            Operator::Eq => a == b,
            _ => a != b,
        };
        for (op, literal, tick) in operators
            .iter()
            .flat_map(|op| (-7..7).flat_map(move |l| (-70..70).map(move |t| (*op, l, t))))
        {
            if let Some((file_op, value)) = finer(op, literal, 5) {
                let lake = i64::div_euclid(tick, 5);
                assert_eq!(holds(op, lake, literal), holds(file_op, tick, value));
            }
            if let Some((file_op, value)) = coarser(op, literal, 5) {
                let lake = tick * 5;
                assert_eq!(holds(op, lake, literal), holds(file_op, tick, value));
            }
        }
    }
}
