//! Projects on S3, on a service of the test's own.

use std::collections::BTreeMap;

use datafusion::arrow::array::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion_sessionize::Stores;
use datafusion_sessionize::runner::run::Status;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use url::Url;

use super::project::Small;
use super::server::S3Server;
use crate::packs::build::Build;
use crate::packs::lake::golden_rows;
use crate::packs::{MODELS, fixture};

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

async fn put(server: &S3Server, path: &str, rows: &RecordBatch) {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    let bucket = server.bucket("lake");
    bucket.put(&Path::from(path), bytes.into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_segment_pack_and_an_incremental_run() {
    let server = S3Server::start(&["lake", "out"]).await;
    let cut = "received_at <= timestamp '2024-02-10 11:43:38'";
    let of = |condition: &str| format!("select * from pages where {condition}");
    let first = golden_rows(&of(cut)).await;
    let second = golden_rows(&of(&format!("not ({cut})"))).await;
    let project = tempfile::tempdir().unwrap();
    let build = || {
        Build::new("s3://lake/pages/")
            .within(project.path())
            .location("s3://out/tables")
            .stores(Stores::new(server.settings()))
    };
    put(&server, "pages/dt=1/a.parquet", &first).await;
    build().run().await;
    put(&server, "pages/dt=2/b.parquet", &second).await;
    let ours = build().run().await;
    let said: BTreeMap<_, _> = ours.messages().iter().cloned().collect();
    let sessions = &said["sessions"];
    assert!(sessions.contains("updated by key"), "{said:?}");
    let whole = Build::new(fixture("golden/pages.parquet")).run().await;
    for model in MODELS {
        let (ours, whole) = (ours.read(model).await, whole.read(model).await);
        ours.assert_same(&whole, model);
    }
    let again = build().run().await;
    let idle = again.messages().iter().filter(|(_, m)| m.contains("NO-OP"));
    assert_eq!(idle.count(), again.messages().len() - 1, "all but the view");
}

#[tokio::test(flavor = "multi_thread")]
async fn lake_and_tables_in_different_stores() {
    let server = S3Server::start(&["shop"]).await;
    let folder = tempfile::tempdir().unwrap();
    let local = |name: &str| Url::from_file_path(folder.path().join(name)).unwrap();
    std::fs::create_dir(folder.path().join("lake")).unwrap();
    let places = [
        (url("s3://shop/lake"), local("tables")),
        (local("lake"), url("s3://shop/tables")),
        (url("memory:///lake"), url("s3://shop/others")),
    ];
    for (lake, tables) in places {
        let project = Small::new(lake, tables, Stores::new(server.settings()));
        project
            .deliver("a.csv", &[("ada", 1), ("bob", 2), ("ada", 3)])
            .await;
        project.build().await;
        project.deliver("b.csv", &[("bob", 4)]).await;
        let said = project.build().await;
        assert!(said["totals"].starts_with("updated by key"), "{said:?}");
        let rows = project.read().await;
        let totals = ["ada 2 4", "bob 2 6"].map(str::to_owned);
        assert_eq!(rows["totals"].as_deref(), Some(&totals[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once() {
    let server = S3Server::start(&["shop"]).await;
    for round in 0..8 {
        let tables = url(&format!("s3://shop/tables-{round}"));
        let lake = url(&format!("s3://shop/lake-{round}"));
        let project =
            || Small::new(lake.clone(), tables.clone(), Stores::new(server.settings()));
        let (a, b) = (project(), project());
        a.deliver("a.csv", &[("ada", 1), ("bob", 2), ("ada", 3)])
            .await;
        if round % 2 == 1 {
            a.build().await;
            a.deliver("b.csv", &[("bob", 4), ("cyd", 5)]).await;
        }
        let (one, other) = tokio::join!(a.run(), b.run());
        for results in [one.unwrap(), other.unwrap()] {
            for result in &results.results {
                let why = result.error.as_ref().map(ToString::to_string);
                assert_eq!(result.status, Status::Success, "{why:?}");
            }
        }
        let totals = a.read().await["totals"].clone().unwrap();
        let expected: &[&str] = match round % 2 {
            0 => &["ada 2 4", "bob 1 2"],
            _ => &["ada 2 4", "bob 2 6", "cyd 1 5"],
        };
        assert_eq!(totals, expected, "round {round}");
        let said = a.build().await;
        assert!(said.values().all(|m| m.contains("NO-OP")), "{said:?}");
    }
}

/// What a run says of its first failure: message and hint.
async fn failure(lake: &str, tables: &str, settings: BTreeMap<String, String>) -> String {
    let project = Small::new(url(lake), url(tables), Stores::new(settings));
    let results = project.run().await.unwrap();
    let failed = results
        .results
        .iter()
        .find_map(|r| r.error.as_ref())
        .unwrap();
    format!("{failed} | {}", failed.hint().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_name_the_url_and_what_to_check() {
    let server = S3Server::start(&["shop"]).await;
    let good = server.settings();
    let said = failure("s3://nowhere/lake", "memory:///t", good.clone()).await;
    let expected = "`s3://nowhere`: there is no such bucket | check the bucket's name";
    assert!(said.starts_with(expected), "{said}");

    let store = server.bucket("shop");
    let path = Path::from("lake/a.csv");
    store
        .put(&path, "visitor,amount\nada,1\n".into())
        .await
        .unwrap();
    let said = failure("s3://shop/lake", "s3://nowhere/t", good.clone()).await;
    assert!(said.starts_with(expected), "{said}");

    let mut wrong = good.clone();
    wrong.insert("AWS_SECRET_ACCESS_KEY".to_owned(), "guess".to_owned());
    let said = failure("s3://shop/lake", "memory:///t", wrong).await;
    assert!(said.starts_with("`s3://shop/lake"), "{said}");
    assert!(said.contains("AWS_SECRET_ACCESS_KEY"), "{said}");

    let said = failure("s3://shop/other", "memory:///t", good).await;
    assert!(
        said.starts_with("no files match `s3://shop/other`"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_requests_are_refused_in_one_line() {
    let server = S3Server::start(&["shop"]).await;
    let mut open = server.settings();
    open.retain(|name, _| !name.contains("KEY"));
    open.insert("AWS_NO_SIGN_REQUEST".to_owned(), "true".to_owned());
    let said = failure("s3://shop/lake", "memory:///t", open).await;
    assert!(
        said.starts_with("`s3://shop/lake`: access is refused | check"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_endpoint_of_a_profile() {
    let server = S3Server::start(&["shop"]).await;
    let good = server.settings();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let config = format!(
        "[profile lake]\nregion = us-east-1\nendpoint_url = {}\n",
        good["AWS_ENDPOINT_URL"]
    );
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    let keys = format!(
        "[lake]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        good["AWS_ACCESS_KEY_ID"], good["AWS_SECRET_ACCESS_KEY"]
    );
    std::fs::write(home.path().join(".aws/credentials"), keys).unwrap();
    let settings = [
        ("HOME", home.path().to_str().unwrap()),
        ("AWS_PROFILE", "lake"),
    ];
    let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let stores = Stores::new(BTreeMap::from(settings));
    let store = stores.get(&url("s3://shop/x")).unwrap();
    store.put(&Path::from("x"), "hello".into()).await.unwrap();
    let kept = server.bucket("shop").get(&Path::from("x")).await.unwrap();
    assert_eq!(kept.bytes().await.unwrap(), "hello");
}
