//! Tables that keep columns of Parquet files: chunks are copied byte for byte where no row is
//! dropped, put together anew where one is, and read the same as any table.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{
    ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use tempfile::TempDir;

use crate::other_engine::{compare, python, sessionize};

/// Rows of a row group of the lake.
pub(crate) const GROUP: usize = 20_000;

/// Every column of the files, renamed ones among them, and two more.
pub(crate) const KEEPS_ALL: &str = "
select *, visitor as who, text || '-' || session_number(t) over (
        partition by visitor order by t, id
    ) as label,
    session_id(visitor, t) over (partition by visitor order by t, id) as session,
    session_number(t) over (partition by visitor order by t, id) as number
from {{ source('lake', 'events') }}";

/// Drops the second of two rows with one id.
pub(crate) const DEDUPLICATED: &str = "
with kept as (
    select * from {{ source('lake', 'events') }}
    qualify row_number() over (partition by id order by t, text) = 1
)
select *, session_number(t) over (partition by visitor order by t, id) as number from kept";

/// The same of rows that have what they need, as the packs do it.
const USABLE: &str = "
with usable as (
    select * from {{ source('lake', 'events') }}
    where id is not null and visitor is not null and t is not null
), kept as (
    select * from usable
    qualify row_number() over (partition by id order by t, text) = 1
)
select *, session_number(t) over (partition by visitor order by t, id) as number from kept";

/// The same rows by other ways: a join, which no chunk comes through.
const AS_ANY_TABLE: &str = "
select k.* from ({{ model }}) as k cross join (values (1)) as one(n)";

pub(crate) struct Lake {
    folder: TempDir,
}

pub(crate) fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP))
        .set_bloom_filter_enabled(true)
        .build()
}

/// Two files of two row groups and a half; an id that is there twice is in the first group of
/// the second file.
pub(crate) fn events(file: i64) -> RecordBatch {
    let rows = (GROUP * 5 / 2) as i64;
    let ids = (0..rows).map(|row| match (file, row) {
        (1, 7) => 3,
        _ => file * rows + row,
    });
    let visitors =
        (0..rows).map(|row| (row % 11 != 0).then(|| format!("v{}", row % 997)));
    let times = (0..rows).map(|row| (row % 13 != 0).then(|| row * 1_000_000 * 97));
    let texts = (0..rows).map(|row| (row % 3 != 0).then(|| format!("text {}", row % 50)));
    let columns: [(&str, ArrayRef, bool); 4] = [
        ("id", Arc::new(ids.collect::<Int64Array>()), true),
        ("visitor", Arc::new(visitors.collect::<StringArray>()), true),
        (
            "t",
            Arc::new(
                times
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
            true,
        ),
        ("text", Arc::new(texts.collect::<StringArray>()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

pub(crate) fn write(path: &Path, rows: &RecordBatch, properties: WriterProperties) {
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// A project of the models, over a lake of two files.
pub(crate) fn lake(models: &[(&str, &str)]) -> Lake {
    let folder = TempDir::new().unwrap();
    let project = folder.path().join("project");
    fs::create_dir_all(project.join("models")).unwrap();
    fs::create_dir(folder.path().join("lake")).unwrap();
    let sources = "{version: 2, sources: [{name: lake, tables: [{name: events, \
                   meta: {external_location: ../lake}}]}]}";
    let profiles = "p: {outputs: {dev: {type: sessionize, location: ../tables}}}";
    let put = |name: &str, text: &str| fs::write(project.join(name), text).unwrap();
    put("dbt_project.yml", "{name: p, profile: p}");
    put("profiles.yml", profiles);
    put("models/sources.yml", sources);
    for (name, sql) in models {
        put(
            &format!("models/{name}.sql"),
            &format!("{{{{ config(materialized='table') }}}}{sql}"),
        );
    }
    let lake = Lake { folder };
    for file in 0..2 {
        write(&lake.file(file), &events(file), properties());
    }
    lake
}

impl Lake {
    pub(crate) fn file(&self, file: i64) -> PathBuf {
        self.folder.path().join(format!("lake/{file}.parquet"))
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// The data files of a table.
    pub(crate) fn files(&self, table: &str) -> Vec<PathBuf> {
        let folder = self.folder.path().join("tables").join(table);
        let files = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        let mut files: Vec<_> = files
            .filter(|f| f.extension().is_some_and(|e| e == "parquet"))
            .collect();
        files.sort();
        files
    }

    /// Whether a table has the bloom filters of its files: nothing but what is copied, or put
    /// together of pages, has any.
    pub(crate) fn has_bloom_filters(&self, table: &str) -> bool {
        let file = open(&self.files(table)[0]);
        let columns = file.metadata.row_group(0).columns().iter();
        columns.clone().any(|c| c.bloom_filter_offset().is_some())
    }
}

pub(crate) struct File {
    pub(crate) bytes: Bytes,
    pub(crate) metadata: Arc<ParquetMetaData>,
}

fn open(path: &Path) -> File {
    File::of(Bytes::from(fs::read(path).unwrap()))
}

impl File {
    pub(crate) fn of(bytes: Bytes) -> Self {
        let options =
            ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let reader =
            ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options);
        let metadata = Arc::clone(reader.unwrap().metadata());
        Self { bytes, metadata }
    }

    /// The compressed bytes of each row group's chunk of a column.
    pub(crate) fn chunks(&self, column: &str) -> Vec<Bytes> {
        let groups = self.metadata.row_groups().iter();
        let chunks = groups.map(|group| {
            let chunk = group.columns().iter();
            let chunk = chunk
                .clone()
                .find(|c| c.column_path().string() == column)
                .unwrap();
            let (start, length) = chunk.byte_range();
            self.bytes.slice(start as usize..(start + length) as usize)
        });
        chunks.collect()
    }
}

/// The chunks of all files, in their order.
pub(crate) fn all_chunks(files: &[PathBuf], column: &str) -> Vec<Bytes> {
    let files = files.iter().map(|file| open(file));
    files.flat_map(|file| file.chunks(column)).collect()
}

#[test]
fn chunks_are_copied_as_they_are() {
    let lake = lake(&[("keeps_all", KEEPS_ALL)]);
    sessionize(&lake.project(), &["run"]);
    let (from, to) = ([lake.file(0), lake.file(1)], lake.files("keeps_all"));
    for (source, target) in [
        ("id", "id"),
        ("text", "text"),
        ("t", "t"),
        ("visitor", "who"),
    ] {
        let mut expected = all_chunks(&from, source);
        let mut found = all_chunks(&to, target);
        assert_eq!(found.len(), 6);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{target}");
    }
    for file in &to {
        let file = open(file);
        for group in file.metadata.row_groups() {
            let chunks = group.columns().iter();
            let blooms = chunks.filter(|c| c.bloom_filter_offset().is_some()).count();
            assert_eq!(blooms, 5, "those of the copied columns");
        }
        let pages = file.metadata.offset_index().unwrap();
        for (group, pages) in file.metadata.row_groups().iter().zip(pages) {
            for (chunk, pages) in group.columns().iter().zip(pages) {
                let (start, length) = chunk.byte_range();
                let of_page =
                    |at: i64| (start as i64..(start + length) as i64).contains(&at);
                let first = pages.page_locations().iter();
                assert!(first.clone().all(|page| of_page(page.offset)));
            }
        }
    }
}

#[test]
fn a_row_group_that_loses_a_row_is_put_together_anew() {
    let lake = lake(&[("deduplicated", DEDUPLICATED)]);
    sessionize(&lake.project(), &["run"]);
    let (from, to) = ([lake.file(0), lake.file(1)], lake.files("deduplicated"));
    for column in ["id", "text", "t", "visitor"] {
        let expected = all_chunks(&from, column);
        let found = all_chunks(&to, column);
        assert_eq!(found.len(), 6);
        let copied = found
            .iter()
            .filter(|chunk| expected.contains(chunk))
            .count();
        assert_eq!(copied, 5, "{column}");
    }
}

#[test]
fn rows_are_those_of_any_table() {
    let Some(python) = python() else { return };
    let plain = |model: &str| AS_ANY_TABLE.replace("{{ model }}", model);
    let (all, some) = (plain(KEEPS_ALL), plain(DEDUPLICATED));
    let usable = plain(USABLE);
    let lake = lake(&[
        ("keeps_all", KEEPS_ALL),
        ("deduplicated", DEDUPLICATED),
        ("usable", USABLE),
        ("usable_plain", &usable),
        ("keeps_all_plain", &all),
        ("deduplicated_plain", &some),
    ]);
    sessionize(&lake.project(), &["run"]);
    assert!(lake.has_bloom_filters("usable"));
    let tables = ["keeps_all", "deduplicated", "usable"];
    for table in tables {
        let query = format!(
            "select count(*) as n from ((select * from {table} except all select * from \
             {table}_plain) union all (select * from {table}_plain except all select * from \
             {table}))"
        );
        let differ = sessionize(&lake.project(), &["query", &query, "--format", "csv"]);
        assert_eq!(differ, "n\n0\n", "{table}");
    }
    compare(&python, lake.folder.path(), &tables);
}

/// A file of another writer: no statistics, a required column, another unit of time.
#[test]
fn files_of_another_writer() {
    let lake = lake(&[("keeps_all", KEEPS_ALL)]);
    let none = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP))
        .build();
    write(&lake.file(1), &events(1), none);
    sessionize(&lake.project(), &["run"]);
    // copied, and the places of the pages are found out
    for file in lake.files("keeps_all") {
        let file = open(&file);
        let pages = file.metadata.offset_index().unwrap();
        for (group, pages) in file.metadata.row_groups().iter().zip(pages) {
            assert_eq!(pages.len(), group.num_columns());
            for (chunk, pages) in group.columns().iter().zip(pages) {
                let pages = pages.page_locations();
                assert!(pages.iter().all(|page| page.compressed_page_size > 0));
                let (start, length) = chunk.byte_range();
                let last = pages.last().unwrap();
                let end = last.offset + i64::from(last.compressed_page_size);
                assert_eq!(end, (start + length) as i64);
            }
        }
    }
    // but nothing is said of values that nobody counted
    let folder = lake.folder.path().join("tables/keeps_all/_delta_log");
    let log = fs::read_to_string(folder.join("00000000000000000000.json")).unwrap();
    let count = sessionize(
        &lake.project(),
        &[
            "query",
            "select count(*) as n from keeps_all where id > 60000",
            "--format",
            "csv",
        ],
    );
    assert_eq!(count, "n\n39999\n", "{log}");
    let required = events(1);
    let fields = required.schema().fields().clone();
    let fields = fields.iter().map(|field| {
        let nullable = field.name() != "id";
        Arc::new(field.as_ref().clone().with_nullable(nullable))
    });
    let schema = datafusion::arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
    let required =
        RecordBatch::try_new(Arc::new(schema), required.columns().to_vec()).unwrap();
    write(&lake.file(1), &required, properties());
    sessionize(&lake.project(), &["run", "--full-refresh"]);
    let count = sessionize(
        &lake.project(),
        &[
            "query",
            "select count(*) as n, sum(id) as s from keeps_all",
            "--format",
            "csv",
        ],
    );
    let sum: i64 = (0..100_000).sum::<i64>() - 50_007 + 3;
    assert_eq!(count, format!("n,s\n100000,{sum}\n"));
}

/// Times without a zone and lists are written as any table has them; the others are copied.
#[test]
fn a_column_of_another_type_does_not_stop_the_others() {
    let sql =
        "select *, session_number(t) over (partition by visitor order by t, id) as number
        from {{ source('lake', 'events') }}";
    let some = DEDUPLICATED;
    let (plain, plain_some) = (
        AS_ANY_TABLE.replace("{{ model }}", sql),
        AS_ANY_TABLE.replace("{{ model }}", some),
    );
    let lake = lake(&[
        ("mixed", sql),
        ("some", some),
        ("mixed_plain", &plain),
        ("some_plain", &plain_some),
    ]);
    for file in 0..2 {
        let rows = events(file);
        let numbers = 0..rows.num_rows() as i64;
        let local = TimestampMillisecondArray::from_iter_values(numbers.clone());
        let lists = numbers.map(|row| Some(vec![Some(row); (row % 3) as usize]));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
        let fields = rows.schema();
        let columns = fields.fields().iter().map(|f| f.name().as_str());
        let columns = columns.zip(rows.columns().iter().cloned());
        let columns = columns.chain([
            ("local", Arc::new(local) as ArrayRef),
            ("tags", Arc::new(lists) as ArrayRef),
        ]);
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        write(&lake.file(file), &rows, properties());
    }
    sessionize(&lake.project(), &["run"]);
    let from = [lake.file(0), lake.file(1)];
    let mut expected = all_chunks(&from, "text");
    let mut found = all_chunks(&lake.files("mixed"), "text");
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    for table in ["mixed", "some"] {
        let cells = "id, visitor, t, text, local, tags, number";
        let query = format!(
            "select count(*) as n, (select count(*) from {table}) as of from (
                select {cells} from {table} except all select {cells} from {table}_plain)"
        );
        let differ = sessionize(&lake.project(), &["query", &query, "--format", "csv"]);
        let rows = if table == "mixed" { 100_000 } else { 99_999 };
        assert_eq!(differ, format!("n,of\n0,{rows}\n"), "{table}");
    }
}
