//! One statement of SQL -> a plan that only reads.

use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::functions::resolve_named_arguments;

/// Plans `sql`, which must be one query. `inline` also lets `explain` and `describe` pass.
pub(super) async fn plan(
    context: &SessionContext,
    sql: &str,
    inline: bool,
) -> Result<DataFrame> {
    let mut statements = DFParser::parse_sql(sql)?;
    let Some(mut statement) = statements.pop_front() else {
        return plan_err!("expected a `select` statement, found no SQL");
    };
    if !statements.is_empty() {
        return plan_err!(
            "expected one `select` statement, found {}",
            statements.len() + 1
        );
    }
    if !is_query(&statement, inline) {
        let text = statement.to_string();
        let word = text.split_whitespace().next().unwrap_or_default();
        let (expected, reader) = match inline {
            true => ("a `select`, `explain` or `describe`", "queries"),
            false => ("a `select`", "models"),
        };
        return plan_err!(
            "expected {expected} statement, found `{}`: {reader} only read",
            word.to_lowercase()
        );
    }
    resolve_named_arguments(&mut statement)?;
    let state = context.state();
    let plan = state.statement_to_plan(statement).await?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)?;
    Ok::<_, DataFusionError>(DataFrame::new(state, plan))
}

fn is_query(statement: &Statement, inline: bool) -> bool {
    match statement {
        Statement::Statement(statement) => match &**statement {
            SqlStatement::Query(_) => true,
            SqlStatement::ExplainTable { .. } => inline,
            _ => false,
        },
        Statement::Explain(explain) => inline && is_query(&explain.statement, false),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(sql: &str) -> String {
        let context = SessionContext::new();
        plan(&context, sql, false)
            .await
            .unwrap_err()
            .strip_backtrace()
    }

    #[tokio::test]
    async fn only_one_query_is_accepted() {
        for (sql, message) in [
            ("", "found no SQL"),
            ("select 1; select 2", "found 2"),
            ("create table t as select 1", "found `create`"),
            ("insert into t select 1", "found `insert`"),
            ("copy t to 'x'", "found `copy`"),
            ("explain select 1", "found `explain`"),
        ] {
            let found = refused(sql).await;
            assert!(found.contains(message), "{sql}: {found}");
        }
        let context = SessionContext::new();
        assert!(
            plan(&context, "with a as (select 1) select * from a;", false)
                .await
                .is_ok()
        );
        assert!(plan(&context, "explain select 1", true).await.is_ok());
    }
}
