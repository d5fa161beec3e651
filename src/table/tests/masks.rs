//! Rows that are deleted from files that stay.

use super::*;

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
    assert_eq!(third.files.len(), 2);
    // the former version is as it was
    let before = table.clone().at(1).open().await.unwrap().unwrap();
    assert_eq!(before.files, second.files);
}

#[tokio::test]
async fn rows_that_cannot_go_are_refused() {
    let table = table(&Url::parse("memory:///t").unwrap());
    let first = commit(&table, None, vec![1, 2, 3, 4]).await.unwrap();
    let file = &first.files[0];
    let second = mask(&table, &first, vec![(file.clone(), gone(&[1, 3]))], vec![]);
    let second = second.await.unwrap();
    // not fewer rows than before, none beyond the end, nothing on top of an old version
    let masked = &second.files[0];
    for rows in [&[3][..], &[1, 3, 4]] {
        let masks = vec![(masked.clone(), gone(rows))];
        let error = mask(&table, &second, masks, vec![]).await.unwrap_err();
        assert!(error.to_string().contains("some of its 4"), "{error}");
    }
    let masks = vec![(file.clone(), gone(&[0]))];
    let error = mask(&table, &first, masks, vec![]).await.unwrap_err();
    assert!(matches!(error, TableError::Conflict { .. }), "{error}");
    assert_eq!(sum(&table).await, 4);
    // a file without rows goes
    let masks = vec![(masked.clone(), gone(&[0, 1, 2, 3]))];
    let new = files(&table, vec![100]).await.unwrap();
    let third = mask(&table, &second, masks, new).await.unwrap();
    assert_eq!((third.files.len(), sum(&table).await), (1, 100));
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

const READ: &str = "
import sys
import polars as pl
from deltalake import DeltaTable, QueryBuilder
for table in sys.argv[1:]:
    read = pl.scan_delta(table)
    few = read.filter(pl.col('n') < 10).collect()['n'].sort().to_list()
    builder = QueryBuilder().register('t', DeltaTable(table))
    rows = pl.DataFrame(builder.execute('select sum(n) as n from t').read_all())
    print(read.collect()['n'].sum(), rows['n'][0], *few)
";

#[tokio::test]
async fn another_engine_skips_deleted_rows() {
    let Some(python) = std::env::var_os("SESSIONIZE_TEST_PYTHON") else {
        let told = "\nSKIPPED: no other engine reads deletion vectors; set SESSIONIZE_TEST_PYTHON\n";
        std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
        return;
    };
    let (mut folders, mut told) = (Vec::new(), String::new());
    let stretch: DeletionVector = (1..300_000).collect();
    let scattered: DeletionVector = (0..400_000).filter(|n| n * n % 13 < 4).collect();
    for rows in [stretch, scattered] {
        let folder = tempfile::tempdir().unwrap();
        let table = table(&Url::from_directory_path(folder.path()).unwrap());
        let first = commit(&table, None, (0..400_000).collect()).await.unwrap();
        let masks = vec![(first.files[0].clone(), gone(&[1]))];
        let new = files(&table, vec![5]).await.unwrap();
        let second = mask(&table, &first, masks, new).await.unwrap();
        let masked = second.files.iter().find(|f| f.rows > 1).unwrap();
        let masks = vec![(masked.clone(), rows.union(&gone(&[1])))];
        mask(&table, &second, masks, vec![]).await.unwrap();
        let live = |n: &u64| *n != 1 && !rows.contains(*n);
        let sum = (0..400_000).filter(live).sum::<u64>() + 5;
        let mut few: Vec<u64> = (0..10).filter(live).chain([5]).collect();
        few.sort_unstable();
        let few: Vec<_> = few.iter().map(u64::to_string).collect();
        told += &format!("{sum} {sum} {}\n", few.join(" "));
        folders.push(folder);
    }
    let mut read = std::process::Command::new(python);
    read.args(["-c", READ])
        .args(folders.iter().map(|f| f.path()));
    let read = read.output().unwrap();
    let errors = String::from_utf8_lossy(&read.stderr);
    assert_eq!(String::from_utf8_lossy(&read.stdout), told, "{errors}");
}
