//! `incremental`: a committed table; for now every run rebuilds it whole.

use async_trait::async_trait;

use super::{Built, Job, Materialization, table};
use crate::runner::compile::Materialized;
use crate::runner::error::Result;

/// A full rebuild, said so in one line.
#[derive(Debug)]
pub(super) struct Incremental;

#[async_trait]
impl Materialization for Incremental {
    fn kind(&self) -> Materialized {
        Materialized::Incremental
    }

    fn word(&self) -> &'static str {
        "incremental"
    }

    async fn build(&self, job: &Job) -> Result<Built> {
        let built = table::replace(job).await?;
        let message = "rebuilt in full: incremental updates are not built yet";
        Ok(Built {
            message: Some(message.to_owned()),
            ..built
        })
    }
}
