//! `docs/functions.md` is what the functions say of themselves, and their examples run.

use std::path::Path;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;
use datafusion_sessionize::functions::{
    functions_markdown, scalar_functions, window_functions,
};
use datafusion_sessionize::{SessionizeExt, SessionizeSqlExt};

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/functions.md");
    let page = functions_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "{} is not what the functions say; run the test with UPDATE_DOCS=1",
        path.display()
    );
}

#[tokio::test]
async fn every_example_gives_the_table_below_it() {
    let context = SessionContext::new().with_sessionize();
    let examples = window_functions()
        .iter()
        .filter_map(|function| function.documentation()?.sql_example.clone())
        .chain(
            scalar_functions()
                .iter()
                .filter_map(|function| function.documentation()?.sql_example.clone()),
        )
        .collect::<Vec<_>>();
    assert_eq!(examples.len(), 16);
    for example in examples {
        let (sql, expected) = example.split_once(";\n").unwrap();
        let frame = context.sessionize_sql(sql).await.unwrap();
        let batches = frame.collect().await.unwrap();
        let found = pretty_format_batches(&batches).unwrap().to_string();
        assert_eq!(found, expected, "{sql}");
    }
}
