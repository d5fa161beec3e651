//! Event lakes and project catalogs through the public surface.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, LargeStringArray, RecordBatch, StringArray,
    TimestampMillisecondArray, TimestampNanosecondArray,
};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::SessionContext;
use datafusion_sessionize::{
    CatalogEntry, EventLakeOptions, LakeColumn, ProjectCatalog, Stores, event_lake,
};

#[tokio::test]
async fn files_of_differing_columns_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1]));
    let large: ArrayRef = Arc::new(LargeStringArray::from(vec!["a"]));
    write(
        folder.path(),
        "day=2024-01-01/1.parquet",
        &[("t", nanos), ("id", large)],
    );
    let millis = TimestampMillisecondArray::from(vec![5]).with_timezone("+00:00");
    let more: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let columns: [(&str, ArrayRef); 2] = [("t", Arc::new(millis)), ("extra", more)];
    write(folder.path(), "day=2024-01-02/2.parquet", &columns);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["2024-01-01T00:00:00+01:00"]));
    write(folder.path(), "day=2024-01-03/3.parquet", &[("t", text)]);
    fs::write(folder.path().join("_SUCCESS"), "").unwrap();
    let columns = vec![
        column("t", "timestamptz", true),
        column("page", "text", false),
    ];
    let shown = query(folder.path(), columns, "select * from lake order by day").await;
    assert_eq!(
        shown.unwrap(),
        "\
+-----------------------------+----+-------+------+------------+
| t                           | id | extra | page | day        |
+-----------------------------+----+-------+------+------------+
| 1969-12-31T23:59:59.999999Z | a  |       |      | 2024-01-01 |
| 1970-01-01T00:00:00.005Z    |    | 7     |      | 2024-01-02 |
| 2023-12-31T23:00:00Z        |    |       |      | 2024-01-03 |
+-----------------------------+----+-------+------+------------+"
    );
}

#[tokio::test]
async fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = query(folder.path(), vec![], "select 1").await.unwrap_err();
    assert!(error.contains("no files match"), "{error}");
    let text: ArrayRef = Arc::new(StringArray::from(vec!["soon"]));
    write(folder.path(), "a.parquet", &[("t", text)]);
    let needed = vec![column("id", "text", true)];
    let error = query(folder.path(), needed, "select 1").await.unwrap_err();
    let told = error.contains("`id`") && error.contains("a.parquet");
    assert!(told && error.contains("`t`"), "{error}");
    let instant = vec![column("t", "timestamptz", true)];
    let error = query(folder.path(), instant, "select t from lake").await;
    let error = error.unwrap_err();
    assert!(error.contains("`t`") && error.contains("`soon`"), "{error}");
    fs::write(folder.path().join("b.parquet"), "not parquet").unwrap();
    let error = query(folder.path(), vec![], "select 1").await.unwrap_err();
    assert!(error.contains("b.parquet"), "{error}");
}

#[tokio::test]
async fn only_needed_row_groups_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let ticks: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values(
        (0..100).map(|n| n * 1_000_000_000),
    ));
    write(folder.path(), "a.parquet", &[("t", ticks)]);
    let sql = "explain analyze select t from lake where t >= timestamptz '1970-01-01T00:01:30Z'";
    let columns = vec![column("t", "timestamptz", true)];
    let shown = query(folder.path(), columns, sql).await.unwrap();
    assert!(
        shown.contains("row_groups_pruned_statistics=10 total → 1 matched"),
        "{shown}"
    );
}

#[tokio::test]
async fn only_needed_columns_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let texts = (0..100).map(|n| format!("{n}").repeat(500));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    write(
        folder.path(),
        "a.parquet",
        &[("n", numbers), ("wide", texts)],
    );
    let scanned = async |sql: &str| {
        let context = SessionContext::new();
        let options = EventLakeOptions {
            location: folder.path().display().to_string(),
            ..EventLakeOptions::default()
        };
        let lake = event_lake(&context, &Stores::default(), options).await;
        context.register_table("lake", lake.unwrap()).unwrap();
        let plan = context.sql(sql).await.unwrap();
        let plan = plan.create_physical_plan().await.unwrap();
        let rows = collect(Arc::clone(&plan), context.task_ctx())
            .await
            .unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 100);
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        let mut scan = plan;
        while let Some(child) = scan.children().first().map(|child| Arc::clone(*child)) {
            scan = child;
        }
        let metrics = scan.metrics().unwrap();
        let bytes = metrics.sum_by_name("bytes_scanned").unwrap().as_usize();
        (bytes, shown)
    };
    let (some, plan) = scanned("select n from lake").await;
    assert!(plan.contains("projection=[n]"), "{plan}");
    let (all, _) = scanned("select * from lake").await;
    assert!(0 < some && some * 2 < all, "{some} of {all} bytes");
}

#[tokio::test]
async fn views_resolve_through_the_catalog() {
    let context = SessionContext::new();
    let catalog = ProjectCatalog::new(Stores::default());
    let view = |sql: &str| CatalogEntry::View(sql.to_owned());
    catalog.insert("p", "a", "one", view("select 1 as n"));
    catalog.insert("p", "b", "two", view("select n + 1 as n from a.one"));
    catalog.insert("p", "b", "left", view("select * from \"right\""));
    catalog.insert("p", "b", "right", view("select * from \"left\""));
    catalog.register(&context, "p").unwrap();
    let rows = context.sql("select n from two").await.unwrap();
    let rows = rows.collect().await.unwrap();
    assert!(
        pretty_format_batches(&rows)
            .unwrap()
            .to_string()
            .contains("| 2 |")
    );
    let error = context.sql("select * from \"left\"").await.unwrap_err();
    assert!(error.to_string().contains("read each other"), "{error}");
    catalog.insert("p", "b", "one", view("select 3 as n"));
    let error = context.sql("select n from one").await.unwrap_err();
    assert!(error.to_string().contains("ambiguous"), "{error}");
}

async fn query(
    folder: &Path,
    columns: Vec<LakeColumn>,
    sql: &str,
) -> Result<String, String> {
    let context = SessionContext::new();
    let options = EventLakeOptions {
        location: folder.display().to_string(),
        columns,
        ..EventLakeOptions::default()
    };
    let lake = event_lake(&context, &Stores::default(), options).await;
    let lake = lake.map_err(|e| e.to_string())?;
    context.register_table("lake", lake).unwrap();
    let rows = context.sql(sql).await.map_err(|e| e.to_string())?;
    let rows = rows.collect().await.map_err(|e| e.to_string())?;
    Ok(pretty_format_batches(&rows).unwrap().to_string())
}

fn column(name: &str, data_type: &str, required: bool) -> LakeColumn {
    LakeColumn {
        name: name.to_owned(),
        data_type: Some(data_type.to_owned()),
        required,
    }
}

fn write(folder: &Path, path: &str, columns: &[(&str, ArrayRef)]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10));
    let file = File::create(path).unwrap();
    let writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build()));
    let mut writer = writer.unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
