//! Links between ids on disk, and the rounds that turn them into labels.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, RecordBatch,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use futures::StreamExt;

use super::stars::{Star, Step};
use crate::functions::Node;
use crate::operators::spill::{Disk, DiskWriter, OnDisk, sorted};

/// Both ends of a link.
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let end = |name| Field::new(name, NODE, false);
    Arc::new(Schema::new(vec![end("from"), end("to")]))
});

/// How a node is written: its 16 bytes, which are in the order of the numbers.
pub(super) const NODE: DataType = DataType::FixedSizeBinary(16);

/// A column of nodes.
pub(super) fn node_column(nodes: impl Iterator<Item = Option<Node>>) -> Result<ArrayRef> {
    let mut builder = FixedSizeBinaryBuilder::with_capacity(nodes.size_hint().0, 16);
    for node in nodes {
        match node {
            Some(node) => builder.append_value(node.to_be_bytes())?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// A column that [`node_column`] made.
#[derive(Debug, Clone)]
pub(super) struct NodeColumn(FixedSizeBinaryArray);

impl NodeColumn {
    pub(super) fn of(batch: &RecordBatch, column: usize) -> Self {
        Self(batch.column(column).as_fixed_size_binary().clone())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The node in a row; `None` if null.
    pub(super) fn get(&self, row: usize) -> Option<Node> {
        let bytes = self.0.is_valid(row).then(|| self.0.value(row))?;
        bytes.try_into().ok().map(Node::from_be_bytes)
    }
}

/// Links that are being written.
pub(super) struct LinkWriter {
    writer: DiskWriter,
    waiting: Vec<(Node, Node)>,
    batch_size: usize,
}

impl LinkWriter {
    pub(super) fn try_new(disk: &Disk) -> Result<Self> {
        let batch_size = disk.context().session_config().batch_size();
        Ok(Self {
            writer: disk.writer(Arc::clone(&SCHEMA))?,
            waiting: Vec::with_capacity(batch_size),
            batch_size,
        })
    }

    pub(super) fn push(&mut self, from: Node, to: Node) -> Result<()> {
        self.waiting.push((from, to));
        match self.waiting.len() < self.batch_size {
            true => Ok(()),
            false => self.flush(),
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let batch = batch_of(&self.waiting)?;
        self.waiting.clear();
        self.writer.write(&batch)
    }

    pub(super) fn finish(mut self) -> Result<OnDisk> {
        self.flush()?;
        self.writer.finish()
    }
}

/// Turns links into labels: what comes out has each id once, in order, with the smallest id
/// of its component; the smallest themselves are left out.
pub(super) async fn contracted(disk: &Disk, links: OnDisk) -> Result<OnDisk> {
    let mut links = links;
    loop {
        let (large, moved) = step(disk, links, Star::Large).await?;
        let (small, merged) = step(disk, large, Star::Small).await?;
        links = small;
        if !moved && !merged {
            return Ok(links);
        }
    }
}

async fn step(disk: &Disk, links: OnDisk, star: Star) -> Result<(OnDisk, bool)> {
    let map = move |batch: &RecordBatch| batch_of(&directed(star, batch));
    let schema = Arc::clone(&SCHEMA);
    let mut stream = sorted(disk, &links, schema, Arc::new(map), 2)?;
    let mut step = Step::new(star);
    let mut writer = LinkWriter::try_new(disk)?;
    while let Some(batch) = stream.next().await {
        for (from, to) in ends(&batch?) {
            if let Some((from, to)) = step.next(from, to) {
                writer.push(from, to)?;
            }
        }
    }
    Ok((writer.finish()?, step.changed()))
}

/// The links as a step wants them: from both ends, or from the larger one.
fn directed(star: Star, batch: &RecordBatch) -> Vec<(Node, Node)> {
    let links = ends(batch).into_iter().filter(|(a, b)| a != b);
    match star {
        Star::Large => links.flat_map(|(a, b)| [(a, b), (b, a)]).collect(),
        Star::Small => links.map(|(a, b)| (a.max(b), a.min(b))).collect(),
    }
}

fn ends(batch: &RecordBatch) -> Vec<(Node, Node)> {
    let (from, to) = (NodeColumn::of(batch, 0), NodeColumn::of(batch, 1));
    let rows = 0..batch.num_rows();
    rows.filter_map(|row| Some((from.get(row)?, to.get(row)?)))
        .collect()
}

fn batch_of(links: &[(Node, Node)]) -> Result<RecordBatch> {
    let from = node_column(links.iter().map(|(from, _)| Some(*from)))?;
    let to = node_column(links.iter().map(|(_, to)| Some(*to)))?;
    Ok(RecordBatch::try_new(Arc::clone(&SCHEMA), vec![from, to])?)
}
