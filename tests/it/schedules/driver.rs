//! One schedule: what comes when, and what goes wrong.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion_sessionize::runner::compile::Dag;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::failing::{Failing, Left};
use super::world::Process;

/// Operations of a run, before one has been counted.
const OPERATIONS: i64 = 150;

/// What happened in schedules.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) runs: usize,
    pub(crate) files: usize,
    pub(crate) most_files: usize,
    pub(crate) most_runs: usize,
    pub(crate) killed: usize,
    pub(crate) disturbed: usize,
    pub(crate) optimized: usize,
    pub(crate) vacuumed: usize,
    /// Models that were updated by key, rebuilt in full, or had nothing to do.
    pub(crate) updated: usize,
    pub(crate) rebuilt: usize,
    pub(crate) idle: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.files += other.files;
        self.most_files = self.most_files.max(other.files);
        self.most_runs = self.most_runs.max(other.runs);
        self.killed += other.killed;
        self.disturbed += other.disturbed;
        self.optimized += other.optimized;
        self.vacuumed += other.vacuumed;
        self.updated += other.updated;
        self.rebuilt += other.rebuilt;
        self.idle += other.idle;
    }

    fn hear(&mut self, said: &[(String, String)]) {
        let count = |what: &str| said.iter().filter(|(_, m)| m.contains(what)).count();
        self.updated += count("updated by key");
        self.rebuilt += count("rebuilt in full");
        self.idle += count("NO-OP");
    }
}

/// A lake's folder and all rows that it will ever get.
pub(crate) struct Folder {
    name: &'static str,
    rows: RecordBatch,
    /// Rows of files that have not come yet, the next one last.
    coming: Vec<RecordBatch>,
    files: Vec<Path>,
    number: usize,
}

/// The schedule.
pub(crate) struct Driver {
    random: ChaCha8Rng,
    dag: Arc<Dag>,
    folders: Vec<Folder>,
    runs: usize,
    threads: usize,
    hurry: bool,
    lake: Arc<InMemory>,
    tables: Arc<InMemory>,
    /// A full refresh over the lake as it is.
    full: Option<Process>,
    operations: i64,
    tally: Tally,
}

impl Driver {
    /// A schedule of `seed` that delivers the rows of the folders, in their order or not.
    pub(crate) fn new(
        seed: u64,
        dag: Arc<Dag>,
        folders: Vec<(&'static str, RecordBatch)>,
    ) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // few schedules are long: a run costs much more than a file
        let most = *pick(&mut random, &[1, 2, 2, 2, 3, 3, 4, 5]);
        let runs = match seed % 100 {
            49 => 30,
            _ => random.random_range(1..=most),
        };
        let most_files = *pick(&mut random, &[1, 4, 10, 50]);
        let folders = folders.into_iter().map(|(name, rows)| {
            let files = random.random_range(1..=most_files.max(runs));
            let files = if seed % 100 == 49 { 50 } else { files };
            Folder::new(&mut random, name, rows, files)
        });
        let folders = folders.collect();
        Self {
            threads: *pick(&mut random, &[1, 1, 3]),
            hurry: seed % 2 == 1,
            random,
            dag,
            folders,
            runs,
            lake: Arc::default(),
            tables: Arc::default(),
            full: None,
            operations: OPERATIONS,
            tally: Tally::default(),
        }
    }

    /// Runs to the end; an error says what differs after which run.
    pub(crate) async fn run(mut self) -> Result<Tally, String> {
        let mut settled = false;
        let runs = self.runs;
        for step in 1..=runs {
            let at = |e: String| format!("run {step} of {runs}: {e}");
            let mut same = self.deliver(step).await.map_err(at)?;
            if step > 1 && self.random.random_bool(0.15) {
                self.disturb().await.map_err(at)?;
                same = false;
            }
            if !same {
                self.full = None;
            }
            let ended = self.step(step, same && settled).await;
            settled = ended.map_err(at)?;
        }
        Ok(self.tally)
    }

    /// One run, killed now and then; whether it came to its end.
    async fn step(&mut self, step: usize, nothing_new: bool) -> Result<bool, String> {
        while self.random.random_bool(0.25) {
            self.kill().await?;
            if step < self.runs && self.random.random_bool(0.5) {
                return Ok(false);
            }
        }
        let left = Left::new(i64::MAX);
        let ours = self.process(&left)?;
        let said = ours.run().await?;
        self.operations = i64::MAX - left.get();
        self.tally.runs += 1;
        self.tally.hear(&said);
        let busy = |m: &str| !m.is_empty() && !m.contains("NO-OP");
        let busy = said.iter().find(|(_, message)| busy(message));
        if let (true, Some((model, message))) = (nothing_new, busy) {
            return Err(format!("nothing is new, but `{model}`: {message}"));
        }
        self.compare(&ours).await?;
        if self.upkeep(&ours, 0.1).await? {
            self.compare(&ours).await?;
        }
        Ok(true)
    }

    /// A run that is cut off somewhere; upkeep may come before the next one.
    async fn kill(&mut self) -> Result<(), String> {
        let left = Left::new(self.random.random_range(0..=self.operations));
        let killed = self.process(&left)?.run().await.is_err();
        self.tally.killed += usize::from(killed);
        let after = self.process(&Left::new(i64::MAX))?;
        self.upkeep(&after, 0.1).await.map(drop)
    }

    /// Whether the files of tables were moved or removed.
    async fn upkeep(
        &mut self,
        process: &Process,
        how_often: f64,
    ) -> Result<bool, String> {
        let optimize = self.random.random_bool(how_often);
        let vacuum = self.random.random_bool(how_often);
        if optimize {
            self.tally.optimized += 1;
            process.optimize().await?;
        }
        if vacuum {
            self.tally.vacuumed += 1;
            process.vacuum().await?;
        }
        Ok(optimize || vacuum)
    }

    /// A process of its own, whose stores let so many operations through.
    fn process(&self, left: &Left) -> Result<Process, String> {
        let through = |inner: &Arc<InMemory>| {
            let inner = Arc::clone(inner) as Arc<dyn ObjectStore>;
            let left = left.clone();
            Arc::new(Failing { inner, left })
        };
        let (lake, tables) = (through(&self.lake), through(&self.tables));
        let process = Process::start(&self.dag, lake, tables, self.threads)?;
        Ok(match self.hurry {
            true => process.in_a_hurry(),
            false => process,
        })
    }

    /// Every table against a full refresh over the same files.
    async fn compare(&mut self, ours: &Process) -> Result<(), String> {
        let full = match self.full.take() {
            Some(full) => full,
            None => {
                let none = Arc::new(InMemory::new());
                let full = Process::start(&self.dag, self.lake.clone(), none, 1)?;
                let full = full.in_a_hurry();
                full.run().await?;
                full
            }
        };
        let same = ours.equals(&full).await;
        self.full = Some(full);
        same
    }

    /// The files of a run come; whether there were none.
    async fn deliver(&mut self, step: usize) -> Result<bool, String> {
        let mut none = true;
        let runs_left = self.runs - step;
        for index in 0..self.folders.len() {
            let coming = self.folders[index].coming.len();
            let files = match (runs_left, step) {
                (0, _) => coming,
                (_, 1) => 1 + self.random.random_range(0..=coming / (runs_left + 1)),
                _ => self
                    .random
                    .random_range(0..=(2 * coming).div_ceil(runs_left + 1)),
            };
            for _ in 0..files {
                if let Some(rows) = self.folders[index].coming.pop() {
                    self.add(index, &rows).await?;
                    none = false;
                }
            }
            // now and then some rows come for a second time
            if self.random.random_bool(0.15) {
                let rows = self.folders[index].some_rows(&mut self.random);
                self.add(index, &rows).await?;
                none = false;
            }
        }
        Ok(none)
    }

    async fn add(&mut self, index: usize, rows: &RecordBatch) -> Result<(), String> {
        let folder = &mut self.folders[index];
        folder.number += 1;
        // names say nothing of the order in which files come
        let salt: u16 = self.random.random();
        let name = format!("{}/{salt:05}-{:03}.parquet", folder.name, folder.number);
        let path = Path::from(name);
        folder.files.push(path.clone());
        self.tally.files += 1;
        put(&self.lake, &path, rows).await
    }

    /// A file goes, or comes again with other rows.
    async fn disturb(&mut self) -> Result<(), String> {
        self.tally.disturbed += 1;
        let index = self.random.random_range(0..self.folders.len());
        let folder = &mut self.folders[index];
        let at = self.random.random_range(0..folder.files.len());
        if folder.files.len() > 1 && self.random.random_bool(0.5) {
            let path = folder.files.remove(at);
            return self.lake.delete(&path).await.map_err(|e| e.to_string());
        }
        let rows = folder.some_rows(&mut self.random);
        put(&self.lake, &folder.files[at], &rows).await
    }
}

impl Folder {
    fn new(
        random: &mut ChaCha8Rng,
        name: &'static str,
        rows: RecordBatch,
        files: usize,
    ) -> Self {
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        if random.random_bool(0.7) {
            order.shuffle(random);
        }
        // exactly so many files; of few rows, some of them have none
        let piece =
            |i: usize| &order[i * order.len() / files..(i + 1) * order.len() / files];
        let coming = (0..files).rev().map(|i| taken(&rows, piece(i)));
        Self {
            name,
            coming: coming.collect(),
            rows,
            files: Vec::new(),
            number: 0,
        }
    }

    /// Up to ten rows of all, some of them twice.
    fn some_rows(&self, random: &mut ChaCha8Rng) -> RecordBatch {
        let all = self.rows.num_rows() as u32;
        let many = random.random_range(1..=10);
        let some: Vec<u32> = (0..many).map(|_| random.random_range(0..all)).collect();
        taken(&self.rows, &some)
    }
}

/// One of the choices.
pub(crate) fn pick<'a, T>(random: &mut ChaCha8Rng, choices: &'a [T]) -> &'a T {
    &choices[random.random_range(0..choices.len())]
}

fn taken(rows: &RecordBatch, indices: &[u32]) -> RecordBatch {
    take_record_batch(rows, &UInt32Array::from(indices.to_vec())).unwrap()
}

async fn put(lake: &InMemory, path: &Path, rows: &RecordBatch) -> Result<(), String> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    let written = lake.put(path, bytes.into()).await;
    written.map(drop).map_err(|e| e.to_string())
}
