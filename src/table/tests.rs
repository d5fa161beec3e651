//! A table from its first commit to a conflict.

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::prelude::SessionContext;

use super::*;
use crate::catalog::committed;

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

/// The positions of rows that go.
fn gone(rows: &[u64]) -> DeletionVector {
    rows.iter().copied().collect()
}

async fn mask(
    table: &Table,
    base: &TableVersion,
    masked: Vec<(DataFile, DeletionVector)>,
    files: Vec<DataFile>,
) -> Result<TableVersion, TableError> {
    let removed = Vec::new();
    let change = Change::Rows { removed, masked };
    let schema = Arc::clone(&base.schema);
    table.commit(Some(base), change, schema, files, run()).await
}

/// The entry of a version in the log, a JSON object a line.
fn entry(folder: &std::path::Path, version: u64) -> Vec<serde_json::Value> {
    let path = folder.join(format!("_delta_log/{version:020}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[tokio::test]
async fn rows_of_files_that_stay_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&Url::from_directory_path(folder.path()).unwrap());
    let first = commit(&table, None, vec![1, 2, 3, 4]).await.unwrap();
    let file = first.files[0].clone();
    let new = files(&table, vec![100]).await.unwrap();
    let masks = vec![(file.clone(), gone(&[1]))];
    let second = mask(&table, &first, masks, new).await.unwrap();
    assert_eq!((second.files.len(), sum(&table).await), (2, 108));
    let masked = second.files.iter().find(|f| f.path == file.path).unwrap();
    assert_eq!((masked.rows, masked.live_rows()), (4, 3));
    assert_eq!(masked.deletion_vector, Some(gone(&[1])));

    let log = entry(folder.path(), 1);
    let named = |what: &'static str| log.iter().filter_map(move |a| a.get(what));
    let protocol = named("protocol").next().unwrap();
    assert_eq!(
        protocol.to_string(),
        r#"{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["appendOnly","deletionVectors","invariants"]}"#
    );
    let metadata = named("metaData").next().unwrap();
    assert_eq!(
        metadata["configuration"]["delta.enableDeletionVectors"],
        "true"
    );
    let removed = named("remove").next().unwrap();
    assert!(removed.get("deletionVector").is_none());
    let added = named("add")
        .find(|a| a.get("deletionVector").is_some())
        .unwrap();
    assert_eq!(added["path"], removed["path"]);
    assert_eq!(added["deletionVector"]["cardinality"], 1);
    let statistics: serde_json::Value =
        serde_json::from_str(added["stats"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&statistics["tightBounds"], &statistics["numRecords"]),
        (&false.into(), &4.into())
    );
    let history = &table.history(1).await.unwrap()[0];
    assert_eq!(
        (history.files, history.masked, history.rows),
        ((1, 0), 1, 1)
    );

    // more rows of the same file; the table says no more what it is
    let masks = vec![(masked.clone(), gone(&[1, 3]))];
    let third = mask(&table, &second, masks, vec![]).await.unwrap();
    assert_eq!(sum(&table).await, 104);
    let log = entry(folder.path(), 2);
    let named = |what: &str| log.iter().filter(|a| a.get(what).is_some()).count();
    let counts = ["protocol", "metaData", "add", "remove"].map(named);
    assert_eq!(counts, [0, 0, 1, 1]);
    // the former version is as it was
    let before = table.clone().at(1).open().await.unwrap().unwrap();
    assert_eq!(before.files, second.files);

    // not fewer rows than before, none beyond the end, nothing on top of an old version
    let masked = third.files.iter().find(|f| f.path == file.path).unwrap();
    for rows in [&[3][..], &[1, 3, 4]] {
        let masks = vec![(masked.clone(), gone(rows))];
        let error = mask(&table, &third, masks, vec![]).await.unwrap_err();
        assert!(error.to_string().contains("some of its 4"), "{error}");
    }
    let masks = vec![(file.clone(), gone(&[0]))];
    let error = mask(&table, &first, masks, vec![]).await.unwrap_err();
    assert!(matches!(error, TableError::Conflict { .. }), "{error}");

    // a file without rows goes
    let masks = vec![(masked.clone(), gone(&[0, 1, 2, 3]))];
    let fourth = mask(&table, &third, masks, vec![]).await.unwrap();
    assert_eq!((fourth.files.len(), sum(&table).await), (1, 100));
}

#[tokio::test]
async fn masked_files_are_replaced_and_joined() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&Url::from_directory_path(folder.path()).unwrap());
    let first = commit(&table, None, vec![1, 2, 3]).await.unwrap();
    let masks = vec![(first.files[0].clone(), gone(&[0]))];
    let second = mask(&table, &first, masks, vec![]).await.unwrap();
    let joined = files(&table, vec![2, 3]).await.unwrap();
    let change = Change::Compact {
        files: second.files.to_vec(),
        target_size: 1,
    };
    let schema = Arc::clone(&second.schema);
    let third = table.commit(Some(&second), change, schema, joined, BTreeMap::new());
    let third = third.await.unwrap();
    assert_eq!(
        (third.files.len(), third.changed_at, sum(&table).await),
        (1, 1, 5)
    );
    let removed = entry(folder.path(), 2);
    let removed = removed.iter().find_map(|a| a.get("remove")).unwrap();
    assert_eq!(removed["deletionVector"]["storageType"], "i");
    let masks = vec![(third.files[0].clone(), gone(&[1]))];
    let fourth = mask(&table, &third, masks, vec![]).await.unwrap();
    let fifth = commit(&table, Some(&fourth), vec![7]).await.unwrap();
    assert_eq!((fifth.files.len(), sum(&table).await), (1, 7));
    let masks = vec![(fifth.files[0].clone(), gone(&[0]))];
    let sixth = mask(&table, &fifth, masks, vec![]).await.unwrap();
    assert!(sixth.files.is_empty());
    assert!(commit(&table, Some(&sixth), vec![7]).await.is_ok());
}

#[tokio::test]
async fn large_vectors_lie_in_files_that_a_vacuum_removes() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&Url::from_directory_path(folder.path()).unwrap());
    let all = 400_000;
    let first = commit(&table, None, (0..all).collect()).await.unwrap();
    let scattered = |step: u64| -> DeletionVector {
        (0..all as u64)
            .filter(|n| n % 7 == 0 || n * n % step == 1)
            .collect()
    };
    let mut newest = first;
    for step in [13, 11] {
        let all = scattered(13).union(&scattered(step));
        let masks = vec![(newest.files[0].clone(), all)];
        newest = mask(&table, &newest, masks, vec![]).await.unwrap();
    }
    let vectors = || {
        let names = std::fs::read_dir(folder.path()).unwrap();
        let names = names.map(|n| n.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n.starts_with("deletion_vector_")).count()
    };
    assert_eq!(vectors(), 2);
    let expected = scattered(13).union(&scattered(11));
    assert_eq!(newest.files[0].deletion_vector, Some(expected.clone()));
    let live: i64 = (0..all).filter(|n| !expected.contains(*n as u64)).sum();
    assert_eq!(sum(&table).await, live);
    // a file that nobody named, and one that is young
    let stray = "deletion_vector_123e4567-e89b-12d3-a456-426614174000.bin";
    std::fs::write(folder.path().join(stray), "x").unwrap();
    let young = table.vacuum(TimeDelta::hours(1), false).await.unwrap();
    assert_eq!((young.files.len(), vectors()), (0, 3));
    let old = table.vacuum(TimeDelta::zero(), false).await.unwrap();
    assert_eq!((old.files.len(), vectors()), (2, 1));
    assert!(old.files.contains(&stray.to_owned()));
    assert_eq!(sum(&table).await, live);
    assert!(table.open_rows_of(1).await.is_err());
}

#[tokio::test]
async fn a_vector_is_kept_as_long_as_a_young_version_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&Url::from_directory_path(folder.path()).unwrap());
    let first = commit(&table, None, (0..400_000).collect()).await.unwrap();
    let rows: DeletionVector = (0..400_000).filter(|n| n * n % 13 == 1).collect();
    let masks = vec![(first.files[0].clone(), rows)];
    let second = mask(&table, &first, masks, vec![]).await.unwrap();
    // written long ago, replaced now
    let names = std::fs::read_dir(folder.path()).unwrap();
    for file in names.map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|e| e == "bin") {
            let file = std::fs::File::options().append(true).open(file).unwrap();
            let then = std::time::SystemTime::UNIX_EPOCH;
            file.set_modified(then).unwrap();
        }
    }
    commit(&table, Some(&second), vec![1]).await.unwrap();
    let vacuumed = table.vacuum(TimeDelta::hours(1), false).await.unwrap();
    assert!(vacuumed.files.is_empty(), "{vacuumed:?}");
    assert!(table.open_rows_of(1).await.unwrap().is_some());
}

#[tokio::test]
async fn masks_outlive_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&Url::from_directory_path(folder.path()).unwrap());
    let mut newest = commit(&table, None, (0..300).collect()).await.unwrap();
    for row in 0..102 {
        let rows: DeletionVector = (0..=row).collect();
        let masks = vec![(newest.files[0].clone(), rows)];
        newest = mask(&table, &newest, masks, vec![]).await.unwrap();
    }
    assert!(folder.path().join("_delta_log/_last_checkpoint").exists());
    assert_eq!(newest.files[0].live_rows(), 198);
    assert_eq!(sum(&table).await, (102..300).sum::<i64>());
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
    context.register_table("t", provider).unwrap();
    let rows = context
        .sql("select sum(n) from t where n > 0")
        .await
        .unwrap();
    let rows = rows.collect().await.unwrap();
    rows[0].column(0).as_primitive::<Int64Type>().value(0)
}
