//! Rows of committed data files, and columns with the types of a table.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, Result, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, ident,
};
use datafusion::prelude::DataFrame;

use crate::catalog::{FILE_COLUMN, FileTable, ROW_COLUMN, committed};
use crate::store::Stores;
use crate::table::{DataFile, TableVersion, cast_column};

/// The rows of `files`, which have the columns of `version`.
pub(super) fn rows_of(
    state: &SessionState,
    stores: &Stores,
    version: &TableVersion,
    files: &[DataFile],
) -> Result<DataFrame> {
    let some = TableVersion::of_files(&version.url, &version.schema, files);
    scan(state, committed(stores, &some)?)
}

/// The rows of `version`, and behind their columns where each is, the file and the row.
pub(super) fn positioned_rows_of(
    state: &SessionState,
    stores: &Stores,
    version: &TableVersion,
) -> Result<DataFrame> {
    scan(state, committed(stores, version)?.with_positions())
}

/// Columns of positioned rows by their names, and behind them where each row is.
pub(super) fn with_places<'a>(
    rows: DataFrame,
    names: impl Iterator<Item = &'a String>,
) -> Result<DataFrame> {
    let names = names.map(|name| ident(name.clone()));
    let places = [ident(FILE_COLUMN), ident(ROW_COLUMN)];
    rows.select(names.chain(places).collect::<Vec<_>>())
}

/// The rows of a committed table.
pub(super) fn scan(state: &SessionState, table: FileTable) -> Result<DataFrame> {
    let source = provider_as_source(Arc::new(table));
    let plan = LogicalPlanBuilder::scan("committed", source, None)?.build()?;
    Ok(DataFrame::new(state.clone(), plan))
}

/// The column at `place` of `output` as it is committed as `field`.
pub(super) fn committed_column(output: &DFSchema, place: usize, field: &Field) -> Expr {
    let column = Expr::Column(Column::from(output.qualified_field(place)));
    as_committed(column, field).alias(field.name())
}

/// `column` with the type under which it is committed as `field`.
pub(super) fn as_committed(column: Expr, field: &Field) -> Expr {
    let function = AsCommitted {
        name: field.name().clone(),
        to: field.data_type().clone(),
        signature: Signature::any(1, Volatility::Immutable),
    };
    ScalarUDF::new_from_impl(function).call(vec![column])
}

/// The conversion of a table's writer, as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AsCommitted {
    name: String,
    to: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for AsCommitted {
    fn name(&self) -> &'static str {
        "as_committed"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(array) = arrays.first() else {
            return internal_err!("`as_committed` takes one argument");
        };
        let array: ArrayRef = cast_column(array, &self.to).map_err(|e| {
            let name = &self.name;
            e.context(format!("column `{name}` cannot be committed"))
        })?;
        Ok(ColumnarValue::Array(array))
    }
}
