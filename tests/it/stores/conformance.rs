//! What every store must do, whichever it is.

use std::sync::Arc;

use datafusion::common::runtime::JoinSet;
use datafusion_sessionize::Stores;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use url::Url;

async fn conforms(store: Arc<dyn ObjectStore>, folder: &Path) {
    objects(&store, folder).await;
    one_of_many_creates(&store, folder).await;
    uploads(&store, folder).await;
    listings(&store, folder).await;
}

async fn objects(store: &Arc<dyn ObjectStore>, folder: &Path) {
    let path = folder.clone().join("a b=1").join("x é.txt");
    store.put(&path, "0123456789".into()).await.unwrap();
    let meta = store.head(&path).await.unwrap();
    assert_eq!((meta.size, &meta.location), (10, &path));
    assert_eq!(store.get_range(&path, 3..6).await.unwrap(), "345");
    let ranges = store.get_ranges(&path, &[0..1, 8..10]).await.unwrap();
    assert_eq!(ranges, ["0", "89"]);
    store.put(&path, "other".into()).await.unwrap();
    let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes, "other");
    store.delete(&path).await.unwrap();
    let gone = store.head(&path).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound { .. }), "{gone}");
    let gone = store.get(&path).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound { .. }), "{gone}");
}

/// A commit is the creation of an entry: of many at once, one succeeds.
async fn one_of_many_creates(store: &Arc<dyn ObjectStore>, folder: &Path) {
    for round in 0..10 {
        let path = folder.clone().join(format!("entry-{round}"));
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            let (store, path) = (Arc::clone(store), path.clone());
            writers.spawn(async move {
                let payload = PutPayload::from(format!("writer {writer}"));
                let put = store.put_opts(&path, payload, PutMode::Create.into()).await;
                match put {
                    Ok(_) => Some(writer),
                    Err(Error::AlreadyExists { .. }) => None,
                    Err(other) => panic!("{other}"),
                }
            });
        }
        let ended = writers.join_all().await;
        let winners: Vec<_> = ended.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, format!("writer {}", winners[0]));
    }
}

async fn uploads(store: &Arc<dyn ObjectStore>, folder: &Path) {
    let path = folder.clone().join("large");
    let mut upload = store.put_multipart(&path).await.unwrap();
    let part = |byte: u8| PutPayload::from(vec![byte; 5 * 1024 * 1024]);
    upload.put_part(part(1)).await.unwrap();
    upload.put_part(part(2)).await.unwrap();
    let seen = store.head(&path).await;
    assert!(matches!(seen, Err(Error::NotFound { .. })), "{seen:?}");
    upload.complete().await.unwrap();
    let edge = 5 * 1024 * 1024;
    let bytes = store.get_range(&path, edge - 1..edge + 1).await.unwrap();
    assert_eq!(&bytes[..], [1, 2]);
    let path = folder.clone().join("given up");
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part(part(3)).await.unwrap();
    upload.abort().await.unwrap();
    let seen = store.head(&path).await;
    assert!(matches!(seen, Err(Error::NotFound { .. })), "{seen:?}");
}

async fn listings(store: &Arc<dyn ObjectStore>, folder: &Path) {
    let lake = folder.clone().join("lake");
    for number in 0..120 {
        let day = lake.clone().join(format!("dt={}", number % 3));
        let path = day.join(format!("{number:03}"));
        store.put(&path, "x".into()).await.unwrap();
    }
    store
        .put(&folder.clone().join("lake-2"), "y".into())
        .await
        .unwrap();
    let all: Vec<_> = store.list(Some(&lake)).try_collect().await.unwrap();
    assert_eq!(all.len(), 120);
    assert!(all.iter().all(|meta| meta.size == 1));
    let listed = store.list_with_delimiter(Some(&lake)).await.unwrap();
    let folders: Vec<_> = listed.common_prefixes.iter().map(Path::filename).collect();
    assert_eq!(folders, [Some("dt=0"), Some("dt=1"), Some("dt=2")]);
    let nothing = store.list(Some(&folder.clone().join("none"))).next().await;
    assert!(nothing.is_none(), "{nothing:?}");
    let paths = all.into_iter().map(|meta| Ok(meta.location));
    let gone = store.delete_stream(futures::stream::iter(paths).boxed());
    assert_eq!(gone.try_collect::<Vec<_>>().await.unwrap().len(), 120);
    assert!(store.list(Some(&lake)).next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(folder.path()).unwrap();
    let path = Path::from_url_path(url.path()).unwrap();
    conforms(Stores::default().get(&url).unwrap(), &path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    let url = Url::parse("memory:///").unwrap();
    conforms(Stores::default().get(&url).unwrap(), &Path::from("here")).await;
}

#[cfg(feature = "s3")]
#[tokio::test(flavor = "multi_thread")]
async fn s3() {
    let server = super::server::S3Server::start(&["shop"]).await;
    let url = Url::parse("s3://shop/").unwrap();
    let store = Stores::new(server.settings()).get(&url).unwrap();
    conforms(store, &Path::from("some/where")).await;
}
