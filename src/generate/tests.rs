use std::path::Path;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

fn small(output: &Path) -> GenerateOptions {
    GenerateOptions {
        visitors: 60,
        days: 5,
        late: 0.1,
        ..GenerateOptions::sample(output.to_owned())
    }
}

/// Path and content of every file, sorted.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("part-0.parquet"))
        .map(|path| {
            let name = path
                .strip_prefix(folder)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn rows(bytes: Vec<u8>) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
    let reader = reader.unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    concat_batches(&page_view::schema(), &batches).unwrap()
}

#[test]
fn the_same_options_give_the_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report = generate(&small(one.path())).unwrap();
    assert_eq!(report, generate(&small(two.path())).unwrap());
    assert_eq!(files(one.path()), files(two.path()));
    assert_eq!(report.files, 5);
    let bytes: usize = files(one.path()).iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(report.bytes, bytes as u64);
}

#[test]
fn another_seed_gives_other_visitors() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    generate(&small(one.path())).unwrap();
    generate(&GenerateOptions {
        seed: 43,
        ..small(two.path())
    })
    .unwrap();
    assert_ne!(files(one.path()), files(two.path()));
}

/// Checks the folder of every row; counts the rows, and those that arrived a day late
/// or more and are not made by hand.
fn arrivals(late_share: f64) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let options = GenerateOptions {
        late: late_share,
        ..small(folder.path())
    };
    let report = generate(&options).unwrap();
    let (mut count, mut late) = (0, 0);
    for (name, bytes) in files(folder.path()) {
        let rows = rows(bytes);
        let received = rows["received_at"].as_primitive::<TimestampMicrosecondType>();
        let viewed = rows["timestamp"].as_primitive::<TimestampMicrosecondType>();
        let ids = rows["id"].as_string::<i32>();
        for row in 0..rows.num_rows() {
            let date = received.value_as_datetime(row).unwrap().date();
            assert_eq!(name, format!("dt={date}/part-0.parquet"));
            let delay = received.value(row) - viewed.value(row);
            let drawn = ids.value(row).starts_with("ajs-");
            late += u64::from(drawn && delay > DAY * 1_000);
        }
        count += rows.num_rows() as u64;
    }
    assert_eq!(count, report.page_views);
    (count, late)
}

#[test]
fn every_row_lies_in_the_folder_of_its_arrival() {
    let (_, none) = arrivals(0.0);
    assert_eq!(none, 0);
    let (all, late) = arrivals(0.5);
    assert!(late * 20 > all, "{late} of {all} are late");
}

#[test]
fn more_visitors_leave_the_others_as_they_are() {
    let of = |visitors| {
        let folder = tempfile::tempdir().unwrap();
        let options = GenerateOptions {
            visitors,
            ..small(folder.path())
        };
        generate(&options).unwrap().page_views
    };
    let (few, many) = (of(0), of(300));
    assert!(few > 50, "{few} awkward page views");
    assert!(many > 10 * few, "{many} page views");
}

#[test]
fn a_folder_with_files_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), "").unwrap();
    let error = generate(&small(folder.path())).unwrap_err();
    assert!(error.message().ends_with("is not empty"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn wrong_options_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (days, late, expected) in [
        (0, 0.0, "`days` must be 1 to 3650; found `0`"),
        (1, 1.5, "`late` must be 0 to 1; found `1.5`"),
        (1, f64::NAN, "`late` must be 0 to 1; found `NaN`"),
    ] {
        let options = GenerateOptions {
            days,
            late,
            ..small(folder.path())
        };
        assert_eq!(generate(&options).unwrap_err().message(), expected);
    }
}

#[test]
fn the_committed_sample_is_what_the_generator_gives() {
    let folder = tempfile::tempdir().unwrap();
    generate(&GenerateOptions::sample(folder.path().to_owned())).unwrap();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/segment");
    let (fresh, committed) = (files(folder.path()), files(&committed));
    assert_eq!(fresh.len(), committed.len());
    for ((fresh_name, fresh), (name, committed)) in fresh.into_iter().zip(committed) {
        assert_eq!(fresh_name, name);
        assert!(rows(fresh) == rows(committed), "`{name}` differs");
    }
}
