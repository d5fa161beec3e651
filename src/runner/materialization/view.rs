//! `view`: nothing is written; the SQL must plan, down to the arguments of its functions.

use futures::future::BoxFuture;

use super::{Built, Job, Materialization, execution_error};
use crate::runner::compile::Materialized;
use crate::runner::error::Result;

/// Checks that the SQL plans, types and all.
#[derive(Debug)]
pub(super) struct View;

impl Materialization for View {
    fn kind(&self) -> Materialized {
        Materialized::View
    }

    fn word(&self) -> &'static str {
        "view"
    }

    fn build<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Built>> {
        Box::pin(async move {
            let planned = job.rows.clone().create_physical_plan().await;
            planned.map_err(execution_error)?;
            Ok(Built::default())
        })
    }
}
