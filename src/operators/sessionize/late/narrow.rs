//! Plans that give the same rows in the same order each time they run, and the same rows
//! with fewer columns.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{
    Transformed, TransformedResult, TreeNode, TreeNodeRecursion,
};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning, PhysicalExpr};

use super::exec::LateSessionizeExec;

/// `plan`, so that it gives the same rows in the same order in every run; `None` if that is
/// not sure.
pub(super) fn repeatable(
    plan: &Arc<dyn ExecutionPlan>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
        return Ok(repeatable_scan(plan, source));
    }
    // it spreads batches over more partitions: their number is all that is lost
    if let Some(repartition) = plan.downcast_ref::<RepartitionExec>()
        && let Partitioning::RoundRobinBatch(_) = repartition.partitioning()
    {
        return repeatable(repartition.input());
    }
    let keeps_rows = plan.is::<CooperativeExec>();
    let late = plan.is::<LateSessionizeExec>();
    let projection = plan.downcast_ref::<ProjectionExec>();
    let projects =
        projection.is_some_and(|p| p.expr().iter().all(|e| !is_volatile(&e.expr)));
    let filter = plan.downcast_ref::<FilterExec>();
    let filters = filter.is_some_and(|f| !is_volatile(f.predicate()));
    let [child] = plan.children()[..] else {
        return Ok(None);
    };
    if plan.fetch().is_some() || !(keeps_rows || late || projects || filters) {
        return Ok(None);
    }
    let Some(child) = repeatable(child)? else {
        return Ok(None);
    };
    replace_children_if_necessary(Arc::clone(plan), vec![child]).map(Some)
}

fn repeatable_scan(
    plan: &Arc<dyn ExecutionPlan>,
    source: &DataSourceExec,
) -> Option<Arc<dyn ExecutionPlan>> {
    let source = source.data_source();
    if source.fetch().is_some() {
        return None;
    }
    if source.is::<MemorySourceConfig>() {
        return Some(Arc::clone(plan));
    }
    // other formats have to be read whole, whichever columns are asked for
    let files = source.downcast_ref::<FileScanConfig>()?;
    if files.file_source().file_type() != "parquet" {
        return None;
    }
    // a new plan below would be another pass of the windows above
    if files.preserve_order {
        return Some(Arc::clone(plan));
    }
    // else partitions take files from one another
    plan.with_preserve_order(true)
}

/// What turns expressions over a plan into ones over the plan below its projections.
#[derive(Debug, Default)]
pub(super) struct Through(Vec<Vec<ProjectionExpr>>);

impl Through {
    pub(super) fn of(
        &self,
        expression: &Arc<dyn PhysicalExpr>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let mut projections = self.0.iter();
        projections.try_fold(Arc::clone(expression), |e, p| inlined(&e, p))
    }
}

/// The plan below the projections over `plan`.
pub(super) fn below_projections(
    plan: &Arc<dyn ExecutionPlan>,
) -> (Arc<dyn ExecutionPlan>, Through) {
    let (mut plan, mut through) = (Arc::clone(plan), Through::default());
    loop {
        let below = if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            through.0.push(projection.expr().to_vec());
            Arc::clone(projection.input())
        } else if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
            Arc::clone(cooperative.input())
        } else {
            return (plan, through);
        };
        plan = below;
    }
}

/// The rows of `plan`, which is repeatable, with `columns` made of them and nothing else.
pub(super) fn project(
    plan: &Arc<dyn ExecutionPlan>,
    columns: Vec<ProjectionExpr>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
        let below = project(cooperative.input(), columns)?;
        return Ok(Arc::new(CooperativeExec::new(below)));
    }
    if let Some(below) = plan.downcast_ref::<ProjectionExec>() {
        if computes_twice(&columns, below.expr())? {
            return project_in_two(below, &columns);
        }
        let columns = columns.into_iter().map(|column| {
            let expr = inlined(&column.expr, below.expr())?;
            Ok(ProjectionExpr::new(expr, column.alias))
        });
        return project(below.input(), columns.collect::<Result<_>>()?);
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return project_filter(filter, columns);
    }
    if let Some(late) = plan.downcast_ref::<LateSessionizeExec>() {
        let (plan, columns) = late.project(columns)?;
        if !plan.is::<LateSessionizeExec>() {
            return project(&plan, columns);
        }
        return Ok(Arc::new(ProjectionExec::try_new(columns, plan)?));
    }
    let projection = ProjectionExec::try_new(columns, Arc::clone(plan))?;
    let pushed = plan.try_swapping_with_projection(&projection)?;
    Ok(pushed.unwrap_or_else(|| Arc::new(projection)))
}

/// Whether a value that is computed below would be computed more than once.
fn computes_twice(columns: &[ProjectionExpr], below: &[ProjectionExpr]) -> Result<bool> {
    let mut uses = vec![0; below.len()];
    for column in columns {
        column.expr.apply(|node| {
            if let Some(column) = node.downcast_ref::<Column>() {
                uses[column.index()] += 1;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let mut used = below.iter().zip(uses);
    Ok(used.any(|(value, uses)| {
        uses > 1 && !value.expr.is::<Column>() && !value.expr.is::<Literal>()
    }))
}

/// `columns` over what `below` computes, and of that no more than they need.
fn project_in_two(
    below: &ProjectionExec,
    columns: &[ProjectionExpr],
) -> Result<Arc<dyn ExecutionPlan>> {
    let needed = indexes(columns.iter().map(|column| &column.expr));
    let values = needed.iter().map(|index| below.expr()[*index].clone());
    let values = project(below.input(), values.collect())?;
    let columns = moved_columns(columns, &needed)?;
    Ok(Arc::new(ProjectionExec::try_new(columns, values)?))
}

/// The same, or, if only some rows below pass a filter, `columns` of all of them and whether
/// they do in a column more: `true`. No row is copied for the others' sake. What may fail is
/// made of rows that pass alone: `10 / n` where `n <> 0`.
pub(super) fn project_unfiltered(
    plan: &Arc<dyn ExecutionPlan>,
    columns: Vec<ProjectionExpr>,
) -> Result<(Arc<dyn ExecutionPlan>, bool)> {
    let (base, through) = below_projections(plan);
    let columns = columns
        .into_iter()
        .map(|column| Ok(ProjectionExpr::new(through.of(&column.expr)?, column.alias)));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    if !columns.iter().all(|column| cannot_fail(&column.expr)) {
        return Ok((project(&base, columns)?, false));
    }
    if let Some(filter) = base.downcast_ref::<FilterExec>() {
        let mut columns = below_filter(filter, columns)?;
        let passes = Arc::clone(filter.predicate());
        columns.push(ProjectionExpr::new(passes, "__passes".to_owned()));
        return Ok((project(filter.input(), columns)?, true));
    }
    if let Some(late) = base.downcast_ref::<LateSessionizeExec>() {
        let (below, columns) = late.project(columns.clone())?;
        if !below.is::<LateSessionizeExec>() {
            return project_unfiltered(&below, columns);
        }
    }
    Ok((project(&base, columns)?, false))
}

/// Whether an expression has a value for whatever its columns hold.
fn cannot_fail(expression: &Arc<dyn PhysicalExpr>) -> bool {
    let here = match expression.downcast_ref::<BinaryExpr>() {
        Some(binary) => matches!(
            binary.op(),
            Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
                | Operator::And
                | Operator::Or
        ),
        None => {
            expression.is::<Column>()
                || expression.is::<Literal>()
                || expression.is::<IsNullExpr>()
                || expression.is::<IsNotNullExpr>()
                || expression.is::<NotExpr>()
        }
    };
    here && expression.children().into_iter().all(cannot_fail)
}

/// `columns` over the input of a filter.
pub(super) fn below_filter(
    filter: &FilterExec,
    columns: Vec<ProjectionExpr>,
) -> Result<Vec<ProjectionExpr>> {
    let input = filter.input().schema();
    let Some(kept) = filter.projection() else {
        return Ok(columns);
    };
    let of_input = |column: &Column| {
        let index = kept[column.index()];
        Arc::new(Column::new(input.field(index).name(), index)) as _
    };
    let columns = columns.into_iter().map(|column| {
        let expr = mapped(&column.expr, &of_input)?;
        Ok(ProjectionExpr::new(expr, column.alias))
    });
    columns.collect()
}

fn project_filter(
    filter: &FilterExec,
    columns: Vec<ProjectionExpr>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let columns = below_filter(filter, columns)?;
    let read = columns.iter().map(|column| &column.expr);
    let needed = indexes(read.chain([filter.predicate()]));
    let below = project(filter.input(), named(&needed, filter.input()))?;
    let predicate = moved(filter.predicate(), &needed)?;
    let filter = FilterExecBuilder::new(predicate, below)
        .with_batch_size(filter.batch_size())
        .build()?;
    let columns = moved_columns(&columns, &needed)?;
    Ok(Arc::new(ProjectionExec::try_new(
        columns,
        Arc::new(filter),
    )?))
}

/// The columns at `indexes` of the rows of `plan`, under their names.
pub(super) fn named(
    indexes: &[usize],
    plan: &Arc<dyn ExecutionPlan>,
) -> Vec<ProjectionExpr> {
    let schema = plan.schema();
    let columns = indexes.iter().map(|index| {
        let name = schema.field(*index).name().clone();
        ProjectionExpr::new(Arc::new(Column::new(&name, *index)), name)
    });
    columns.collect()
}

/// The columns that expressions read, ascending.
pub(super) fn indexes<'a>(
    expressions: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>,
) -> Vec<usize> {
    let columns = expressions.flat_map(collect_columns);
    let indexes: BTreeSet<usize> = columns.map(|column| column.index()).collect();
    indexes.into_iter().collect()
}

/// `expression` over rows that have only the columns at `kept`.
pub(super) fn moved(
    expression: &Arc<dyn PhysicalExpr>,
    kept: &[usize],
) -> Result<Arc<dyn PhysicalExpr>> {
    let places: Vec<_> = (0..kept.len()).collect();
    shifted(expression, kept, &places)
}

/// `expression` over rows whose columns at `from` are at the same place of `to`.
pub(super) fn shifted(
    expression: &Arc<dyn PhysicalExpr>,
    from: &[usize],
    to: &[usize],
) -> Result<Arc<dyn PhysicalExpr>> {
    mapped(expression, &|column| {
        let place = from.iter().position(|index| *index == column.index());
        let place = place.map_or_else(|| column.index(), |place| to[place]);
        Arc::new(Column::new(column.name(), place))
    })
}

/// `columns` over rows that have only the columns at `kept`.
pub(super) fn moved_columns(
    columns: &[ProjectionExpr],
    kept: &[usize],
) -> Result<Vec<ProjectionExpr>> {
    let columns = columns.iter().map(|column| {
        let expr = moved(&column.expr, kept)?;
        Ok(ProjectionExpr::new(expr, column.alias.clone()))
    });
    columns.collect()
}

/// `expression` with another one in place of each column.
fn mapped(
    expression: &Arc<dyn PhysicalExpr>,
    of: &dyn Fn(&Column) -> Arc<dyn PhysicalExpr>,
) -> Result<Arc<dyn PhysicalExpr>> {
    Arc::clone(expression)
        .transform_up(|node| {
            Ok(match node.downcast_ref::<Column>() {
                Some(column) => Transformed::yes(of(column)),
                None => Transformed::no(node),
            })
        })
        .data()
}

/// `expression` with one of `columns` in place of each column.
pub(super) fn over(
    expression: &Arc<dyn PhysicalExpr>,
    columns: &[Arc<dyn PhysicalExpr>],
) -> Result<Arc<dyn PhysicalExpr>> {
    mapped(expression, &|column| Arc::clone(&columns[column.index()]))
}

/// `expression` over the input of a projection.
pub(super) fn inlined(
    expression: &Arc<dyn PhysicalExpr>,
    projection: &[ProjectionExpr],
) -> Result<Arc<dyn PhysicalExpr>> {
    mapped(expression, &|column| {
        Arc::clone(&projection[column.index()].expr)
    })
}
