//! Unit tests: a model over rows that the test gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::prelude::{DataFrame, SessionContext};

use super::Status;
use super::given::{Written, from_csv, from_dict, typed, unknown};
use super::task::Outcome;
use crate::catalog::CatalogEntry;
use crate::runner::compile::{Dag, Node, NodeId, NodeKind};
use crate::runner::engine::Engine;
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::execution_error;
use crate::runner::project::{UnitTest, UnitTestRows};

/// How many rows of a difference are shown.
const SHOWN: usize = 10;

/// Runs the model over the given rows and compares with the expected ones, in any order.
pub(super) async fn run(
    engine: &Engine,
    dag: &Dag,
    node: &Node,
    test: &UnitTest,
    model: &NodeId,
) -> Result<Outcome> {
    let placed = |e: RunnerError| match e.location() {
        None => e.with_location(test.location.clone()),
        Some(_) => e,
    };
    let context = inputs(engine, dag, node, test, model)
        .await
        .map_err(placed)?;
    let rows = engine.plan_in(&context, node).await?;
    let schema: SchemaRef = Arc::new(rows.schema().as_arrow().clone());
    let expected = expected(&context, test, &schema).await.map_err(placed)?;
    let found = collect(rows).await?;
    compare(&expected, &found).map_err(placed)
}

/// A context in which every input is the table the test gives.
async fn inputs(
    engine: &Engine,
    dag: &Dag,
    node: &Node,
    test: &UnitTest,
    model: &NodeId,
) -> Result<SessionContext> {
    let NodeKind::UnitTest { given, .. } = &node.kind else {
        let message = format!("`{}` is no unit test", node.name);
        return Err(RunnerError::new(ErrorKind::Internal, message));
    };
    let catalog = engine.empty_catalog();
    for (relation, index) in given {
        let Some(input) = test.given.get(*index) else {
            continue;
        };
        let entry = match &input.rows {
            UnitTestRows::Sql(sql) => CatalogEntry::View(sql.clone()),
            rows => {
                let named = |e: RunnerError| {
                    let message = format!("input `{}`: {}", input.input, e.message());
                    let hint = e.hint().map(ToOwned::to_owned);
                    let error = RunnerError::new(e.kind(), message);
                    hint.into_iter().fold(error, RunnerError::with_hint)
                };
                let real = real(dag, &input.input, model)?;
                let upstream = upstream(dag, real);
                let schema = engine.schema_of(real, &upstream).await?;
                let batch = typed(&written(rows)?, &schema, true).map_err(named)?;
                let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
                CatalogEntry::Table(Arc::new(table.map_err(execution_error)?))
            }
        };
        catalog.insert(&relation.catalog, &relation.schema, &relation.name, entry);
    }
    engine.context_over(&catalog)
}

fn written(rows: &UnitTestRows) -> Result<Written> {
    match rows {
        UnitTestRows::Dict(rows) => from_dict(rows),
        UnitTestRows::Csv(text) => from_csv(text),
        UnitTestRows::Sql(_) => Err(RunnerError::new(
            ErrorKind::Internal,
            "rows in SQL are run, not read",
        )),
    }
}

/// The node that `ref('x')`, `source('a', 'x')` or `this` stands for.
fn real<'a>(dag: &'a Dag, input: &str, model: &NodeId) -> Result<&'a Arc<Node>> {
    let names: Vec<&str> = input.split(['\'', '"']).skip(1).step_by(2).collect();
    let source = input.trim_start_matches(['{', ' ']).starts_with("source");
    let wanted = |node: &&Arc<Node>| match (&node.kind, names.as_slice()) {
        (NodeKind::Source(s), [name, table]) => {
            source && s.table.source_name == *name && s.table.name == *table
        }
        (NodeKind::Model | NodeKind::Seed(_), [.., name]) => {
            !source && node.name == *name
        }
        (NodeKind::Model, []) => node.id == *model,
        _ => false,
    };
    dag.nodes.iter().find(wanted).ok_or_else(|| {
        let message =
            format!("input `{input}` is no model, seed or source of the project");
        RunnerError::new(ErrorKind::Graph, message)
    })
}

/// Everything `node` can reach, in the graph's order.
fn upstream(dag: &Dag, node: &Node) -> Vec<Arc<Node>> {
    let mut wanted: Vec<NodeId> = node.depends_on.clone();
    let mut found = Vec::new();
    for above in dag.nodes.iter().rev() {
        if wanted.contains(&above.id) {
            wanted.extend(above.depends_on.iter().cloned());
            found.push(Arc::clone(above));
        }
    }
    found.reverse();
    found
}

async fn expected(
    context: &SessionContext,
    test: &UnitTest,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let rows = match &test.expect {
        UnitTestRows::Sql(sql) => {
            let rows = context.sql(sql).await.map_err(execution_error)?;
            as_text(&collect(rows).await?)?
        }
        rows => written(rows)?,
    };
    for column in &rows.columns {
        if schema.field_with_name(column).is_err() {
            return Err(unknown(column, schema));
        }
    }
    typed(&rows, schema, false).map_err(|e| {
        let message = format!("`expect`: {}", e.message());
        RunnerError::new(e.kind(), message)
    })
}

async fn collect(rows: DataFrame) -> Result<RecordBatch> {
    let schema: SchemaRef = Arc::new(rows.schema().as_arrow().clone());
    let batches = rows.collect().await.map_err(execution_error)?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    concat_batches(&schema, &batches).map_err(|e| execution_error(e.into()))
}

fn as_text(batch: &RecordBatch) -> Result<Written> {
    let columns = batch
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    let mut rows = vec![Vec::new(); batch.num_rows()];
    let options = FormatOptions::default();
    for column in batch.columns() {
        let cells = ArrayFormatter::try_new(column, &options)
            .map_err(|e| execution_error(e.into()))?;
        for (index, row) in rows.iter_mut().enumerate() {
            let value = column
                .is_valid(index)
                .then(|| cells.value(index).to_string());
            row.push(value);
        }
    }
    Ok(Written { columns, rows })
}

/// Compares as multisets over the expected columns.
fn compare(expected: &RecordBatch, found: &RecordBatch) -> Result<Outcome> {
    let schema = expected.schema();
    let indices: Vec<usize> = schema
        .fields()
        .iter()
        .filter_map(|f| found.schema().index_of(f.name()).ok())
        .collect();
    let wanted = as_text(expected)?;
    let found = found
        .project(&indices)
        .map_err(|e| execution_error(e.into()))?;
    let mut rows: BTreeMap<Vec<Option<String>>, i64> = BTreeMap::new();
    for row in as_text(&found)?.rows {
        *rows.entry(row).or_default() += 1;
    }
    for row in wanted.rows {
        *rows.entry(row).or_default() -= 1;
    }
    rows.retain(|_, count| *count != 0);
    if rows.is_empty() {
        return Ok(Outcome {
            rows: Some(0),
            ..Outcome::new(Status::Pass)
        });
    }
    let failures = rows.values().map(|n| n.unsigned_abs()).sum();
    Ok(Outcome {
        rows: Some(failures),
        message: Some(difference(&wanted.columns, &rows)),
        ..Outcome::new(Status::Fail)
    })
}

/// Expected rows that are missing (`-`) and rows that are too many (`+`).
fn difference(columns: &[String], rows: &BTreeMap<Vec<Option<String>>, i64>) -> String {
    let cell = |v: &Option<String>| v.as_deref().unwrap_or("null").to_owned();
    let mut lines = vec![
        "actual differs from expected (- expected, + actual):".to_owned(),
        format!("  {}", columns.join(", ")),
    ];
    for (row, count) in rows.iter().take(SHOWN) {
        let sign = if *count < 0 { '-' } else { '+' };
        let cells: Vec<String> = row.iter().map(cell).collect();
        for _ in 0..count.unsigned_abs().min(SHOWN as u64) {
            lines.push(format!("{sign} {}", cells.join(", ")));
        }
    }
    if rows.len() > SHOWN {
        lines.push(format!("  … and {} more", rows.len() - SHOWN));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};

    fn batch(ids: Vec<i64>, names: Vec<Option<&str>>) -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(ids));
        let names: ArrayRef = Arc::new(StringArray::from(names));
        RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
    }

    #[test]
    fn order_does_not_matter() {
        let one = batch(vec![1, 2], vec![Some("a"), None]);
        let other = batch(vec![2, 1], vec![None, Some("a")]);
        assert_eq!(compare(&one, &other).unwrap().status, Status::Pass);
    }

    #[test]
    fn a_difference_shows_both_sides_and_repetition_counts() {
        let one = batch(vec![1, 1], vec![Some("a"), Some("a")]);
        let other = batch(vec![1, 2], vec![Some("a"), None]);
        let outcome = compare(&one, &other).unwrap();
        assert_eq!(outcome.status, Status::Fail);
        assert_eq!(
            outcome.message.as_deref(),
            Some(
                "actual differs from expected (- expected, + actual):\n  id, name\n- 1, a\n+ 2, null"
            )
        );
    }
}
