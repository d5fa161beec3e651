//! Results of queries in one Parquet file: chunks of the files that are read are copied byte
//! for byte, and all else is as in a file that is encoded whole.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion_sessionize::runner::compile::{
    CompileOptions, Dag, compile, compile_inline,
};
use datafusion_sessionize::runner::engine::{Engine, EngineOptions};
use datafusion_sessionize::runner::materialization::{NotWritten, QueryRows};
use datafusion_sessionize::runner::project::{LoadOptions, load};
use futures::StreamExt;

use crate::splice::{DEDUPLICATED, File, GROUP, KEEPS_ALL, Lake, all_chunks};
use crate::splice::{events, lake, properties, write};

/// The columns that [`KEEPS_ALL`] copies, and what they are called.
const COPIED: [(&str, &str); 5] = [
    ("id", "id"),
    ("text", "text"),
    ("t", "t"),
    ("visitor", "visitor"),
    ("visitor", "who"),
];

/// The numbers of sessions that pass a filter.
fn numbered(filter: &str) -> String {
    format!("select * from ({KEEPS_ALL}) as numbered where {filter}")
}

struct Queries {
    engine: Engine,
    dag: Arc<Dag>,
}

impl Queries {
    /// Over the files of `lake`, in so many partitions.
    async fn over(lake: &Lake, partitions: usize) -> Self {
        let options = LoadOptions {
            project_dir: lake.project(),
            profiles_dir: Some(lake.project()),
            ..LoadOptions::default()
        };
        let project = Arc::new(load(&options).unwrap());
        let options = EngineOptions {
            partitions: Some(partitions),
            ..EngineOptions::default()
        };
        let engine = Engine::try_new(Arc::clone(&project), &options).unwrap();
        let dag = compile(project, &CompileOptions::default(), &engine).await;
        let dag = Arc::new(dag.unwrap());
        engine.register(&dag).unwrap();
        Self { engine, dag }
    }

    async fn rows(&self, sql: &str, limit: Option<usize>) -> QueryRows {
        let options = CompileOptions::default();
        let node = compile_inline(&self.dag, sql, &options, &self.engine).await;
        let rows = self.engine.query_rows(&node.unwrap(), limit).await;
        rows.unwrap()
    }

    /// The file that a query gives.
    async fn file(&self, sql: &str, limit: Option<usize>) -> File {
        let mut out = Vec::new();
        let rows = self.rows(sql, limit).await.write_parquet(&mut out).await;
        let rows = rows.unwrap();
        let file = File::of(Bytes::from(out));
        let of_file = file.metadata.file_metadata().num_rows();
        assert_eq!(rows, of_file as u64);
        file
    }

    /// The file of the same query, encoded whole.
    async fn encoded(&self, sql: &str) -> File {
        let set = |value: bool| {
            let sql = format!("set sessionize.late_materialization = {value}");
            async move { self.engine.context().sql(&sql).await.unwrap() }
        };
        set(false).await;
        let file = self.file(sql, None).await;
        set(true).await;
        file
    }
}

/// The rows of a file, ordered by all their columns.
fn sorted(file: &File) -> Vec<OwnedRow> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes.clone()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(|b| b.unwrap()).collect();
    let rows = concat_batches(&schema, &batches).unwrap();
    let fields = schema.fields().iter();
    let fields = fields.map(|field| SortField::new(field.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).unwrap();
    let rows = converter.convert_columns(rows.columns()).unwrap();
    let mut rows: Vec<OwnedRow> = rows.iter().map(|row| row.owned()).collect();
    rows.sort();
    rows
}

/// Both files must tell readers the same of their rows, and have the same.
fn assert_alike(copied: &File, encoded: &File) {
    let types = |file: &File| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes.clone());
        Arc::clone(reader.unwrap().schema())
    };
    assert_eq!(types(copied), types(encoded));
    let (of_copied, of_encoded) = (
        copied.metadata.file_metadata(),
        encoded.metadata.file_metadata(),
    );
    assert_eq!(of_copied.schema_descr(), of_encoded.schema_descr());
    assert_eq!(of_copied.created_by(), of_encoded.created_by());
    let notes = of_copied.key_value_metadata();
    assert_eq!(notes, of_encoded.key_value_metadata());
    assert_eq!(sorted(copied), sorted(encoded));
}

fn three_files() -> Lake {
    let lake = lake(&[]);
    write(&lake.file(2), &events(2), properties());
    lake
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_has_the_chunks_of_its_files_in_their_order() {
    let lake = three_files();
    let from = [lake.file(0), lake.file(1), lake.file(2)];
    for partitions in [2, 8] {
        let queries = Queries::over(&lake, partitions).await;
        let file = queries.file(KEEPS_ALL, None).await;
        for (source, target) in COPIED {
            let (expected, found) = (all_chunks(&from, source), file.chunks(target));
            assert_eq!(found.len(), 9);
            assert!(found == expected, "{target} of {partitions} partitions");
        }
        if partitions == 2 {
            assert_alike(&file, &queries.encoded(KEEPS_ALL).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_group_that_loses_a_row_is_put_together_anew() {
    let lake = lake(&[]);
    let from = [lake.file(0), lake.file(1)];
    let queries = Queries::over(&lake, 2).await;
    let file = queries.file(DEDUPLICATED, None).await;
    for column in ["id", "text", "t", "visitor"] {
        let (expected, found) = (all_chunks(&from, column), file.chunks(column));
        let same = found.iter().zip(&expected).map(|(a, b)| a == b);
        assert_eq!(same.filter(|same| *same).count(), 5, "{column}");
    }
    assert_alike(&file, &queries.encoded(DEDUPLICATED).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_without_rows_is_a_file_with_columns() {
    let lake = lake(&[]);
    let queries = Queries::over(&lake, 2).await;
    for filter in ["number < 0", "false"] {
        let sql = numbered(filter);
        let file = queries.file(&sql, None).await;
        assert_eq!(file.metadata.num_row_groups(), 0);
        assert_alike(&file, &queries.encoded(&sql).await);
    }
}

/// A row group of which all rows go, between others, leaves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_group_that_loses_all_rows_is_not_there() {
    let lake = lake(&[]);
    let queries = Queries::over(&lake, 2).await;
    // a filter that is not known before the numbers are
    let sql = numbered(&format!("number > 0 and id / {GROUP} <> 1 + 0 * number"));
    let file = queries.file(&sql, None).await;
    assert_eq!(file.metadata.num_row_groups(), 5);
    assert_alike(&file, &queries.encoded(&sql).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_rows_than_asked_for() {
    let lake = lake(&[]);
    for partitions in [1, 2] {
        let queries = Queries::over(&lake, partitions).await;
        let filtered = numbered("number > 3");
        let limited = format!("{filtered} limit 5");
        for (sql, limit) in [
            (KEEPS_ALL, Some(5)),
            (&*filtered, Some(5)),
            (&limited, None),
        ] {
            let file = queries.file(sql, limit).await;
            assert_eq!(file.metadata.file_metadata().num_rows(), 5, "{sql}");
        }
    }
}

/// A draw gives another number each time it is evaluated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_drawn_at_random_is_drawn_once() {
    let lake = lake(&[]);
    let queries = Queries::over(&lake, 2).await;
    let drawn = format!("select *, random() as r from ({KEEPS_ALL}) as numbered");
    let ways = [
        format!("select * from ({drawn}) as drawn where r * number < 0.5"),
        format!("select *, r as s from ({drawn}) as drawn"),
        format!("select *, number * 0.1 as r, number * 0.1 as s from ({KEEPS_ALL}) as numbered
                 where number * random() < 0.5"),
    ];
    for sql in ways {
        let file = queries.file(&sql, None).await;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let column = |name| batch.column_by_name(name);
            let numbers = column("number")
                .unwrap()
                .as_primitive::<Int64Type>()
                .values();
            let draws = column("r").unwrap().as_primitive::<Float64Type>().values();
            match column("s") {
                Some(same) => {
                    assert_eq!(draws, same.as_primitive::<Float64Type>().values())
                }
                None => {
                    let mut rows = numbers.iter().zip(draws);
                    assert!(rows.all(|(number, r)| *number as f64 * r < 0.5));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_asked_for_is_kept() {
    let lake = lake(&[]);
    let queries = Queries::over(&lake, 2).await;
    let sql = format!("{KEEPS_ALL} order by id desc");
    let file = queries.file(&sql, None).await;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.bytes).unwrap();
    let mut before = i64::MAX;
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let ids = batch.column_by_name("id").unwrap();
        let ids = ids.as_primitive::<Int64Type>();
        for id in ids.values() {
            assert!(*id <= before);
            before = *id;
        }
    }
}

/// As in tables, the places of pages are found out where a file does not say them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_without_page_indexes_are_copied_too() {
    let lake = lake(&[]);
    let none = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP));
    write(&lake.file(1), &events(1), none.build());
    let queries = Queries::over(&lake, 2).await;
    let file = queries.file(KEEPS_ALL, None).await;
    let expected = all_chunks(&[lake.file(0), lake.file(1)], "text");
    assert!(file.chunks("text") == expected);
    let pages = file.metadata.offset_index().unwrap();
    assert!(
        pages
            .iter()
            .flatten()
            .all(|of| !of.page_locations().is_empty())
    );
    assert_alike(&file, &queries.encoded(KEEPS_ALL).await);
}

/// Takes so many bytes.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.checked_sub(bytes.len()) {
            Some(left) => self.0 = left,
            None => return Err(io::ErrorKind::StorageFull.into()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The reason is that of the place, however far the file has come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_from_a_failed_query() {
    let lake = three_files();
    let queries = Queries::over(&lake, 3).await;
    let whole = queries.file(KEEPS_ALL, None).await.bytes.len();
    for room in [0, 10, whole / 2, whole - 1] {
        let rows = queries.rows(KEEPS_ALL, None).await;
        match rows.write_parquet(Full(room)).await.unwrap_err() {
            NotWritten::File(ParquetError::External(e)) => {
                let e = e.downcast::<io::Error>().unwrap();
                assert_eq!(e.kind(), io::ErrorKind::StorageFull);
            }
            other => panic!("{room}: {other}"),
        }
    }
}

/// A query that fails in a partition that is not written yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_query_is_told_in_the_words_of_one_that_is_encoded() {
    let lake = three_files();
    let queries = Queries::over(&lake, 3).await;
    let sql =
        "select *, cast(case when id = 140000 then 'x' else '1' end as bigint) as one,
         session_number(t) over (partition by visitor order by t, id) as number
         from {{ source('lake', 'events') }}";
    let told = |failed: NotWritten| match failed {
        NotWritten::Query(e) => {
            let cause = std::error::Error::source(&e).unwrap().to_string();
            (e.kind(), e.message().to_owned(), cause)
        }
        NotWritten::File(e) => panic!("{e}"),
    };
    let rows = queries.rows(sql, None).await;
    let spliced = told(rows.write_parquet(Vec::new()).await.unwrap_err());
    let set = "set sessionize.late_materialization = false";
    queries.engine.context().sql(set).await.unwrap();
    let rows = queries.rows(sql, None).await;
    let encoded = told(rows.write_parquet(Vec::new()).await.unwrap_err());
    assert_eq!(spliced, encoded);
}

/// Writes a file of the lake anew as soon as the first bytes come.
struct Touching {
    file: Option<PathBuf>,
    rows: RecordBatch,
}

impl io::Write for Touching {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = self.file.take() {
            write(&file, &self.rows, properties());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_fails_a_query_that_is_encoded() {
    let lake = lake(&[]);
    let queries = Queries::over(&lake, 2).await;
    let sql = "select id from {{ source('lake', 'events') }}";
    let mut rows = queries.rows(sql, None).await.stream().unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    write(&lake.file(1), &events(1), properties());
    let failed = rows.map(|rows| rows.err()).collect::<Vec<_>>().await;
    let failed = failed.into_iter().flatten().next().unwrap().to_string();
    assert!(failed.contains("changed while it was read"), "{failed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_fails_the_query() {
    let lake = lake(&[]);
    let queries = Queries::over(&lake, 2).await;
    let out = Touching {
        file: Some(lake.file(1)),
        rows: events(1),
    };
    let rows = queries.rows(KEEPS_ALL, None).await;
    let failed = rows.write_parquet(out).await.unwrap_err().to_string();
    assert!(failed.contains("changed while it was read"), "{failed}");
}
