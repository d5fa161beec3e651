//! Joined files: their size, the memory it takes, and two runs at once.

use std::path::Path;

use crate::packs::build::{Build, Built};
use crate::packs::lake::{self, Shape};

const MODEL: &str = "page_views__sessionized";

/// Page views in four files: their rows go to tables in four files.
async fn pages() -> tempfile::TempDir {
    lake::golden("select * from pages", Shape::Shuffled(4)).await
}

/// The pack in that folder.
fn build(pages: &tempfile::TempDir, folder: &Path) -> Build {
    Build::new(pages.path()).threads(4).within(folder)
}

async fn size(built: &Built) -> u64 {
    let nothing = built.engine().optimize(built.node(MODEL), 1).await;
    nothing.unwrap().unwrap().bytes.0
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_of_the_size_asked_for_and_then_left_alone() {
    // enough rows for several batches a file
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/segment");
    let folder = tempfile::tempdir().unwrap();
    let build = |folder| Build::new(&pages).threads(4).within(folder);
    let built = build(folder.path()).run().await;
    let before = built.read(MODEL).await;
    let target = size(&built).await * 8 / 10;
    let optimize = || built.engine().optimize(built.node(MODEL), target);
    let first = optimize().await.unwrap().unwrap();
    assert!(first.version.is_some(), "{first:?}");
    assert_eq!(first.files, (4, 2), "{first:?}");
    let second = optimize().await.unwrap().unwrap();
    assert_eq!((second.version, second.files), (None, (2, 2)));
    let again = build(folder.path()).run().await;
    again.read(MODEL).await.assert_same(&before, MODEL);
}

#[tokio::test(flavor = "multi_thread")]
async fn little_memory_is_enough() {
    let (pages, folder) = (pages().await, tempfile::tempdir().unwrap());
    let before = build(&pages, folder.path()).run().await.read(MODEL).await;
    // the rows take more than the limit
    let built = build(&pages, folder.path())
        .memory_limit(4 << 20)
        .run()
        .await;
    let optimize = built.engine().optimize(built.node(MODEL), 1 << 27);
    let optimized = optimize.await.unwrap().unwrap();
    assert_eq!(optimized.files, (4, 1));
    built.engine().register(built.dag()).unwrap();
    built.read(MODEL).await.assert_same(&before, MODEL);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_wins_and_the_table_stays_whole() {
    let (pages, folder) = (pages().await, tempfile::tempdir().unwrap());
    let first = build(&pages, folder.path()).run().await;
    let second = build(&pages, folder.path()).run().await;
    let before = first.read(MODEL).await;
    let optimize = |built: &Built| {
        let (engine, node) = (built.engine().clone(), built.node(MODEL).clone());
        async move { engine.optimize(&node, 1 << 27).await }
    };
    let (a, b) = tokio::join!(optimize(&first), optimize(&second));
    let won = |o: &datafusion_sessionize::runner::engine::Optimized| o.version.is_some();
    let mut wins = 0;
    for ended in [a, b] {
        match ended {
            Ok(optimized) => wins += usize::from(optimized.as_ref().is_some_and(won)),
            Err(error) => {
                let told = error.to_string();
                assert!(told.ends_with("another run committed first"), "{told}");
                assert!(
                    error
                        .hint()
                        .is_some_and(|h| h.contains("nothing was changed"))
                );
            }
        }
    }
    assert_eq!(wins, 1);
    let built = build(&pages, folder.path()).run().await;
    built.read(MODEL).await.assert_same(&before, MODEL);
}
