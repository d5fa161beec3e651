//! The golden page views, written again in other shapes.

use std::fs::{self, File};
use std::path::Path;

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tempfile::TempDir;

/// How rows are laid into files.
pub(crate) enum Shape {
    OneFile,
    /// Rows in a random order, dealt out over so many files.
    Shuffled(usize),
}

/// A folder of Parquet files with the rows of `query` over the golden `pages`.
pub(crate) async fn golden(query: &str, shape: Shape) -> TempDir {
    let rows = golden_rows(query).await;
    let folder = tempfile::tempdir().unwrap();
    let files = match shape {
        Shape::OneFile => vec![rows],
        Shape::Shuffled(files) => dealt(&rows, files),
    };
    for (number, rows) in files.iter().enumerate() {
        write(&folder.path().join(format!("part-{number}.parquet")), rows);
    }
    folder
}

/// The rows of `query` over the golden `pages`.
pub(crate) async fn golden_rows(query: &str) -> RecordBatch {
    let context = SessionContext::new();
    let pages = super::fixture("golden/pages.parquet");
    let pages = pages.to_str().unwrap();
    context
        .register_parquet("pages", pages, ParquetReadOptions::default())
        .await
        .unwrap();
    let rows = context.sql(query).await.unwrap();
    let batches = rows.collect().await.unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn dealt(rows: &RecordBatch, files: usize) -> Vec<RecordBatch> {
    let mut order: Vec<u32> = (0..u32::try_from(rows.num_rows()).unwrap()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(11));
    let hand = order.len().div_ceil(files);
    let hands = order.chunks(hand);
    let files = hands.map(|hand| UInt32Array::from(hand.to_vec()));
    files
        .map(|hand| take_record_batch(rows, &hand).unwrap())
        .collect()
}

pub(crate) fn write(path: &Path, rows: &RecordBatch) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}
