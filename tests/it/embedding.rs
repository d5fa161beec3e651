//! The ways in: a context, a builder, a registry; SQL with and without the rewrite,
//! expressions.

use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::ExprFunctionExt;
use datafusion::prelude::{SessionContext, col, lit};
use datafusion_sessionize::functions::expr_fn::{session_number, url_host};
use datafusion_sessionize::functions::register_all;
use datafusion_sessionize::{SessionizeExt, SessionizeSqlExt};

const EVENTS: &str = "(VALUES (TIMESTAMP '2026-01-01 09:00:00', 'https://a.example/x'), \
                      (TIMESTAMP '2026-01-01 09:30:00', NULL)) AS events(t, url)";

async fn numbers(context: &SessionContext, call: &str) -> Result<String, String> {
    let sql = format!("SELECT {call} OVER (ORDER BY t) AS n FROM {EVENTS} ORDER BY t");
    let frame = context.sql(&sql).await.map_err(|e| e.to_string())?;
    frame.to_string().await.map_err(|e| e.to_string())
}

#[tokio::test]
async fn plain_sql_takes_names_without_a_hole() {
    let context = SessionContext::new().with_sessionize();
    let found = numbers(&context, "session_number(t => t, gap => '1 hour')").await;
    assert!(found.unwrap().contains("| 1 |\n| 1 |"));
    let found = numbers(&context, "session_number(t, NULL, 'more_than')").await;
    assert!(found.unwrap().contains("| 1 |\n| 1 |"));
    let hole = numbers(&context, "session_number(t, boundary => 'more_than')").await;
    let hole = hole.unwrap_err();
    assert!(hole.contains("Missing required parameter 'gap'"), "{hole}");
}

#[tokio::test]
async fn a_builder_and_a_registry_install_the_same() {
    let state = SessionStateBuilder::new().with_default_features();
    let built = SessionContext::new_with_state(state.with_sessionize().build());
    let mut registered = SessionContext::new();
    register_all(&mut registered).unwrap();
    for context in [built, registered] {
        let found = numbers(&context, "session_number(t)").await.unwrap();
        assert!(found.contains("| 1 |\n| 2 |"), "{found}");
    }
}

#[tokio::test]
async fn expressions_build_the_same_calls() {
    let context = SessionContext::new();
    let frame = context
        .sql(&format!("SELECT * FROM {EVENTS}"))
        .await
        .unwrap();
    let number = session_number(vec![col("t"), lit("1 hour")])
        .order_by(vec![col("t").sort(true, false)])
        .build()
        .unwrap();
    let frame = frame
        .select(vec![number.alias("n"), url_host(col("url")).alias("host")])
        .unwrap()
        .sort_by(vec![col("host")])
        .unwrap();
    let found = frame.to_string().await.unwrap();
    assert!(found.contains("| 1 | a.example |"), "{found}");
}

#[tokio::test]
async fn a_view_keeps_its_named_arguments() {
    let context = SessionContext::new().with_sessionize();
    let view = format!(
        "CREATE VIEW numbered AS SELECT session_number(t, boundary => 'more_than') \
         OVER (ORDER BY t) AS n FROM {EVENTS}"
    );
    context
        .sessionize_sql(&view)
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    let frame = context
        .sql("SELECT max(n) AS n FROM numbered")
        .await
        .unwrap();
    let found = frame.to_string().await.unwrap();
    assert!(found.contains("| 1 |"), "{found}");
}
