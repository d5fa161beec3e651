//! `view`: nothing is written; the SQL must plan.

use async_trait::async_trait;

use super::{Built, Job, Materialization, execution_error};
use crate::runner::compile::Materialized;
use crate::runner::error::Result;

/// Checks that the SQL plans, types and all.
#[derive(Debug)]
pub(super) struct View;

#[async_trait]
impl Materialization for View {
    fn kind(&self) -> Materialized {
        Materialized::View
    }

    fn word(&self) -> &'static str {
        "view"
    }

    async fn build(&self, job: &Job) -> Result<Built> {
        job.rows
            .clone()
            .into_optimized_plan()
            .map_err(execution_error)?;
        Ok(Built::default())
    }
}
