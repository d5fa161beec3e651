//! A lake of many files: its footers are read once, and those of pruned files not for a query.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion_sessionize::Stores;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use super::faulty::{Faulty, Plan};
use super::project::Small;

const FILES: usize = 600;

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

fn row() -> Vec<u8> {
    let visitor: ArrayRef = Arc::new(StringArray::from(vec!["ada"]));
    let amount: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    parquet(vec![("visitor", visitor), ("amount", amount)])
}

/// A lake in memory, folders `dt=0` to `dt=9`, whose store counts.
async fn lake() -> (Small, Arc<Plan>, Arc<dyn ObjectStore>) {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let bytes = row();
    for number in 0..FILES {
        let path = format!("lake/dt={}/{number:05}.parquet", number % 10);
        objects
            .put(&Path::from(path), bytes.clone().into())
            .await
            .unwrap();
    }
    let (faulty, plan) = Faulty::of(Arc::clone(&objects));
    let lake = Url::parse("memory://lake/lake").unwrap();
    let faulty: Arc<dyn ObjectStore> = Arc::new(faulty);
    let stores = Stores::default().with_store(&lake, faulty);
    let tables = Url::parse("memory://tables/t").unwrap();
    (Small::new(lake, tables, stores), plan, objects)
}

/// The files of the lake that were read from.
fn read(plan: &Plan) -> Vec<String> {
    let mut files: Vec<_> = plan
        .log()
        .into_iter()
        .filter(|(word, path)| *word == "get" && path.ends_with(".parquet"))
        .map(|(_, path)| path)
        .collect();
    files.sort();
    files.dedup();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_reads_the_footers_of_new_files_alone() {
    let (project, plan, objects) = lake().await;
    project.build().await;
    assert_eq!(read(&plan).len(), FILES);
    plan.arm(None);
    let said = project.build().await;
    assert!(said.values().all(|m| m.contains("NO-OP")), "{said:?}");
    assert_eq!(read(&plan), Vec::<String>::new());
    let new = "lake/dt=3/new.parquet";
    objects.put(&Path::from(new), row().into()).await.unwrap();
    plan.arm(None);
    let said = project.build().await;
    assert!(said["totals"].starts_with("updated by key"), "{said:?}");
    let rows = project.read().await["totals"].clone().unwrap();
    assert_eq!(rows, [format!("ada {0} {0}", FILES + 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_column_of_a_new_file_is_found() {
    let (project, plan, objects) = lake().await;
    project.write(
        "models/whole.sql",
        "{{ config(materialized='table') }}\nselect * from {{ source('raw', 'events') }}\n",
    );
    project.build().await;
    let visitor: ArrayRef = Arc::new(StringArray::from(vec!["bob"]));
    let amount: ArrayRef = Arc::new(Int64Array::from(vec![2]));
    let page: ArrayRef = Arc::new(StringArray::from(vec!["/home"]));
    let columns = vec![("visitor", visitor), ("amount", amount), ("page", page)];
    let new = Path::from("lake/dt=4/00000.parquet");
    objects.put(&new, parquet(columns).into()).await.unwrap();
    project.build().await;
    let remembered = project.columns("whole").await;
    // the same with nothing to remember
    let tables = Url::parse("memory://tables/other").unwrap();
    let fresh = Small::new(project.lake.clone(), tables, project.stores.clone());
    fresh.write(
        "models/whole.sql",
        "{{ config(materialized='table') }}\nselect * from {{ source('raw', 'events') }}\n",
    );
    fresh.build().await;
    assert_eq!(remembered, ["visitor", "amount", "page", "dt"]);
    assert_eq!(fresh.columns("whole").await, remembered);
    drop(plan);
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_pruned_before_footers_are_read() {
    let (project, plan, _) = lake().await;
    project.build().await;
    project.write(
        "models/day.sql",
        "{{ config(materialized='table') }}\n\
         select count(*) as n, sum(amount) as amount from {{ source('raw', 'events') }}\n\
         where dt = 7\n",
    );
    plan.arm(None);
    project.build().await;
    let files = read(&plan);
    assert_eq!(files.len(), FILES / 10);
    assert!(files.iter().all(|f| f.contains("dt=7")), "{files:?}");
}
