//! `ephemeral`: only other models read it, as part of their own SQL.

use futures::future::BoxFuture;

use super::{Built, Job, Materialization};
use crate::runner::compile::Materialized;
use crate::runner::error::Result;

/// Builds nothing; the models that read it hold its SQL.
#[derive(Debug)]
pub(super) struct Ephemeral;

impl Materialization for Ephemeral {
    fn kind(&self) -> Materialized {
        Materialized::Ephemeral
    }

    fn word(&self) -> &'static str {
        "ephemeral"
    }

    fn build<'a>(&'a self, _job: &'a Job) -> BoxFuture<'a, Result<Built>> {
        Box::pin(async move { Ok(Built::default()) })
    }
}
