//! Incremental = full refresh: seeded schedules of files that come, change and go, killed
//! and repeated runs; after every run each table equals a full refresh over the same files.

use std::path::{Path, PathBuf};

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::packs::build::Build;
use crate::packs::lake::{golden_rows, write};
use crate::packs::{MODELS, fixture};

/// Schedules by default; `SESSIONIZE_SCHEDULES` asks for more.
const SCHEDULES: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn every_run_equals_a_full_refresh() {
    let asked = std::env::var("SESSIONIZE_SCHEDULES").ok();
    let schedules = asked.and_then(|n| n.parse().ok()).unwrap_or(SCHEDULES);
    for seed in 0..schedules {
        Schedule::new(seed).await.run().await;
    }
}

/// One lake over several runs.
struct Schedule {
    seed: u64,
    random: ChaCha8Rng,
    lake: tempfile::TempDir,
    project: tempfile::TempDir,
    /// The rows that have not been delivered yet, in pieces.
    pieces: Vec<RecordBatch>,
    all: RecordBatch,
    files: u32,
}

impl Schedule {
    async fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // some visitors' page views, with the events that belong to nobody
        let query = format!(
            "select * from pages where anonymous_id is null or
             ascii(right(anonymous_id, 1)) % 16 = {}",
            seed % 16
        );
        let all = golden_rows(&query).await;
        let mut order: Vec<u32> = (0..u32::try_from(all.num_rows()).unwrap()).collect();
        if random.random_bool(0.7) {
            order.shuffle(&mut random);
        }
        let pieces = random.random_range(1..=12);
        let size = order.len().div_ceil(pieces);
        let pieces = order.chunks(size).map(|rows| taken(&all, rows)).collect();
        Self {
            seed,
            random,
            lake: tempfile::tempdir().unwrap(),
            project: tempfile::tempdir().unwrap(),
            pieces,
            all,
            files: 0,
        }
    }

    async fn run(mut self) {
        let vars = match self.random.random_bool(0.5) {
            true => json!({}),
            false => json!({"segment_boundary": "more_than",
                            "segment_granularity": "second"}),
        };
        let mut step = 0;
        while step == 0 || !self.pieces.is_empty() {
            self.deliver();
            if step > 0 && self.random.random_bool(0.2) {
                self.disturb();
            }
            let build = || {
                Build::new(self.lake.path())
                    .mapping(fixture("golden/referrer_mapping.csv"))
                    .vars(&vars)
            };
            let ours = build().within(self.project.path()).run().await;
            let full = build().run().await;
            for model in MODELS.iter().chain(&["page_views__rejected"]) {
                let what = format!("`{model}` of seed {} at step {step}", self.seed);
                let (ours, full) = (ours.read(model).await, full.read(model).await);
                ours.assert_same(&full, &what);
            }
            step += 1;
        }
    }

    /// Puts one to three pieces into the lake, now and then some rows for a second time.
    fn deliver(&mut self) {
        for _ in 0..self.random.random_range(1..=3) {
            if let Some(piece) = self.pieces.pop() {
                self.add(&piece);
            }
        }
        if self.random.random_bool(0.4) {
            let rows = u32::try_from(self.all.num_rows()).unwrap();
            let again: Vec<u32> =
                (0..20).map(|_| self.random.random_range(0..rows)).collect();
            self.add(&taken(&self.all, &again));
        }
    }

    fn add(&mut self, rows: &RecordBatch) {
        self.files += 1;
        write(&self.file(self.files), rows);
    }

    fn file(&self, number: u32) -> PathBuf {
        self.lake.path().join(format!("part-{number:03}.parquet"))
    }

    /// A file goes, or comes again with fewer rows.
    fn disturb(&mut self) {
        let number = self.random.random_range(1..=self.files);
        let path = self.file(number);
        if !path.exists() || self.files < 2 {
            return;
        }
        if self.random.random_bool(0.5) {
            std::fs::remove_file(path).unwrap();
            return;
        }
        let rows = self.all.num_rows().min(30);
        write(&path, &self.all.slice(0, rows));
    }
}

fn taken(rows: &RecordBatch, indices: &[u32]) -> RecordBatch {
    take_record_batch(rows, &UInt32Array::from(indices.to_vec())).unwrap()
}

/// Files of a committed table, beside its log.
fn data_files(table: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(table).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = entries.filter(|p| p.is_file()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_nothing_new_writes_nothing() {
    let project = tempfile::tempdir().unwrap();
    let build = || Build::new(fixture("golden/pages.parquet")).within(project.path());
    let first = build().run().await;
    let tables = project.path().join("target/tables");
    let before: Vec<_> = MODELS[1..]
        .iter()
        .map(|m| data_files(&tables.join(m)))
        .collect();
    let second = build().run().await;
    assert_eq!(first.messages().len(), second.messages().len());
    for (name, message) in second.messages() {
        if name != "page_views" {
            assert!(message.contains("NO-OP"), "{name}: {message}");
        }
    }
    let after: Vec<_> = MODELS[1..]
        .iter()
        .map(|m| data_files(&tables.join(m)))
        .collect();
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_variable_rebuilds_and_says_so() {
    let project = tempfile::tempdir().unwrap();
    let build = || Build::new(fixture("golden/pages.parquet")).within(project.path());
    build().run().await;
    let vars = json!({"segment_boundary": "more_than"});
    let built = build().vars(&vars).run().await;
    assert_eq!(built.read("sessions").await.len(), 1_267);
    let messages = built.messages();
    let of = |model: &str| {
        let found = messages.iter().find(|(name, _)| name == model);
        found.map(|(_, message)| message.clone()).unwrap()
    };
    let sessionized = of("page_views__sessionized");
    assert!(
        sessionized.contains("rebuilt in full: its SQL or a variable has changed"),
        "{sessionized}"
    );
    assert!(of("user_stitching").contains("NO-OP"));
}
