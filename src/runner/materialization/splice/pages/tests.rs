use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::parquet::file::properties::{WriterProperties, WriterVersion};
use datafusion::parquet::file::writer::SerializedFileWriter;
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

use super::*;

fn rows(draws: &mut ChaCha8Rng, nulls: f64, distinct: u64) -> RecordBatch {
    let rows = [1, 40, 3000].choose(draws).copied().unwrap_or(1);
    let mut cells = |nulls: f64| -> Vec<Option<i64>> {
        let cells = (0..rows).map(|_| {
            let null = draws.random_bool(nulls);
            let value = draws.random_range(0..distinct) as i64 - 20;
            (!null).then_some(value)
        });
        cells.collect()
    };
    let texts = cells(nulls).into_iter();
    let texts = texts.map(|n| n.map(|n| "x".repeat(n as usize % 9) + &n.to_string()));
    let columns: [(&str, ArrayRef, bool); 5] = [
        ("text", Arc::new(texts.collect::<StringArray>()), true),
        ("number", Arc::new(Int64Array::from(cells(nulls))), true),
        ("never", Arc::new(Int64Array::from(cells(0.0))), false),
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from(cells(nulls))),
            true,
        ),
        (
            "day",
            Arc::new(
                cells(nulls)
                    .iter()
                    .map(|n| n.map(|n| n as i32))
                    .collect::<Date32Array>(),
            ),
            true,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn written(batch: &RecordBatch, properties: WriterProperties) -> Bytes {
    let mut file = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
    for from in (0..batch.num_rows()).step_by(100) {
        let rows = 100.min(batch.num_rows() - from);
        writer.write(&batch.slice(from, rows)).unwrap();
    }
    writer.close().unwrap();
    Bytes::from(file)
}

fn metadata(file: &Bytes) -> Arc<ParquetMetaData> {
    let options =
        ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader =
        ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options);
    Arc::clone(reader.unwrap().metadata())
}

fn read(file: &Bytes, selected: Option<RowSelection>) -> RecordBatch {
    let options =
        ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader =
        ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options);
    let mut reader = reader.unwrap();
    let schema = Arc::clone(reader.schema());
    if let Some(selected) = selected {
        reader = reader.with_row_selection(selected);
    }
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// `file` without the rows that are not kept, page by page.
fn without(file: &Bytes, batch: &RecordBatch, keeps: &BooleanArray) -> Bytes {
    let metadata = metadata(file);
    let mut out = Vec::new();
    let writer = ArrowWriter::try_new(&mut out, batch.schema(), None).unwrap();
    let (writer, _) = writer.into_serialized_writer().unwrap();
    let mut writer: SerializedFileWriter<_> = writer;
    let columns = writer.schema_descr().columns().to_vec();
    let mut group = writer.next_row_group().unwrap();
    for (index, column) in columns.iter().enumerate() {
        let of_column = metadata.row_group(0).column(index);
        let (start, length) = of_column.byte_range();
        let bytes = file.slice(start as usize..(start + length) as usize);
        let chunk = Chunk {
            bytes: ChunkBytes { start, bytes },
            metadata: of_column,
            column,
            bloom_filter: None,
        };
        let kept = chunk.without(keeps.values()).unwrap().unwrap();
        group.append_column(&kept.bytes, kept.close).unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    Bytes::from(out)
}

#[test]
fn chunks_are_as_if_the_rows_had_never_been_there() {
    for seed in 0..120 {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let nulls = [0.0, 0.3, 1.0].choose(&mut draws).copied().unwrap_or(0.0);
        let distinct = [1, 70, 100_000].choose(&mut draws).copied().unwrap_or(1);
        let batch = rows(&mut draws, nulls, distinct);
        let versions = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
        let v2 = draws.random_bool(0.5);
        let codecs = [Compression::UNCOMPRESSED, Compression::SNAPPY];
        let properties = WriterProperties::builder()
            .set_writer_version(versions[usize::from(v2 && distinct < 1000)])
            .set_compression(codecs[draws.random_range(0..2)])
            .set_dictionary_enabled(distinct < 1000 || !v2)
            .set_dictionary_page_size_limit(2000)
            .set_data_page_row_count_limit(300)
            .build();
        let file = written(&batch, properties);
        let share = [0.02, 0.5, 0.97].choose(&mut draws).copied().unwrap_or(0.5);
        let keeps: Vec<bool> = (0..batch.num_rows())
            .map(|_| draws.random_bool(share))
            .collect();
        let keeps = BooleanArray::from(keeps);
        if keeps.true_count() == 0 {
            continue;
        }
        let expected = filter_record_batch(&batch, &keeps).unwrap();
        let found = without(&file, &batch, &keeps);
        assert_eq!(read(&found, None), expected, "seed {seed}");

        let anew = written(&expected, WriterProperties::builder().build());
        let (found_groups, anew) = (metadata(&found), metadata(&anew));
        for column in 0..batch.num_columns() {
            let statistics = |of: &ParquetMetaData| {
                let statistics = of.row_group(0).column(column).statistics().cloned();
                let statistics = statistics.unwrap();
                let bytes = |of: Option<&[u8]>| of.map(<[u8]>::to_vec);
                (
                    bytes(statistics.min_bytes_opt()),
                    bytes(statistics.max_bytes_opt()),
                    statistics.null_count_opt(),
                )
            };
            let (found, anew) = (statistics(&found_groups), statistics(&anew));
            assert_eq!(found, anew, "seed {seed}, column {column}");
        }

        let rows = expected.num_rows();
        let skipped = draws.random_range(0..rows);
        let rest = RowSelection::from(vec![
            RowSelector::skip(skipped),
            RowSelector::select(rows - skipped),
        ]);
        let rest = read(&found, Some(rest));
        let expected = expected.slice(skipped, rows - skipped);
        assert_eq!(rest, expected, "seed {seed}: pages are elsewhere");
    }
}

#[test]
fn damaged_pages_are_an_error() {
    let mut draws = ChaCha8Rng::seed_from_u64(5);
    let batch = rows(&mut draws, 0.3, 70);
    let properties = WriterProperties::builder().build();
    let file = written(&batch, properties);
    let metadata = metadata(&file);
    let keeps: BooleanBuffer = (0..batch.num_rows()).map(|row| row != 0).collect();
    let column = metadata.file_metadata().schema_descr().column(0);
    let of_column = metadata.row_group(0).column(0);
    let (start, length) = of_column.byte_range();
    let whole = file.slice(start as usize..(start + length) as usize);
    let mut failed = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] = !bytes[at];
        let chunk = Chunk {
            bytes: ChunkBytes {
                start,
                bytes: Bytes::from(bytes),
            },
            metadata: of_column,
            column: &column,
            bloom_filter: None,
        };
        failed += usize::from(chunk.without(&keeps).is_err());
    }
    assert!(failed > 0, "no byte of {} matters", whole.len());
}
