//! Incremental = full refresh: seeded schedules of files that come, change and go, killed
//! and repeated runs; after every run each table equals a full refresh over the same files.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::packs::build::Build;
use crate::packs::{MODELS, fixture};
use crate::schedules::{Family, Tally, all};

/// Schedules by default; `SESSIONIZE_SCHEDULES` asks for another number.
const OF_THE_PACK: u64 = 200;
const OF_USER_MODELS: u64 = 40;

/// What happened, of the schedules that are run by default.
async fn run(family: Family, schedules: u64) -> Option<Tally> {
    let asked = std::env::var("SESSIONIZE_SCHEDULES").ok();
    let asked = asked.and_then(|n| n.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut errors = Vec::new();
    let told = |error: &str| errors.push(error.to_owned());
    let (tally, failures) = all(family, 0..asked.unwrap_or(schedules), cores, told).await;
    assert_eq!(failures, 0, "{}", errors.join("\n\n"));
    asked.is_none().then_some(tally)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pack_equals_a_full_refresh_after_every_run() {
    let Some(tally) = run(Family::Pack, OF_THE_PACK).await else {
        return;
    };
    // a schedule that avoids what can go wrong shows nothing
    assert!(tally.most_runs >= 25 && tally.most_files >= 50, "{tally:?}");
    assert!(tally.killed > 20 && tally.disturbed > 20, "{tally:?}");
    assert!(tally.optimized > 5 && tally.vacuumed > 5, "{tally:?}");
    assert!(tally.updated > 300 && tally.rebuilt > 20, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_models_equal_a_full_refresh_after_every_run() {
    let Some(tally) = run(Family::UserModels, OF_USER_MODELS).await else {
        return;
    };
    assert!(tally.updated > 100 && tally.rebuilt > 20, "{tally:?}");
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

/// Copies some days of the sample.
fn add_days(days: std::ops::Range<usize>, lake: &Path) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/segment");
    let folders = std::fs::read_dir(sample)
        .unwrap()
        .map(|e| e.unwrap().path());
    let mut folders: Vec<_> = folders.filter(|p| p.is_dir()).collect();
    folders.sort();
    for folder in &folders[days] {
        let to = lake.join(folder.file_name().unwrap());
        std::fs::create_dir_all(&to).unwrap();
        for file in std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
        {
            std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_beside_tables_only_saves_reading() {
    let (project, lake) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let build = || Build::new(lake.path().to_owned());
    let table = project.path().join("target/tables/page_views__sessionized");
    add_days(0..3, lake.path());
    build().within(project.path()).run().await;
    for day in 3..6 {
        let beside = ["_tails", "_keys"].map(|folder| table.join(folder));
        assert!(beside.iter().all(|folder| folder.exists()), "day {day}");
        if day == 4 {
            for folder in &beside {
                std::fs::remove_dir_all(folder).unwrap();
            }
        }
        add_days(day..day + 1, lake.path());
        let built = build().within(project.path()).run().await;
        for (model, said) in built.messages() {
            assert!(!said.contains("rebuilt in full"), "{model}: {said}");
        }
        let whole = build().run().await;
        for model in MODELS {
            let whole = whole.read(model).await;
            let what = format!("`{model}` of day {day}");
            built.read(model).await.assert_same(&whole, &what);
        }
    }
    // rows that went are marked, and no file of the first days was copied
    let log = std::fs::read_to_string(table.join("_delta_log/00000000000000000003.json"));
    let log = log.unwrap();
    assert!(log.contains("\"deletionVector\":{"), "{log}");
    assert_eq!(
        log.matches("{\"add\"").count() - log.matches("{\"remove\"").count(),
        1
    );
}
