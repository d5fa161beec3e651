//! `user_agent` against a table of published strings, and against itself row by row.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::prelude::{CsvReadOptions, SessionContext};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

use super::answers;

async fn table() -> Vec<RecordBatch> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/user_agents.csv");
    let path = path.to_string_lossy().into_owned();
    let options = CsvReadOptions::new();
    let rows = SessionContext::new().read_csv(path, options).await.unwrap();
    rows.collect().await.unwrap()
}

#[tokio::test]
async fn published_strings_say_what_is_known_of_them() {
    const FIELDS: [&str; 5] = ["device", "device_category", "os", "browser", "is_bot"];
    let sql =
        "SELECT coalesce(ua, '') AS ua, user_agent(coalesce(ua, '')) AS u FROM rows";
    let mut wrong = Vec::new();
    let mut rows = 0;
    for batch in table().await {
        let texts = Arc::clone(batch.column(0));
        let found = answers(sql, vec![("ua", texts)], batch.num_rows()).await;
        let structs = found[0].column(1).as_struct();
        for row in 0..batch.num_rows() {
            rows += 1;
            for (index, field) in FIELDS.iter().enumerate() {
                let expected =
                    array_value_to_string(batch.column(index + 1), row).unwrap();
                let found = array_value_to_string(structs.column(index), row).unwrap();
                if expected != found {
                    let text = array_value_to_string(batch.column(0), row).unwrap();
                    wrong.push(format!("{text}\n  {field}: {found}, not {expected}"));
                }
            }
        }
    }
    assert!(rows >= 60, "{rows} rows");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn random_texts(random: &mut ChaCha8Rng, known: &[String]) -> Vec<Option<String>> {
    let rows = random.random_range(0..300);
    (0..rows)
        .map(|_| match random.random_range(0..10) {
            0 => None,
            1 => Some(format!("Thing/{} (Android)", random.random_range(0..9))),
            _ => known.choose(random).cloned(),
        })
        .collect()
}

#[tokio::test]
async fn a_row_says_the_same_in_any_company_and_layout() {
    let mut known = Vec::new();
    for batch in table().await {
        let texts = batch.column(0).as_string_view_opt().map(|texts| {
            let texts = texts.iter().flatten();
            texts.map(str::to_owned).collect::<Vec<_>>()
        });
        known.extend(texts.unwrap_or_else(|| {
            let texts = batch.column(0).as_string::<i32>().iter().flatten();
            texts.map(str::to_owned).collect()
        }));
    }
    for seed in 0..10 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let texts = random_texts(&mut random, &known);
        let plain: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let data_type = [
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Utf8View,
            DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8)),
        ][random.random_range(0..4)]
        .clone();
        let given = cast(&plain, &data_type).unwrap();
        let size = random.random_range(1..80);
        let sql = "SELECT user_agent(ua) FROM rows";
        let alone = answers(sql, vec![("ua", plain)], 1).await;
        let alone = shown(&alone);
        let together = shown(&answers(sql, vec![("ua", given)], size).await);
        assert_eq!(
            together, alone,
            "seed {seed}: {data_type}, {size} rows a batch"
        );
        let nulls = texts.iter().filter(|text| text.is_none()).count();
        assert_eq!(alone.iter().filter(|row| row.is_empty()).count(), nulls);
    }
}

fn shown(batches: &[RecordBatch]) -> Vec<String> {
    let rows = batches.iter().flat_map(|batch| {
        let column = Arc::clone(batch.column(0));
        (0..batch.num_rows()).map(move |row| match column.is_null(row) {
            true => String::new(),
            false => array_value_to_string(&column, row).unwrap(),
        })
    });
    rows.collect()
}
