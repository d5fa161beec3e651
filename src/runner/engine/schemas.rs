//! Columns of nodes that need not be built: found by planning, without reading rows.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::datasource::empty::EmptyTable;
use futures::future::BoxFuture;

use super::{Engine, places};
use crate::catalog::{CatalogEntry, NoFiles, ProjectCatalog, event_lake_of};
use crate::runner::compile::{
    Materialized, Node, NodeKind, ResolvedSource, SchemaResolver,
};
use crate::runner::error::{ErrorKind, Result, RunnerError};
use crate::runner::materialization::execution_error;
use crate::table::committed_schema;

impl Engine {
    /// The columns `node` has once it is built. `upstream` holds every node it can reach, in
    /// an order in which every node comes after those it reads.
    pub(crate) async fn schema_of(
        &self,
        node: &Node,
        upstream: &[Arc<Node>],
    ) -> Result<SchemaRef> {
        let catalog = self.empty_catalog();
        for above in upstream.iter().filter(|n| n.id != node.id) {
            let Some(entry) = self.planned_entry(above, &catalog).await? else {
                continue;
            };
            insert(&catalog, above, entry);
        }
        self.planned_schema(node, &catalog).await
    }

    async fn planned_entry(
        &self,
        node: &Node,
        catalog: &ProjectCatalog,
    ) -> Result<Option<CatalogEntry>> {
        let committed = match (&node.kind, node.config.materialized) {
            (NodeKind::Source(_), _)
            | (NodeKind::Model, Materialized::View | Materialized::Ephemeral) => {
                return self.entry(node);
            }
            (NodeKind::Seed(_) | NodeKind::Model, _) => {
                self.planned_schema(node, catalog).await?
            }
            _ => return Ok(None),
        };
        let table = Arc::new(EmptyTable::new(committed));
        Ok(Some(CatalogEntry::Table(table)))
    }

    async fn planned_schema(
        &self,
        node: &Node,
        catalog: &ProjectCatalog,
    ) -> Result<SchemaRef> {
        let schema = match &node.kind {
            NodeKind::Source(source) => return self.source_schema(source).await,
            NodeKind::Seed(_) => self.seed_rows(node).await?.0,
            _ => {
                let context = self.context_over(catalog)?;
                let rows = self.plan_in(&context, node).await?;
                Arc::new(rows.schema().as_arrow().clone())
            }
        };
        match node.config.materialized {
            Materialized::Table | Materialized::Incremental | Materialized::Seed => {
                committed_schema(&schema).map_err(execution_error)
            }
            _ => Ok(schema),
        }
    }

    async fn source_schema(&self, source: &ResolvedSource) -> Result<SchemaRef> {
        let Some(lake) = self.source_lake(source) else {
            return Err(RunnerError::new(ErrorKind::Source, places::missing(source)));
        };
        let memory = self.catalog.memory();
        let opened = event_lake_of(&self.context, &self.stores, lake, memory).await;
        let opened = opened.map_err(|e| {
            let found = execution_error(e);
            RunnerError::new(ErrorKind::Source, found.message()).with_source(found)
        })?;
        Ok(opened.schema())
    }
}

fn insert(catalog: &ProjectCatalog, node: &Node, entry: CatalogEntry) {
    if let Some(r) = &node.relation {
        catalog.insert(&r.catalog, &r.schema, &r.name, entry);
    }
}

impl SchemaResolver for Engine {
    fn source_columns<'a>(
        &'a self,
        source: &'a ResolvedSource,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>>> {
        Box::pin(async move {
            match self.source_schema(source).await {
                Ok(schema) => Ok(columns(&schema)),
                Err(e) if has_no_files(&e) => Ok(declared(source)),
                Err(e) => Err(e),
            }
        })
    }

    fn node_columns<'a>(
        &'a self,
        node: &'a Node,
        upstream: &'a [Arc<Node>],
    ) -> BoxFuture<'a, Result<Vec<(String, String)>>> {
        Box::pin(async move { Ok(columns(&self.schema_of(node, upstream).await?)) })
    }

    fn table_exists<'a>(&'a self, node: &'a Node) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let exists = self.table(node)?.exists().await;
            exists.map_err(|e| {
                RunnerError::new(ErrorKind::Store, e.to_string()).with_source(e)
            })
        })
    }
}

/// Whether a source cannot be read because there is nothing at its location.
fn has_no_files(error: &RunnerError) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref() {
            return NoFiles::is_behind(found);
        }
        source = cause.source();
    }
    false
}

/// The columns that a source table's property file names. They stand in where there are no
/// files (yet), so that models of other sources compile; reading the source is still an error.
fn declared(source: &ResolvedSource) -> Vec<(String, String)> {
    let columns = source.table.properties.columns.iter();
    let typed = columns.map(|column| {
        let data_type = column.data_type.clone();
        let data_type = data_type.unwrap_or_else(|| "varchar".to_owned());
        (column.name.clone(), data_type)
    });
    typed.collect()
}

fn columns(schema: &SchemaRef) -> Vec<(String, String)> {
    let column = |f: &Arc<datafusion::arrow::datatypes::Field>| {
        (f.name().clone(), sql_type(f.data_type()))
    };
    schema.fields().iter().map(column).collect()
}

/// The SQL name of an Arrow type; Arrow's own for types SQL has no word for.
fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar".to_owned(),
        DataType::Dictionary(_, value) => sql_type(value),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => {
            format!("decimal({p}, {s})")
        }
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::TimeUnit;

    #[test]
    fn types_have_sql_names() {
        assert_eq!(sql_type(&DataType::Utf8View), "varchar");
        assert_eq!(
            sql_type(&DataType::Timestamp(
                TimeUnit::Nanosecond,
                Some("UTC".into())
            )),
            "timestamp with time zone"
        );
        assert_eq!(sql_type(&DataType::Decimal128(10, 2)), "decimal(10, 2)");
    }
}
