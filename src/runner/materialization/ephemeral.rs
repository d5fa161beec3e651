//! `ephemeral`: only other models read it, as part of their own SQL.

use async_trait::async_trait;

use super::{Built, Job, Materialization};
use crate::runner::compile::Materialized;
use crate::runner::error::Result;

/// Builds nothing; the models that read it hold its SQL.
#[derive(Debug)]
pub(super) struct Ephemeral;

#[async_trait]
impl Materialization for Ephemeral {
    fn kind(&self) -> Materialized {
        Materialized::Ephemeral
    }

    fn word(&self) -> &'static str {
        "ephemeral"
    }

    async fn build(&self, _job: &Job) -> Result<Built> {
        Ok(Built::default())
    }
}
