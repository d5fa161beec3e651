//! Plans that keep columns of files as they are, and add others.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::expressions::{Column, IsNotNullExpr, lit};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::split_conjunction;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::exec::LateSessionizeExec;
use super::narrow::{below_filter, below_projections, inlined, project};
use super::ready::ready;

/// What a plan gives, as columns of Parquet files and columns that it makes.
#[derive(Debug)]
pub(crate) struct KeptColumns {
    /// Where each column of the plan comes from.
    pub(crate) columns: Vec<ColumnSource>,
    /// The columns that it makes, in the order of the files, one group of files a partition.
    pub(crate) made: Arc<dyn ExecutionPlan>,
    /// Which rows it keeps, in a column of truth values: first of the rows of the files, then
    /// of those that were kept, and so on.
    pub(crate) keeps: Vec<Arc<dyn ExecutionPlan>>,
    pub(crate) files: Vec<FileGroup>,
    pub(crate) store: ObjectStoreUrl,
}

/// Where a column comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnSource {
    /// A column of the files, by name.
    File(String),
    /// A place among the columns made.
    Made(usize),
}

impl KeptColumns {
    /// `None` if `plan` is not one of [`LateSessionizeExec`] over nothing but Parquet files, or
    /// keeps none of their columns.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let plan = &unpruned(plan)?;
        let Some(scan) = whole_scan(plan)? else {
            return Ok(None);
        };
        let mut made = Vec::new();
        let mut columns = Vec::new();
        for (index, field) in plan.schema().fields().iter().enumerate() {
            let column: Arc<dyn PhysicalExpr> =
                Arc::new(Column::new(field.name(), index));
            columns.push(match file_column(plan, &column)? {
                Some(name) => ColumnSource::File(name),
                None => {
                    made.push(ProjectionExpr::new(column, format!("__{index}")));
                    ColumnSource::Made(made.len() - 1)
                }
            });
        }
        if made.is_empty() || made.len() == columns.len() {
            return Ok(None);
        }
        let mut keeps = Vec::new();
        plan.apply(|node| {
            if let Some(filter) = node.downcast_ref::<FilterExec>() {
                let passes = Arc::clone(filter.predicate());
                let passes = ProjectionExpr::new(passes, "__keeps".to_owned());
                keeps.push(project(filter.input(), vec![passes])?);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        keeps.reverse();
        Ok(Some(Self {
            columns,
            made: project(plan, made)?,
            keeps,
            files: scan.file_groups.clone(),
            store: scan.object_store_url.clone(),
        }))
    }
}

/// The scan below, if all its rows come, and in the same order in every run.
fn whole_scan(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<FileScanConfig>> {
    let (mut late, mut sure, mut scan) = (false, true, None);
    plan.apply(|node| {
        late |= node.is::<LateSessionizeExec>();
        sure &= node.fetch().is_none() && is_sure(node)?;
        if node.children().len() > 1 {
            return Ok(TreeNodeRecursion::Stop);
        }
        if let Some(source) = node.downcast_ref::<DataSourceExec>() {
            let files = source.data_source().downcast_ref::<FileScanConfig>();
            scan = files.filter(|files| reads_all(files)).cloned();
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scan.filter(|_| late && sure))
}

/// Whether no expression gives another value each time it is evaluated: those of filters, and
/// of columns that are used twice, are evaluated more than once.
fn is_sure(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut sure = true;
    plan.apply_expressions(&mut |expression| {
        sure &= !is_volatile(expression);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(sure)
}

/// `plan`, whose scans leave no rows out because a column is null there: the filter above does
/// that too, and row groups without any value are few.
fn unpruned(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let unpruned = Arc::clone(plan).transform_up(|node| {
        let source = node.downcast_ref::<DataSourceExec>();
        let files = source.and_then(|s| s.data_source().downcast_ref::<FileScanConfig>());
        let parquet = files.and_then(|f| f.file_source().downcast_ref::<ParquetSource>());
        let (Some(files), Some(parquet)) = (files, parquet) else {
            return Ok(Transformed::no(node));
        };
        let predicate = FileSource::filter(parquet);
        let of_nulls = predicate.is_some_and(|predicate| {
            let parts = split_conjunction(&predicate);
            parts.iter().all(|part| part.is::<IsNotNullExpr>())
        });
        if !of_nulls || parquet.table_parquet_options().global.pushdown_filters {
            return Ok(Transformed::no(node));
        }
        let whole = Arc::new(parquet.with_predicate(lit(true)));
        let files = FileScanConfigBuilder::from(files.clone()).with_source(whole);
        let scan = DataSourceExec::from_data_source(files.build());
        Ok(Transformed::yes(scan as Arc<dyn ExecutionPlan>))
    })?;
    match unpruned.transformed {
        true => ready(unpruned.data),
        false => Ok(unpruned.data),
    }
}

fn reads_all(files: &FileScanConfig) -> bool {
    let parquet = files.file_source().downcast_ref::<ParquetSource>();
    let extended = files.file_groups.iter().flat_map(FileGroup::files);
    let all = |predicate: Arc<dyn PhysicalExpr>| predicate == lit(true);
    parquet.is_some_and(|parquet| FileSource::filter(parquet).is_none_or(all))
        && extended.into_iter().all(|file| file.extensions.is_empty())
}

/// The column of the files that `expression` is; `None` if it is made.
fn file_column(
    plan: &Arc<dyn ExecutionPlan>,
    expression: &Arc<dyn PhysicalExpr>,
) -> Result<Option<String>> {
    let (base, through) = below_projections(plan);
    let expression = through.of(expression)?;
    if !expression.is::<Column>() {
        return Ok(None);
    }
    if let Some(filter) = base.downcast_ref::<FilterExec>() {
        let column = ProjectionExpr::new(expression, String::new());
        let columns = below_filter(filter, vec![column])?;
        return match columns.first() {
            Some(column) => file_column(filter.input(), &column.expr),
            None => Ok(None),
        };
    }
    if let Some(late) = base.downcast_ref::<LateSessionizeExec>() {
        return match (late.output(&expression), late.children()[..].first()) {
            (None, Some(input)) => file_column(input, &expression),
            _ => Ok(None),
        };
    }
    let Some(source) = base.downcast_ref::<DataSourceExec>() else {
        return Ok(None);
    };
    let Some(files) = source.data_source().downcast_ref::<FileScanConfig>() else {
        return Ok(None);
    };
    let expression = match files.file_source().projection() {
        Some(projection) => inlined(&expression, projection.as_ref())?,
        None => expression,
    };
    let column = expression.downcast_ref::<Column>();
    let schema = files.file_schema();
    let field = column.and_then(|column| schema.fields().get(column.index()));
    Ok(field.map(|field| field.name().clone()))
}
