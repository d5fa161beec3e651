//! One call installs the extension on DataFusion's own types.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;

use crate::config::SessionizeOptions;
use crate::functions::{resolve_named_arguments, scalar_functions, window_functions};
use crate::optimizer::{
    CheckConnectedComponents, FinishLateOperators, UseConnectedComponents,
    UseLateOperators, UseSessionize,
};

/// Installs everything of this crate that queries need.
///
/// ```
/// use datafusion::prelude::SessionContext;
/// use datafusion_sessionize::SessionizeExt;
///
/// let context = SessionContext::new().with_sessionize();
/// assert!(context.state().window_functions().contains_key("session_number"));
/// ```
pub trait SessionizeExt: Sized {
    /// Adds all functions, the settings `sessionize.…` ([`SessionizeOptions`]) and the rule
    /// that runs the window functions on this crate's own operator. Functions of the same
    /// name are replaced; settings that are there already are kept.
    #[must_use]
    fn with_sessionize(self) -> Self;
}

impl SessionizeExt for SessionContext {
    fn with_sessionize(self) -> Self {
        let state = SessionStateBuilder::new_from_existing(self.state())
            .with_session_id(self.session_id())
            .with_sessionize()
            .build();
        *self.state_ref().write() = state;
        self
    }
}

impl SessionizeExt for SessionStateBuilder {
    fn with_sessionize(mut self) -> Self {
        let windows = self.window_functions().get_or_insert_default();
        windows.extend(window_functions());
        let scalars = self.scalar_functions().get_or_insert_default();
        scalars.extend(scalar_functions());
        let options = self.config().get_or_insert_default().options_mut();
        if options.extensions.get::<SessionizeOptions>().is_none() {
            options.extensions.insert(SessionizeOptions::default());
        }
        // before DataFusion adds sorts, and after all rules
        let optimizer = self.physical_optimizers().get_or_insert_default();
        optimizer.rules.insert(0, Arc::new(UseLateOperators));
        self.with_analyzer_rule(Arc::new(CheckConnectedComponents))
            .with_physical_optimizer_rule(Arc::new(UseSessionize))
            .with_physical_optimizer_rule(Arc::new(UseConnectedComponents))
            .with_physical_optimizer_rule(Arc::new(FinishLateOperators))
    }
}

/// SQL whose calls of this crate's window functions name their arguments freely.
pub trait SessionizeSqlExt {
    /// Plans a statement like `SessionContext::sql`, but arguments of the window functions,
    /// and of scalar functions with optional arguments, may be named in any order and left
    /// out.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> datafusion::error::Result<()> {
    /// use datafusion::prelude::SessionContext;
    /// use datafusion_sessionize::{SessionizeExt, SessionizeSqlExt};
    ///
    /// let context = SessionContext::new().with_sessionize();
    /// let sessions = context
    ///     .sessionize_sql(
    ///         "SELECT session_number(t, boundary => 'more_than') OVER (ORDER BY t)
    ///          FROM (VALUES (TIMESTAMP '2026-01-01 09:00:00')) AS events(t)",
    ///     )
    ///     .await?;
    /// assert_eq!(sessions.count().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    fn sessionize_sql<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<DataFrame>>;
}

impl SessionizeSqlExt for SessionContext {
    fn sessionize_sql<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<DataFrame>> {
        Box::pin(async move {
            let state = self.state();
            let dialect = state.config().options().sql_parser.dialect;
            let mut statement = state.sql_to_statement(sql, &dialect)?;
            resolve_named_arguments(&mut statement)?;
            let plan = state.statement_to_plan(statement).await?;
            self.execute_logical_plan(plan).await
        })
    }
}
