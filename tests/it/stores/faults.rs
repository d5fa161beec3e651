//! A store that fails once: at every operation of a run in turn, before it is done and after
//! it is done with the answer lost. Each table is then its old or its new version, whole, and the
//! next run gives what a full refresh gives.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
#[cfg(feature = "s3")]
use url::Url;

use super::faulty::{Failure, Faulty, Plan};
use super::project::{Rows, Small};

const OLD: &[(&str, i64)] = &[("ada", 1), ("bob", 2), ("ada", 3), ("eve", 4)];
const NEW: &[(&str, i64)] = &[("bob", 5), ("cyd", 6), ("bob", 7)];

type Tables = BTreeMap<&'static str, Rows>;

/// A project whose tables' store fails when it is told to.
struct Case {
    project: Small,
    plan: Arc<Plan>,
    before: Tables,
    after: Tables,
}

impl Case {
    /// `project` with a first version of its tables, and a file that makes a second one.
    /// `reset` puts everything back to where it is when this returns.
    async fn of(mut project: Small) -> Self {
        let store = project.stores.get(&project.tables).unwrap();
        let (faulty, plan) = Faulty::of(store);
        let faulty: Arc<dyn ObjectStore> = Arc::new(faulty);
        project.stores = project.stores.with_store(&project.tables, faulty);
        project.deliver("a.csv", OLD).await;
        project.build().await;
        let before = project.read().await;
        project.deliver("b.csv", NEW).await;
        let empty = BTreeMap::new();
        Self {
            project,
            plan,
            before,
            after: empty,
        }
    }

    /// Fails at every operation; the number of cases.
    async fn check(&mut self, reset: impl Fn()) -> usize {
        self.plan.arm(None);
        let said = self.project.build().await;
        assert!(said["totals"].starts_with("updated by key"), "{said:?}");
        let operations = self.plan.log();
        self.after = self.project.read().await;
        assert_ne!(self.before, self.after);
        let mut cases = 0;
        for (index, (operation, path)) in operations.iter().enumerate() {
            let writes = ["put", "begin", "part", "complete", "copy", "delete"];
            let ways = match writes.contains(operation) {
                true => &[Failure::Before, Failure::After][..],
                // a read that is lost on its way back is one that was not done
                false => &[Failure::Before][..],
            };
            for how in ways {
                reset();
                let what = format!("{how:?} {operation} `{path}` ({})", index + 1);
                self.fail_at(index + 1, *how, &what).await;
                cases += 1;
            }
        }
        cases
    }

    async fn fail_at(&self, number: usize, how: Failure, what: &str) {
        self.plan.arm(Some((number, how)));
        // whether it is noticed is not asked: some operations only tidy up
        drop(self.project.run().await);
        self.plan.arm(None);
        for (table, rows) in self.project.read().await {
            assert!(
                rows == self.before[table] || rows == self.after[table],
                "`{table}` after {what}: {rows:?}"
            );
        }
        self.project.build().await;
        assert_eq!(self.project.read().await, self.after, "after {what}");
        if how == Failure::After {
            let said = self.project.build().await;
            let idle = |m: &String| m.contains("NO-OP");
            assert!(said.values().all(idle), "after {what}: {said:?}");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_every_failure_of_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let saved = tempfile::tempdir().unwrap();
    let mut case = Case::of(Small::local(folder.path())).await;
    let tables = folder.path().join("tables");
    copy(&tables, saved.path());
    let reset = || {
        std::fs::remove_dir_all(&tables).unwrap();
        copy(saved.path(), &tables);
    };
    let cases = case.check(reset).await;
    assert!(cases > 40, "{cases}");
}

#[cfg(feature = "s3")]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_every_failure_of_an_object_store() {
    use super::server::S3Server;
    let server = S3Server::start(&["shop"]).await;
    let stores = datafusion_sessionize::Stores::new(server.settings());
    let url = |name: &str| Url::parse(&format!("s3://shop/{name}")).unwrap();
    let project = Small::new(url("lake"), url("tables"), stores);
    let mut case = Case::of(project).await;
    let saved = server.bucket("shop").fork();
    let cases = case.check(|| server.restore("shop", saved.fork())).await;
    assert!(cases > 40, "{cases}");
}
