//! Rows of committed data files, and columns with the types of a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::DataFrame;

use crate::catalog::{FileTable, committed};
use crate::store::Stores;
use crate::table::{DataFile, TableVersion, cast_column};

/// The rows of `files`, which have the columns of `version`.
pub(super) fn rows_of(
    state: &SessionState,
    stores: &Stores,
    version: &TableVersion,
    files: &[DataFile],
) -> Result<DataFrame> {
    let some = TableVersion {
        url: version.url.clone(),
        version: version.version,
        changed_at: version.changed_at,
        schema: Arc::clone(&version.schema),
        files: files.into(),
        metadata: BTreeMap::new(),
    };
    let source = provider_as_source(committed(stores, &some)?);
    let plan = LogicalPlanBuilder::scan("committed", source, None)?.build()?;
    Ok(DataFrame::new(state.clone(), plan))
}

/// The rows of `version`, and behind their columns where each is, the file and the row.
pub(super) fn positioned_rows_of(
    state: &SessionState,
    stores: &Stores,
    version: &TableVersion,
) -> Result<DataFrame> {
    let table = committed(stores, version)?;
    let Some(table) = table.downcast_ref::<FileTable>() else {
        return internal_err!("a committed table is no table of files");
    };
    let source = provider_as_source(Arc::new(table.with_positions()));
    let plan = LogicalPlanBuilder::scan("committed", source, None)?.build()?;
    Ok(DataFrame::new(state.clone(), plan))
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
