//! A table from its first commit to a conflict.

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::prelude::SessionContext;

use super::*;
use crate::catalog::committed;

mod masks;

#[tokio::test]
async fn versions_replace_each_other_whole() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&Url::from_directory_path(folder.path()).unwrap());
    assert!(table.open().await.unwrap().is_none());
    let first = commit(&table, None, vec![1, 2, 3]).await.unwrap();
    assert_eq!((first.version, sum(&table).await), (0, 6));
    assert_eq!(first.metadata["run"], "r");
    let second = commit(&table, Some(&first), vec![10]).await.unwrap();
    assert_eq!((second.version, second.files.len()), (1, 1));
    assert_eq!(sum(&table).await, 10);
    let error = commit(&table, Some(&first), vec![5]).await.unwrap_err();
    assert!(matches!(error, TableError::Conflict { .. }), "{error}");
    let error = commit(&table, None, vec![5]).await.unwrap_err();
    assert!(matches!(error, TableError::Conflict { .. }), "{error}");
    assert_eq!(sum(&table).await, 10);
}

#[tokio::test]
async fn a_dropped_writer_leaves_the_version_as_it_was() {
    let table = table(&Url::parse("memory:///t").unwrap());
    commit(&table, None, vec![1]).await.unwrap();
    let batch = batch(vec![2]);
    let mut writer = table.writer(batch.schema()).unwrap().with_roll_at(1);
    writer.write(&batch).await.unwrap();
    drop(writer);
    assert_eq!(sum(&table).await, 1);
    assert_eq!(table.open().await.unwrap().unwrap().files.len(), 1);
}

#[tokio::test]
async fn a_table_can_be_empty_and_change_its_columns() {
    let table = table(&Url::parse("memory:///t").unwrap());
    let first = commit(&table, None, vec![]).await.unwrap();
    assert!(first.files.is_empty());
    let column: ArrayRef = Arc::new(Int64Array::from(vec![4]));
    let batch = RecordBatch::try_from_iter([("other", column)]).unwrap();
    let schema = committed_schema(&batch.schema()).unwrap();
    let mut writer = table.writer(Arc::clone(&schema)).unwrap();
    writer.write(&batch).await.unwrap();
    let files = writer.close().await.unwrap();
    let none = BTreeMap::new();
    let second = table.commit(Some(&first), Change::Replace, schema, files, none);
    let second = second.await.unwrap();
    assert_eq!(second.schema.field(0).name(), "other");
    assert_eq!((second.files[0].rows, second.version), (1, 1));
}

#[tokio::test]
async fn files_are_joined_without_a_change_of_rows() {
    let table = table(&Url::parse("memory:///t").unwrap());
    let mut newest = commit(&table, None, vec![1]).await.unwrap();
    for value in 2..4 {
        let files = files(&table, vec![value]).await.unwrap();
        let (schema, run) = (Arc::clone(&newest.schema), run());
        let added =
            table.commit(Some(&newest), Change::Files(vec![]), schema, files, run);
        newest = added.await.unwrap();
    }
    assert_eq!((newest.files.len(), newest.changed_at), (3, 2));
    let compact = |base: TableVersion| {
        let table = table.clone();
        async move {
            let joined = files(&table, vec![1, 2, 3]).await.unwrap();
            let change = Change::Compact {
                files: base.files.to_vec(),
                target_size: 100,
            };
            let (schema, none) = (Arc::clone(&base.schema), BTreeMap::new());
            table
                .commit(Some(&base), change, schema, joined, none)
                .await
        }
    };
    let joined = compact(newest.clone()).await.unwrap();
    assert_eq!((joined.files.len(), joined.version), (1, 3));
    assert_eq!(joined.changed_at, 2);
    assert_eq!(joined.metadata, newest.metadata);
    assert_eq!(sum(&table).await, 6);
    // the rows of version 2 are found where they are now, those of version 1 are others
    let same = table.open_rows_of(2).await.unwrap().unwrap();
    assert_eq!(same.files, joined.files);
    assert_eq!(table.open_rows_of(1).await.unwrap().unwrap().version, 1);
    let error = compact(newest).await.unwrap_err();
    assert!(matches!(error, TableError::Conflict { .. }), "{error}");
    assert_eq!(sum(&table).await, 6);
}

#[tokio::test]
async fn single_files_can_add_columns_and_no_more() {
    let table = table(&Url::parse("memory:///t").unwrap());
    let first = commit(&table, None, vec![1, 2]).await.unwrap();
    let files = |batch: RecordBatch| {
        let mut writer = table.writer(batch.schema()).unwrap();
        async move {
            writer.write(&batch).await.unwrap();
            writer.close().await.unwrap()
        }
    };
    let add = |schema: SchemaRef, files| {
        let change = Change::Files(Vec::new());
        table.commit(Some(&first), change, schema, files, BTreeMap::new())
    };
    let column = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    let of = |columns: Vec<(&str, ArrayRef)>| {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let schema = committed_schema(&batch.schema()).unwrap();
        batch.with_schema(schema).unwrap()
    };
    let other = of(vec![("m", column(5))]);
    let error = add(other.schema(), files(other).await).await.unwrap_err();
    assert!(error.to_string().contains("only add columns"), "{error}");
    let both = of(vec![("n", column(4)), ("m", column(5))]);
    let second = add(both.schema(), files(both).await).await.unwrap();
    assert_eq!((second.schema.fields().len(), second.files.len()), (2, 2));
    assert_eq!(sum(&table).await, 7);
}

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;

fn table(url: &Url) -> Table {
    Table::new(url.clone(), Stores::default())
}

fn batch(values: Vec<i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values));
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let schema = committed_schema(&batch.schema()).unwrap();
    RecordBatch::try_new(schema, batch.columns().to_vec()).unwrap()
}

async fn commit(
    table: &Table,
    base: Option<&TableVersion>,
    values: Vec<i64>,
) -> Result<TableVersion, TableError> {
    let schema = batch(vec![]).schema();
    let files = files(table, values).await?;
    table
        .commit(base, Change::Replace, schema, files, run())
        .await
}

fn run() -> BTreeMap<String, String> {
    BTreeMap::from([("run".to_owned(), "r".to_owned())])
}

/// Files that nobody sees yet.
async fn files(table: &Table, values: Vec<i64>) -> Result<Vec<DataFile>, TableError> {
    let batch = batch(values);
    let mut writer = table.writer(batch.schema())?;
    writer.write(&batch).await?;
    writer.close().await
}

async fn sum(table: &Table) -> i64 {
    let version = table.open().await.unwrap().unwrap();
    let context = SessionContext::new();
    let provider = committed(table.stores(), &version).unwrap();
    context.register_table("t", Arc::new(provider)).unwrap();
    let rows = context
        .sql("select sum(n) from t where n > 0")
        .await
        .unwrap();
    let rows = rows.collect().await.unwrap();
    rows[0].column(0).as_primitive::<Int64Type>().value(0)
}
