//! Schedules of the segment pack.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use datafusion_sessionize::runner::compile::Dag;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::driver::Driver;
use super::pages;
use super::world::{LAKE, compiled};

/// The pack under each of its rules, compiled when first asked for, and the project's folder.
static COMPILED: [OnceCell<(Arc<Dag>, TempDir)>; 4] =
    [const { OnceCell::const_new() }; 4];

/// The schedule of that seed.
pub(crate) async fn schedule(seed: u64) -> Result<Driver, String> {
    let which = (seed % 4) as usize;
    let (dag, _) = COMPILED[which].get_or_try_init(|| rules(which)).await?;
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5e55_1043);
    let rows = pages::page_views(&mut random);
    Ok(Driver::new(seed, Arc::clone(dag), vec![("pages", rows)]))
}

async fn rules(which: usize) -> Result<(Arc<Dag>, TempDir), String> {
    let boundary = ["at_least", "more_than"][which % 2];
    let granularity = ["exact", "second"][which / 2];
    let vars = [
        ("segment_page_views_table", json!(format!("{LAKE}pages"))),
        ("segment_boundary", json!(boundary)),
        ("segment_granularity", json!(granularity)),
    ];
    let vars: Map<String, Value> =
        vars.map(|(k, v)| (k.to_owned(), v)).into_iter().collect();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    copy(&project, folder.path()).map_err(|e| e.to_string())?;
    Ok((compiled(folder.path(), vars).await?, folder))
}

/// Copies the project without the other packs, and without the tests that read their models.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let other_pack = from.ends_with("models") && name != "segment";
        if other_pack || name == "tests" || name == "target" {
            continue;
        } else if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else {
            fs::copy(path, to.join(name))?;
        }
    }
    Ok(())
}
