//! JSON files as event lakes, and the flattening of nested objects.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, StructArray,
};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_sessionize::{EventLakeOptions, LakeColumn, Stores, event_lake};

async fn query(
    location: &Path,
    flatten: bool,
    columns: Vec<LakeColumn>,
    sql: &str,
) -> Result<String, String> {
    let config = SessionConfig::new()
        .with_batch_size(3)
        .with_target_partitions(4);
    let context = SessionContext::new_with_config(config);
    let options = EventLakeOptions {
        location: location.display().to_string(),
        columns,
        flatten,
        ..EventLakeOptions::default()
    };
    let lake = event_lake(&context, &Stores::default(), options).await;
    let lake = lake.map_err(|e| e.to_string())?;
    context.register_table("lake", lake).unwrap();
    let rows = context.sql(sql).await.map_err(|e| e.to_string())?;
    let rows = rows.collect().await.map_err(|e| e.to_string())?;
    Ok(pretty_format_batches(&rows).unwrap().to_string())
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

/// A gzip stream of one stored block, written out by hand.
fn gzip(text: &str) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    let length = u16::try_from(text.len()).unwrap();
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.extend((!crc).to_le_bytes());
    bytes.extend(u32::from(length).to_le_bytes());
    bytes
}

#[tokio::test]
async fn arrays_lines_and_zipped_files_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let array =
        "[{\"id\": 1, \"context\": {\"page\": {\"url\": \"/a\"}}},\n {\"id\": 2}]";
    write(folder.path(), "1.json", array);
    write(
        folder.path(),
        "2.ndjson",
        "{\"id\": \"x3\", \"tags\": [1, \"two\"], \"context\": \"none\"}\n\n{\"id\": 4.50}\n",
    );
    let zipped = "[{\"id\": true, \"context\": {\"page\": {\"url\": null, \"n\": 7}}}]";
    fs::write(folder.path().join("3.json.gz"), gzip(zipped)).unwrap();
    let shown = query(
        folder.path(),
        true,
        vec![],
        "select * from lake order by id",
    )
    .await;
    assert_eq!(
        shown.unwrap(),
        "\
+------+------------------+-----------+---------+----------------+
| id   | context.page.url | tags      | context | context.page.n |
+------+------------------+-----------+---------+----------------+
| 1    | /a               |           |         |                |
| 2    |                  |           |         |                |
| 4.50 |                  |           |         |                |
| true |                  |           |         | 7              |
| x3   |                  | [1,\"two\"] | none    |                |
+------+------------------+-----------+---------+----------------+"
    );
    let sql = "select count(*) as n, count(\"context.page.n\") as m from lake";
    let shown = query(folder.path(), true, vec![], sql).await.unwrap();
    assert!(shown.contains("| 5 | 1 |"), "{shown}");
    let shown = query(
        folder.path(),
        true,
        vec![],
        "select count(*) as n from lake",
    )
    .await;
    assert!(shown.unwrap().contains("| 5 |"));
}

#[tokio::test]
async fn a_field_that_comes_late_is_read_and_widens() {
    let folder = tempfile::tempdir().unwrap();
    let mut text: String = (0..5000).map(|n| format!("{{\"n\": {n}}}\n")).collect();
    text += "{\"n\": \"many\", \"late\": {\"field\": 1}}\n";
    write(folder.path(), "a.jsonl", &text);
    let sql =
        "select max(\"late.field\") as late, count(*) filter (where n = 'many') as n,
        count(distinct n) as d from lake";
    let shown = query(folder.path(), true, vec![], sql).await.unwrap();
    assert!(shown.contains("| 1    | 1 | 5001 |"), "{shown}");
}

#[tokio::test]
async fn declared_columns_are_found_and_cast() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"userid\": 12345678901234567890, \"timestamp\": \"2024-01-01T09:00:00+01:00\"}";
    write(folder.path(), "a.json", text);
    let column = |name: &str, data_type: &str| LakeColumn {
        name: name.to_owned(),
        data_type: Some(data_type.to_owned()),
        required: false,
    };
    let columns = vec![
        column("userId", "text"),
        column("timestamp", "timestamptz"),
        column("context.ip", "text"),
    ];
    let sql = "select \"userId\", \"timestamp\", \"context.ip\" from lake";
    let shown = query(folder.path(), true, columns.clone(), sql)
        .await
        .unwrap();
    let row = "| 12345678901234567890 | 2024-01-01T08:00:00Z |            |";
    assert!(shown.contains(row), "{shown}");
    write(folder.path(), "a.json", "{\"timestamp\": \"soon\"}");
    let error = query(folder.path(), true, columns, sql).await.unwrap_err();
    assert!(
        error.contains("`timestamp`") && error.contains("`soon`"),
        "{error}"
    );
}

#[tokio::test]
async fn no_digit_of_a_whole_number_gets_lost() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"id\": 9007199254740993, \"n\": 4294967296, \"mixed\": 9007199254740993}\n\
        {\"id\": 9223372036854775807, \"n\": 1.5, \"mixed\": 0.50}";
    write(folder.path(), "a.json", text);
    let sql = "select arrow_typeof(id) as t, id, n, mixed from lake order by id";
    let shown = query(folder.path(), true, vec![], sql).await.unwrap();
    let row = "| Int64 | 9007199254740993    | 4294967296.0 | 9007199254740993 |";
    assert!(shown.contains(row), "{shown}");
    let row = "| Int64 | 9223372036854775807 | 1.5          | 0.50             |";
    assert!(shown.contains(row), "{shown}");
    // whole numbers in one file, fractions in another
    write(
        folder.path(),
        "b.json",
        "{\"id\": 0.5}\n{\"id\": 18446744073709551615}",
    );
    let sql = "select id from lake where id is not null order by id";
    let shown = query(folder.path(), true, vec![], sql).await.unwrap();
    for id in [
        "0.5 ",
        "9007199254740993",
        "9223372036854775807",
        "18446744073709551615",
    ] {
        assert!(shown.contains(id), "{id}: {shown}");
    }
    fs::remove_file(folder.path().join("b.json")).unwrap();
    write(folder.path(), "b.json", "{\"id\": 0.5}");
    let shown = query(folder.path(), true, vec![], sql).await.unwrap();
    assert!(shown.contains("| 9007199254740993    |"), "{shown}");
    assert!(shown.contains("| 0.5                 |"), "{shown}");
}

#[tokio::test]
async fn without_flattening_objects_are_structs() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.json",
        "[{\"a\": {\"b\": [1, 2]}}, {\"a\": {\"c\": 1.5}}]",
    );
    let sql = "select a['b'] as b, a['c'] as c from lake";
    let shown = query(folder.path(), false, vec![], sql).await.unwrap();
    assert!(shown.contains("| [1, 2] |     |"), "{shown}");
    assert!(shown.contains("|        | 1.5 |"), "{shown}");
    write(folder.path(), "a.json", "{\"a\": {\"b\": 1}}\n{\"a\": 2}");
    let error = query(folder.path(), false, vec![], "select 1")
        .await
        .unwrap_err();
    assert!(
        error.contains("`a`") && error.contains("flatten"),
        "{error}"
    );
    let sql = "select a, \"a.b\" from lake order by a";
    let shown = query(folder.path(), true, vec![], sql).await.unwrap();
    assert!(
        shown.contains("| 2 |     |") && shown.contains("|   | 1   |"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_is_no_json_is_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", "{\"a\": 1}\n");
    write(
        folder.path(),
        "b.json",
        "{\"a\": 1}\n{\"a\": 2}\n{\"a\": oops}\n",
    );
    for flatten in [true, false] {
        let error = query(folder.path(), flatten, vec![], "select 1")
            .await
            .unwrap_err();
        assert!(error.contains("b.json` is not JSON"), "{error}");
        assert!(error.contains("line 3 of the file"), "{error}");
    }
    fs::write(folder.path().join("b.json"), b"{\"a\": \"\xff\"}").unwrap();
    let error = query(folder.path(), true, vec![], "select a from lake").await;
    assert!(
        error.as_ref().is_err_and(|e| e.contains("b.json")),
        "{error:?}"
    );
    let mut cut = gzip("{\"a\": 1}\n");
    cut.truncate(cut.len() - 9);
    fs::remove_file(folder.path().join("b.json")).unwrap();
    fs::write(folder.path().join("c.json.gz"), cut).unwrap();
    let error = query(folder.path(), true, vec![], "select 1")
        .await
        .unwrap_err();
    assert!(error.contains("c.json.gz"), "{error}");
}

#[tokio::test]
async fn structs_of_parquet_files_flatten_too() {
    let folder = tempfile::tempdir().unwrap();
    let parquet = |name: &str, columns: &[(&str, ArrayRef)]| {
        let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
        let file = File::create(folder.path().join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
    let url: ArrayRef = Arc::new(StringArray::from(vec![Some("/a"), None]));
    let page: ArrayRef =
        Arc::new(StructArray::from(vec![(field("url", DataType::Utf8), url)]));
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let context = StructArray::from(vec![
        (field("page", page.data_type().clone()), page),
        (field("n", DataType::Int64), Arc::clone(&number)),
    ]);
    parquet(
        "a.parquet",
        &[("id", number), ("context", Arc::new(context))],
    );
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    parquet(
        "b.parquet",
        &[
            ("id", Arc::new(Int64Array::from(vec![3]))),
            ("context.n", text),
        ],
    );
    let sql = "select * from lake order by id";
    let shown = query(folder.path(), true, vec![], sql).await.unwrap();
    assert_eq!(
        shown,
        "\
+----+------------------+-----------+
| id | context.page.url | context.n |
+----+------------------+-----------+
| 1  | /a               | 1         |
| 2  |                  | 2         |
| 3  |                  | x         |
+----+------------------+-----------+"
    );
    let sql = "select \"context.n\" from lake where \"context.page.url\" = '/a'";
    let shown = query(folder.path(), true, vec![], sql).await.unwrap();
    assert!(shown.contains("| 1         |"), "{shown}");
}
