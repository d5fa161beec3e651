//! What a query that is dropped leaves: nothing.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::physical_plan::collect;
use datafusion_sessionize::SessionizeSqlExt;
use tempfile::TempDir;

use super::groups::{GROUPS, SESSIONS};
use super::{ALL, Events, Memory, RULES, Run, context_in, spilled, write};

/// How many files are below a folder.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

/// A query that is dropped, at whatever point, soon holds nothing: no memory, no file, no
/// task. It is a matter of milliseconds; other tests run at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_query_lets_go_of_everything() {
    let events = many_events();
    let spill = TempDir::new().unwrap();
    let mut on_disk = 0;
    for sql in [ALL, GROUPS, SESSIONS, RULES] {
        for (memory, wait) in [
            (1 << 30, 0),
            (1 << 30, 60),
            (1 << 30, 300),
            (8 << 20, 100),
            (8 << 20, 700),
            // too little for reading in rounds
            (1 << 20, 300),
            (1 << 20, 1500),
        ] {
            let run = Run {
                operator: true,
                partitions: 2,
                batch: 1000,
                memory: Memory::Shared(memory),
            };
            let context = context_in(&events, run, spill.path()).await;
            let frame = context.sessionize_sql(sql).await.unwrap();
            let plan = frame.create_physical_plan().await.unwrap();
            let task = context.task_ctx();
            let all = collect(Arc::clone(&plan), Arc::clone(&task));
            let wait = std::time::Duration::from_millis(wait);
            drop(tokio::time::timeout(wait, all).await);
            on_disk += usize::from(spilled(&plan) > 0);
            let pool = Arc::clone(task.memory_pool());
            let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
            let metrics = tokio::runtime::Handle::current().metrics();
            let held = || {
                (
                    pool.reserved(),
                    files(spill.path()),
                    metrics.num_alive_tasks(),
                )
            };
            while held() != (0, 0, 0) {
                let left = std::time::Instant::now() < end;
                assert!(left, "{:?} is left of {sql}", held());
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    }
    assert!(on_disk > 0, "no query was dropped while rows were on disk");
}

/// Many events in one file, in no order.
fn many_events() -> Events {
    let folder = TempDir::new().unwrap();
    let rows = 60_000;
    let columns: [(&str, ArrayRef); 5] = [
        (
            "visitor",
            Arc::new(StringArray::from_iter_values(
                (0..rows).map(|row| format!("v{}", row % 7001)),
            )),
        ),
        (
            "t",
            Arc::new(TimestampMillisecondArray::from_iter_values(
                (0..rows).map(|row| (row * 7919) % rows * 1000),
            )),
        ),
        (
            "number",
            Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row % 5))),
        ),
        (
            "payload",
            Arc::new(StringArray::from_iter_values(
                (0..rows).map(|row| "x".repeat(1 + (row % 3) as usize)),
            )),
        ),
        ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write(&folder.path().join("0.parquet"), &batch);
    Events { folder }
}
