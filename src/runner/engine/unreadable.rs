//! Which file of a source cannot be read, when a query that reads it fails.
//!
//! A footer that cannot be read is noticed when the file is opened, by name. Damage further
//! inside is met by a decoder that no longer knows where its bytes are from, so the files
//! are read again, one by one: a failed run may take longer to say what to mend.

use std::collections::BTreeSet;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use super::Engine;
use crate::catalog::{UNREADABLE_COLUMN, first_unreadable};
use crate::runner::compile::{Dag, Node, NodeKind, ResolvedSource};
use crate::runner::error::RunnerError;

impl Engine {
    /// `error` of `node` with the name of the Parquet file that it is about, if it is.
    pub async fn naming_file(
        &self,
        error: RunnerError,
        dag: &Dag,
        node: &Node,
    ) -> RunnerError {
        let of_value = error.message().contains(UNREADABLE_COLUMN);
        let named = error.message().starts_with("the file `");
        if named || !(of_value || is_of_parquet(&error)) {
            return error;
        }
        for source in sources(dag, node) {
            let Some(lake) = self.source_lake(source) else {
                continue;
            };
            if let Some(file) = first_unreadable(&self.context, &self.stores, &lake).await
            {
                let message = format!("the file `{file}` is not readable: {error}");
                return error.with_message(message);
            }
        }
        error
    }
}

fn is_of_parquet(error: &RunnerError) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let found = cause
            .downcast_ref::<DataFusionError>()
            .map(DataFusionError::find_root);
        match found {
            Some(DataFusionError::ParquetError(_)) => return true,
            Some(DataFusionError::ArrowError(e, _)) => {
                return matches!(**e, ArrowError::ParquetError(_));
            }
            _ => source = cause.source(),
        }
    }
    false
}

/// The sources that `node` reads, through whatever lies between.
fn sources<'a>(dag: &'a Dag, node: &'a Node) -> Vec<&'a ResolvedSource> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<_> = node.depends_on.iter().collect();
    while let Some(id) = open.pop() {
        let Some(read) = dag.node(id).filter(|_| seen.insert(id)) else {
            continue;
        };
        match &read.kind {
            NodeKind::Source(source) => found.push(&**source),
            _ => open.extend(read.depends_on.iter()),
        }
    }
    found
}
