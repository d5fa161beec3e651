//! Rows sorted by id, and labels sorted by id, side by side.

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::links::NodeColumn;
use crate::functions::{Node, labels_array};

/// The labels, read on as ids ascend.
pub(super) struct Labels {
    stream: SendableRecordBatchStream,
    /// Ids and labels of the batch at hand, and the row that comes next.
    batch: Option<(NodeColumn, NodeColumn)>,
    row: usize,
}

impl Labels {
    pub(super) fn new(stream: SendableRecordBatchStream) -> Self {
        Self {
            stream,
            batch: None,
            row: 0,
        }
    }

    /// The labels of the ids in the first column of `rows`, which ascend from call to call.
    pub(super) async fn of(&mut self, rows: &RecordBatch) -> Result<ArrayRef> {
        let ids = NodeColumn::of(rows, 0);
        let mut labels = Vec::with_capacity(ids.len());
        for row in 0..ids.len() {
            labels.push(match ids.get(row) {
                Some(id) => Some(self.label(id).await?),
                None => None,
            });
        }
        Ok(labels_array(labels.into_iter()))
    }

    async fn label(&mut self, id: Node) -> Result<Node> {
        loop {
            if let Some((ids, labels)) = &self.batch {
                while let Some(other) = (self.row < ids.len()).then(|| ids.get(self.row))
                {
                    match other {
                        Some(other) if other == id => {
                            return Ok(labels.get(self.row).unwrap_or(id));
                        }
                        // the smallest of a component, or linked to nothing
                        Some(other) if other > id => return Ok(id),
                        _ => self.row += 1,
                    }
                }
            }
            match self.stream.next().await {
                Some(batch) => {
                    let batch = batch?;
                    let columns = (NodeColumn::of(&batch, 0), NodeColumn::of(&batch, 1));
                    self.batch = Some(columns);
                    self.row = 0;
                }
                None => {
                    self.batch = None;
                    return Ok(id);
                }
            }
        }
    }
}
