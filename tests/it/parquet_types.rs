//! Parquet columns of all kinds of types, flattened: as what tables hold.

use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Date64Array, Decimal256Array, DurationSecondArray,
    FixedSizeBinaryArray, Int64Array, Int64Builder, IntervalYearMonthArray, ListArray,
    MapBuilder, RecordBatch, StringArray, StructArray, Time64MicrosecondArray,
    UInt64Array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, i256};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::prelude::SessionContext;
use datafusion_sessionize::{EventLakeOptions, Stores, event_lake};

/// A map whose keys are numbers: `{7: 1}`.
fn map() -> ArrayRef {
    let mut map = MapBuilder::new(None, Int64Builder::new(), Int64Builder::new());
    map.keys().append_value(7);
    map.values().append_value(1);
    map.append(true).unwrap();
    Arc::new(map.finish())
}

/// A list of two structs, one of which lacks its number.
fn list() -> ArrayRef {
    let number: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
    let items = StructArray::from(vec![
        (field("sku", DataType::Utf8), text),
        (field("n", DataType::Int64), number),
    ]);
    let item = field(
        "item",
        datafusion::arrow::array::Array::data_type(&items).clone(),
    );
    let offsets = OffsetBuffer::from_lengths([2]);
    Arc::new(ListArray::new(item, offsets, Arc::new(items), None))
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let huge = i256::from_string("12345678901234567890123456789012345678901").unwrap();
    let huge = Decimal256Array::from(vec![huge]);
    let huge = huge.with_precision_and_scale(60, 1).unwrap();
    let bytes = FixedSizeBinaryArray::try_from_iter([[0xff_u8, 1]].into_iter()).unwrap();
    vec![
        ("map", map()),
        ("list", list()),
        ("duration", Arc::new(DurationSecondArray::from(vec![90]))),
        (
            "time",
            Arc::new(Time64MicrosecondArray::from(vec![3_600_000_001])),
        ),
        ("interval", Arc::new(IntervalYearMonthArray::from(vec![14]))),
        ("huge", Arc::new(huge)),
        ("fixed", Arc::new(bytes)),
        ("bytes", Arc::new(BinaryArray::from_vec(vec![b"\xff\xfe"]))),
        ("unsigned", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        (
            "date64",
            Arc::new(Date64Array::from(vec![1_704_067_200_000])),
        ),
    ]
}

#[tokio::test]
async fn flattened_columns_are_what_tables_hold() {
    let folder = tempfile::tempdir().unwrap();
    let batch = RecordBatch::try_from_iter(columns()).unwrap();
    let file = File::create(folder.path().join("a.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let context = SessionContext::new();
    let options = EventLakeOptions {
        location: folder.path().display().to_string(),
        flatten: true,
        ..EventLakeOptions::default()
    };
    let lake = event_lake(&context, &Stores::default(), options).await;
    context.register_table("lake", lake.unwrap()).unwrap();
    let read = columns().into_iter().map(|(name, _)| {
        format!("select '{name}' as name, arrow_typeof(\"{name}\") as type, cast(\"{name}\" as varchar) as value from lake")
    });
    let mut read: Vec<_> = read.collect();
    // bytes that are no text have no text
    read.retain(|sql| !sql.contains("'bytes'"));
    read.push(
        "select 'bytes', arrow_typeof(bytes), encode(bytes, 'hex') from lake".to_owned(),
    );
    let rows = context.sql(&read.join(" union all ")).await.unwrap();
    let rows = rows
        .sort_by(vec![datafusion::prelude::col("name")])
        .unwrap();
    let rows = rows.collect().await.unwrap();
    insta::assert_snapshot!(pretty_format_batches(&rows).unwrap(), @r#"
    +----------+-------------------+--------------------------------------------+
    | name     | type              | value                                      |
    +----------+-------------------+--------------------------------------------+
    | bytes    | Binary            | fffe                                       |
    | date64   | Timestamp(ms)     | 2024-01-01T00:00:00                        |
    | duration | Utf8              | PT90S                                      |
    | fixed    | Utf8              | ff01                                       |
    | huge     | Utf8              | 1234567890123456789012345678901234567890.1 |
    | interval | Utf8              | 1 years 2 mons                             |
    | list     | Utf8              | [{"sku":"a","n":1},{"sku":"b"}]            |
    | map      | Utf8              | {"7":1}                                    |
    | time     | Utf8              | 01:00:00.000001                            |
    | unsigned | Decimal128(20, 0) | 18446744073709551615                       |
    +----------+-------------------+--------------------------------------------+
    "#);
}
