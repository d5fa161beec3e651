//! The scalar functions against computations of their own: seeded rows, any batch size.

mod session_bucket_id;
mod traffic_source;
mod user_agent;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use datafusion_sessionize::{SessionizeExt, SessionizeSqlExt};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

/// What `sql` makes of `columns`, which it reads as the table `rows`, in batches of `size`.
async fn answers(
    sql: &str,
    columns: Vec<(&str, ArrayRef)>,
    size: usize,
) -> Vec<RecordBatch> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let slices = (0..batch.num_rows()).step_by(size);
    let slices = slices.map(|at| batch.slice(at, size.min(batch.num_rows() - at)));
    let table = MemTable::try_new(batch.schema(), vec![slices.collect()]).unwrap();
    let context = SessionContext::new().with_sessionize();
    context.register_table("rows", Arc::new(table)).unwrap();
    let frame = context.sessionize_sql(sql).await.unwrap();
    frame.collect().await.unwrap()
}

/// Texts of what hosts, URLs, patterns and browsers are made of, in any order.
fn random_text(random: &mut ChaCha8Rng) -> Option<String> {
    const PARTS: [&str; 30] = [
        "http",
        "://",
        "//",
        "/",
        "?",
        "#",
        "@",
        ":",
        ".",
        "..",
        "*",
        "|",
        "%",
        "%zz",
        "=",
        "&",
        "[",
        "]",
        "www.",
        "com",
        "co.uk",
        "xn--",
        "中国",
        "ß",
        "\u{301}",
        "🦀",
        " ",
        "\0",
        "Android (;",
        "utm_source=a.中国.",
    ];
    if random.random_bool(0.1) {
        return None;
    }
    let parts = random.random_range(0..9);
    let part = |_| PARTS[random.random_range(0..PARTS.len())];
    Some((0..parts).map(part).collect())
}

#[tokio::test]
async fn no_text_makes_a_function_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut column = || -> ArrayRef {
        let texts = (0..20_000).map(|_| random_text(&mut random));
        Arc::new(texts.collect::<StringArray>())
    };
    let columns = ["a", "b", "c", "d", "e"].map(|name| (name, column()));
    let sql = "SELECT traffic_source(a, b, c, d, e), traffic_source(b, c, a, e, d), \
               registrable_domain(a), user_agent(b), \
               session_bucket_id(c, TIMESTAMP '1969-12-31 00:00:00') FROM rows";
    let found = answers(sql, columns.to_vec(), 8_192).await;
    let rows: usize = found.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 20_000);
}
