//! From a fresh `SessionContext` to sessions over a Parquet file.
//!
//! `cargo run --example embed_functions`

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::error::Result;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use datafusion_sessionize::{SessionizeExt, SessionizeSqlExt};

#[tokio::main]
async fn main() -> Result<()> {
    let context = SessionContext::new().with_sessionize();

    // some page views, written to a file
    let file = std::env::temp_dir().join("embed_functions.parquet");
    let file = file.to_string_lossy();
    let page_views = "SELECT * FROM (VALUES
        ('ada', TIMESTAMP '2026-01-01 09:00:00', 'https://shop.example/'),
        ('ada', TIMESTAMP '2026-01-01 09:12:00', 'https://shop.example/shoes'),
        ('ada', TIMESTAMP '2026-01-01 09:42:00', 'https://shop.example/'),
        ('bob', TIMESTAMP '2026-01-01 09:05:00', 'https://blog.example/')
    ) AS v(visitor, t, url)";
    let page_views = context.sql(page_views).await?;
    page_views
        .write_parquet(&file, DataFrameWriteOptions::new(), None)
        .await?;

    context
        .register_parquet("page_views", file, ParquetReadOptions::new())
        .await?;
    let sessions = "SELECT session_id, min(t) AS started_at, count(*) AS page_views
        FROM (SELECT t, session_id(visitor, t, gap => '30 minutes') OVER (
                PARTITION BY visitor ORDER BY t) AS session_id FROM page_views)
        GROUP BY session_id ORDER BY started_at";
    context.sessionize_sql(sessions).await?.show().await
}
