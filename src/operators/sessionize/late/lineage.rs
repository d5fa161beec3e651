//! Where the rows of a plan come from, whichever columns it gives of them.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::exec::LateSessionizeExec;
use super::narrow::over;
use super::order::{By, by};
use super::stream::Pass;

/// The files that rows are read from, what they go through, and their columns as expressions
/// over what the files hold.
#[derive(Debug)]
pub(super) struct Lineage {
    steps: Vec<Step>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
}

#[derive(Debug)]
enum Step {
    Scan(Box<FileScanConfig>),
    Filter(Arc<dyn PhysicalExpr>),
    Windows(Windows),
}

/// What tells functions over one window from those over another.
#[derive(Debug)]
pub(super) enum Windows {
    /// Where the plan is final: windows alike share theirs.
    Pass(Arc<Pass>),
    Over {
        key: Vec<Arc<dyn PhysicalExpr>>,
        order: By,
    },
}

impl Lineage {
    /// That of a repeatable plan; `None` where it cannot be told.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
            return Ok(Self::of_scan(source));
        }
        let [child] = plan.children()[..] else {
            return Ok(None);
        };
        let Some(mut rows) = Self::of(child)? else {
            return Ok(None);
        };
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            let columns = projection.expr().iter().map(|c| rows.expr(&c.expr));
            rows.columns = columns.collect::<Result<_>>()?;
        } else if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            let predicate = rows.expr(filter.predicate())?;
            rows.steps.push(Step::Filter(predicate));
            if let Some(kept) = filter.projection() {
                let columns = kept.iter().map(|i| Arc::clone(&rows.columns[*i]));
                rows.columns = columns.collect();
            }
        } else if let Some(late) = plan.downcast_ref::<LateSessionizeExec>() {
            let (Some(windows), Some(functions)) = (late.windows(&rows)?, late.words())
            else {
                return Ok(None);
            };
            // no file has so many columns
            let index = usize::MAX - rows.steps.len();
            let columns = functions.into_iter();
            let columns = columns.map(|function| Column::new(&function, index));
            rows.columns.extend(columns.map(|c| Arc::new(c) as _));
            rows.steps.push(Step::Windows(windows));
        } else if !plan.is::<CooperativeExec>() {
            return Ok(None);
        }
        Ok(Some(rows))
    }

    fn of_scan(source: &DataSourceExec) -> Option<Self> {
        let scan = source.data_source().downcast_ref::<FileScanConfig>()?;
        let columns = scan.file_source().projection()?.as_ref().iter();
        Some(Self {
            columns: columns.map(|column| Arc::clone(&column.expr)).collect(),
            steps: vec![Step::Scan(Box::new(scan.clone()))],
        })
    }

    /// An expression over the rows as one over what the files hold.
    pub(super) fn expr(
        &self,
        expression: &Arc<dyn PhysicalExpr>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        over(expression, &self.columns)
    }

    /// An order of the rows, likewise.
    pub(super) fn order(&self, order: &By) -> Result<By> {
        by(order, |e| self.expr(e))
    }

    /// Whether both plans surely give the same rows in the same order.
    pub(super) fn has_rows_of(&self, other: &Self) -> bool {
        self.steps.len() == other.steps.len()
            && self
                .steps
                .iter()
                .zip(&other.steps)
                .all(|(a, b)| a.is_like(b))
    }

    /// Whether they surely give the same columns as well.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.columns == other.columns && self.has_rows_of(other)
    }
}

impl Step {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scan(a), Self::Scan(b)) => same_files(a, b),
            (Self::Filter(a), Self::Filter(b)) => a == b,
            (Self::Windows(Windows::Pass(a)), Self::Windows(Windows::Pass(b))) => {
                Arc::ptr_eq(a, b)
            }
            (
                Self::Windows(Windows::Over { key, order }),
                Self::Windows(Windows::Over {
                    key: other_key,
                    order: other_order,
                }),
            ) => key == other_key && order == other_order,
            _ => false,
        }
    }
}

fn same_files(a: &FileScanConfig, b: &FileScanConfig) -> bool {
    let groups = |of: &FileScanConfig| {
        let groups = of.file_groups.iter().map(|group| {
            let files = group.files().iter().map(|file| {
                let values = file.partition_values.clone();
                (file.object_meta.clone(), file.range.clone(), values)
            });
            files.collect::<Vec<_>>()
        });
        groups.collect::<Vec<_>>()
    };
    a.object_store_url == b.object_store_url
        && a.limit == b.limit
        && a.file_schema() == b.file_schema()
        && a.file_source().filter() == b.file_source().filter()
        && groups(a) == groups(b)
        && same_selections(a, b)
}

/// Whether the same rows are skipped in files that are the same.
fn same_selections(a: &FileScanConfig, b: &FileScanConfig) -> bool {
    let files_a = a.file_groups.iter().flat_map(FileGroup::files);
    let files_b = b.file_groups.iter().flat_map(FileGroup::files);
    files_a.zip(files_b).all(|(a, b)| {
        let selection = PartitionedFile::extension::<ParquetRowSelection>;
        match (selection(a), selection(b)) {
            (Some(of_a), Some(of_b)) => of_a == of_b,
            // what else is said of a file may be of any kind
            _ => a.extensions.is_empty() && b.extensions.is_empty(),
        }
    })
}
