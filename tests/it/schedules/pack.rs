//! Schedules of the segment pack.

use std::path::Path;
use std::sync::Arc;

use datafusion_sessionize::runner::compile::Dag;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::driver::Driver;
use super::pages;
use super::world::{LAKE, compiled};

/// The pack under each of its rules, compiled when first asked for.
static COMPILED: [OnceCell<Arc<Dag>>; 5] = [const { OnceCell::const_new() }; 5];

/// The schedule of that seed.
pub(crate) async fn schedule(seed: u64) -> Result<Driver, String> {
    let which = (seed % 5) as usize;
    let dag = COMPILED[which].get_or_try_init(|| rules(which)).await?;
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5e55_1043);
    let rows = pages::page_views(&mut random);
    Ok(Driver::new(seed, Arc::clone(dag), vec![("pages", rows)]))
}

async fn rules(which: usize) -> Result<Arc<Dag>, String> {
    let boundary = ["at_least", "more_than"][which % 2];
    let granularity = ["exact", "second"][which / 2 % 2];
    let stitching = if which == 4 { "graph" } else { "one_hop" };
    let vars = [
        ("segment_page_views_table", json!(format!("{LAKE}pages"))),
        ("segment_boundary", json!(boundary)),
        ("segment_granularity", json!(granularity)),
        ("stitching", json!(stitching)),
        ("segment_identity_max_users", json!(2)),
    ];
    let vars: Map<String, Value> =
        vars.map(|(k, v)| (k.to_owned(), v)).into_iter().collect();
    compiled(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql"), vars).await
}
