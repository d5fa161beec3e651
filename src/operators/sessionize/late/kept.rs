//! Plans that keep columns of files as they are, and add others.

use std::collections::BTreeSet;
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

use super::beside::{Beside, JoinedRows};
use super::exec::LateSessionizeExec;
use super::narrow::{
    Through, below_filter, below_projections, inlined, named, project, repeatable,
};
use super::ready::{ready, widened};

/// What a plan gives, as columns of Parquet files and columns that it makes.
#[derive(Debug)]
pub(crate) struct KeptColumns {
    /// Where each column of the plan comes from.
    pub(crate) columns: Vec<ColumnSource>,
    /// The columns that it makes, in the order of the files, one group of files a partition.
    pub(crate) made: Arc<dyn ExecutionPlan>,
    /// What they are made of, with `made`: the other side of a left join.
    pub(crate) beside: Option<Beside>,
    /// Which rows it keeps, in a column of truth values: first of the rows of the files, then
    /// of those that were kept, and so on.
    pub(crate) keeps: Vec<Arc<dyn ExecutionPlan>>,
    pub(crate) files: Vec<FileGroup>,
    pub(crate) store: ObjectStoreUrl,
    /// The columns of files whose nulls alone a filter drops.
    pub(crate) not_null: BTreeSet<String>,
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
    /// `None` if `plan` does more than add columns to the rows of Parquet files and leave rows
    /// out, or keeps none of their columns.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        Self::over(plan, unpruned)
    }

    /// The same without the filters that look for nulls in nothing but columns of the files.
    pub(crate) fn without_nulls(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        Self::over(plan, without_null_filters)
    }

    /// `whole` makes rows, which come in the same order in every run, those of whole files.
    fn over(
        plan: &Arc<dyn ExecutionPlan>,
        whole: impl Fn(&Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>>,
    ) -> Result<Option<Self>> {
        if !is_sure(plan)? {
            return Ok(None);
        }
        let (base, through) = below_projections(plan);
        if let Some(mut join) = JoinedRows::of(&base)? {
            // the other side stays as it is: its files are others
            join.rows = whole(&join.rows)?;
            return Self::of_join(plan, &through, &join);
        }
        let Some(plan) = repeatable(plan)? else {
            return Ok(None);
        };
        let plan = whole(&plan)?;
        let (columns, made) = told_apart(&plan, |column| file_column(&plan, &column))?;
        if made.is_empty() {
            return Ok(None);
        }
        Self::new(columns, project(&plan, made)?, &plan)
    }

    /// The columns of `plan`, which are those of a left join `through` projections.
    fn of_join(
        plan: &Arc<dyn ExecutionPlan>,
        through: &Through,
        join: &JoinedRows,
    ) -> Result<Option<Self>> {
        let of_file = |column| {
            let column = through.of(&column)?;
            let column = column.downcast_ref::<Column>();
            let of_rows = column.and_then(|c| join.column_of_rows(c.index()));
            let Some(index) = of_rows else {
                return Ok(None);
            };
            file_column(&join.rows, &column_at(&join.rows, index))
        };
        let (columns, made) = told_apart(plan, of_file)?;
        if made.is_empty() {
            return Ok(None);
        }
        let made = made.into_iter().map(|column| {
            Ok(ProjectionExpr::new(through.of(&column.expr)?, column.alias))
        });
        let (rows, beside) = join.make(&made.collect::<Result<Vec<_>>>()?)?;
        let kept = Self::new(columns, rows, &join.rows)?;
        Ok(kept.map(|kept| Self {
            beside: Some(beside),
            ..kept
        }))
    }

    /// `None` if the files of `rows` are not read whole, or no column of them is kept.
    fn new(
        columns: Vec<ColumnSource>,
        made: Arc<dyn ExecutionPlan>,
        rows: &Arc<dyn ExecutionPlan>,
    ) -> Result<Option<Self>> {
        let keeps_some = columns.iter().any(|c| matches!(c, ColumnSource::File(_)));
        let Some(scan) = whole_scan(rows)?.filter(|_| keeps_some) else {
            return Ok(None);
        };
        let (mut keeps, mut not_null) = (Vec::new(), BTreeSet::new());
        rows.apply(|node| {
            if let Some(filter) = node.downcast_ref::<FilterExec>() {
                not_null.extend(null_filter(filter)?.unwrap_or_default());
                let passes = Arc::clone(filter.predicate());
                let passes = ProjectionExpr::new(passes, "__keeps".to_owned());
                keeps.push(project(filter.input(), vec![passes])?);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        keeps.reverse();
        Ok(Some(Self {
            columns,
            made,
            beside: None,
            keeps,
            files: scan.file_groups.clone(),
            store: scan.object_store_url.clone(),
            not_null,
        }))
    }
}

fn column_at(plan: &Arc<dyn ExecutionPlan>, index: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(plan.schema().field(index).name(), index))
}

/// Where each column of `plan` comes from, and those that are made.
fn told_apart(
    plan: &Arc<dyn ExecutionPlan>,
    of_file: impl Fn(Arc<dyn PhysicalExpr>) -> Result<Option<String>>,
) -> Result<(Vec<ColumnSource>, Vec<ProjectionExpr>)> {
    let (mut columns, mut made) = (Vec::new(), Vec::new());
    for index in 0..plan.schema().fields().len() {
        let column = column_at(plan, index);
        columns.push(match of_file(Arc::clone(&column))? {
            Some(name) => ColumnSource::File(name),
            None => {
                made.push(ProjectionExpr::new(column, format!("__{index}")));
                ColumnSource::Made(made.len() - 1)
            }
        });
    }
    Ok((columns, made))
}

/// The scan below rows that come in the same order in every run, if it gives all rows.
fn whole_scan(rows: &Arc<dyn ExecutionPlan>) -> Result<Option<FileScanConfig>> {
    let mut scan = None;
    rows.apply(|node| {
        if let Some(source) = node.downcast_ref::<DataSourceExec>() {
            let files = source.data_source().downcast_ref::<FileScanConfig>();
            scan = files.filter(|files| reads_all(files)).cloned();
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scan)
}

/// Whether no expression gives another value each time it is evaluated: those of filters, and
/// of columns that are used twice, are evaluated more than once.
fn is_sure(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut sure = true;
    plan.apply(|node| {
        node.apply_expressions(&mut |expression| {
            sure &= !is_volatile(expression);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(sure)
}

/// `plan`, whose scans leave no rows out because a column is null there: the filter above does
/// that too, and row groups without any value are few.
fn unpruned(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let unpruned = widened(Arc::clone(plan))?.transform_up(|node| {
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

/// The columns of files of which a filter drops the nulls; `None` if it does anything else.
fn null_filter(filter: &FilterExec) -> Result<Option<Vec<String>>> {
    let parts = split_conjunction(filter.predicate()).into_iter();
    let columns = parts.map(|part| match part.downcast_ref::<IsNotNullExpr>() {
        Some(part) => file_column(filter.input(), part.arg()),
        None => Ok(None),
    });
    columns.collect()
}

/// `plan` [`unpruned`], and without the filters that drop nothing but nulls of files.
fn without_null_filters(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let without = unpruned(plan)?.transform_up(|node| {
        let filter = node.downcast_ref::<FilterExec>();
        let Some(filter) = filter else {
            return Ok(Transformed::no(node));
        };
        if null_filter(filter)?.is_none() {
            return Ok(Transformed::no(node));
        }
        let input = filter.input();
        Ok(Transformed::yes(match filter.projection() {
            Some(kept) => project(input, named(kept, input))?,
            None => Arc::clone(input),
        }))
    })?;
    ready(without.data)
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
