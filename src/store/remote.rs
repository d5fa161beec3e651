//! What the stores behind a network have in common: they are opened when they are first
//! used, wait and try again, and tell what went wrong in their user's words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, CopyOptions, Error, GetOptions, GetResult, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, RetryConfig, UploadPart,
};
use tokio::sync::OnceCell;

use super::failure::{Attempt, Words, explained};

type Result<T> = std::result::Result<T, Error>;

/// How a store is opened.
pub(super) type Opener =
    Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn ObjectStore>>> + Send + Sync>;

/// How often and how long a request is tried again: answers of a server in trouble (5xx,
/// "slow down") and broken connections pass within seconds or not at all. Eight more tries with doubling,
/// randomised pauses of 0.1 s up to 5 s give a store some 15 seconds; after a minute no
/// further one begins. A write that creates a commit is tried again too: if the first try
/// did arrive, the second is told that the entry exists, which is a conflict and no loss.
pub(super) fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 8,
        retry_timeout: Duration::from_secs(60),
    }
}

/// A connection stands within 10 s; a request (a part of some MB at most, read or written)
/// ends within 2 minutes. A setting such as `AWS_TIMEOUT=300s` says otherwise.
pub(super) fn client() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(10))
        .with_timeout(Duration::from_secs(120))
}

/// A store that is opened when it is first used.
#[derive(Clone)]
pub(super) struct Remote(Arc<Shared>);

struct Shared {
    /// `scheme://authority`.
    root: String,
    words: &'static Words,
    open: Opener,
    opened: OnceCell<Arc<dyn ObjectStore>>,
}

impl Remote {
    pub(super) fn new(root: String, words: &'static Words, open: Opener) -> Self {
        Self(Arc::new(Shared {
            root,
            words,
            open,
            opened: OnceCell::new(),
        }))
    }

    /// A store that is there.
    pub(super) fn of(
        root: String,
        words: &'static Words,
        store: Arc<dyn ObjectStore>,
    ) -> Self {
        let open: Opener = Box::new(move || {
            let store = Arc::clone(&store);
            async move { Ok(store) }.boxed()
        });
        Self::new(root, words, open)
    }

    async fn store(&self) -> Result<&Arc<dyn ObjectStore>> {
        let opened = self.0.opened.get_or_try_init(|| (self.0.open)()).await;
        opened.map_err(|e| self.told(Attempt::Open, None, e))
    }

    fn told(&self, of: Attempt, path: Option<&Path>, error: Error) -> Error {
        explained(self.0.words, (&self.0.root, path), of, error)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("root", &self.0.root)
            .field("opened", &self.0.opened.get())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.root)
    }
}

#[async_trait]
impl ObjectStore for Remote {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = self
            .store()
            .await?
            .put_opts(location, payload, options)
            .await;
        put.map_err(|e| self.told(Attempt::Write, Some(location), e))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self
            .store()
            .await?
            .put_multipart_opts(location, options)
            .await;
        let upload = begun.map_err(|e| self.told(Attempt::Write, Some(location), e))?;
        Ok(Box::new(Upload {
            remote: self.clone(),
            location: location.clone(),
            upload,
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let got = self.store().await?.get_opts(location, options).await;
        got.map_err(|e| self.told(Attempt::Read, Some(location), e))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let remote = self.clone();
        let told = self.clone();
        let deleted = async move {
            let store = remote.store().await.cloned();
            store.map(|store| store.delete_stream(locations))
        };
        futures::stream::once(deleted)
            .try_flatten()
            .map_err(move |e| told.told(Attempt::Write, None, e))
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let remote = self.clone();
        let told = self.clone();
        let prefix = prefix.cloned();
        let place = prefix.clone();
        let opened = async move { remote.store().await.cloned() };
        futures::stream::once(opened)
            .map_ok(move |store| store.list(prefix.as_ref()))
            .try_flatten()
            .map_err(move |e| told.told(Attempt::List, place.as_ref(), e))
            .boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let remote = self.clone();
        let told = self.clone();
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        let place = prefix.clone();
        let opened = async move { remote.store().await.cloned() };
        futures::stream::once(opened)
            .map_ok(move |store| store.list_with_offset(prefix.as_ref(), &offset))
            .try_flatten()
            .map_err(move |e| told.told(Attempt::List, place.as_ref(), e))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = self.store().await?.list_with_delimiter(prefix).await;
        listed.map_err(|e| self.told(Attempt::List, prefix, e))
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> Result<()> {
        let copied = self.store().await?.copy_opts(from, to, options).await;
        copied.map_err(|e| self.told(Attempt::Read, Some(from), e))
    }
}

/// An upload in parts whose errors are told.
#[derive(Debug)]
struct Upload {
    remote: Remote,
    location: Path,
    upload: Box<dyn MultipartUpload>,
}

impl Upload {
    fn told(&self, error: Error) -> Error {
        self.remote
            .told(Attempt::Write, Some(&self.location), error)
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (remote, location) = (self.remote.clone(), self.location.clone());
        let put = self.upload.put_part(data);
        async move {
            put.await
                .map_err(|e| remote.told(Attempt::Write, Some(&location), e))
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let completed = self.upload.complete().await;
        completed.map_err(|e| self.told(e))
    }

    async fn abort(&mut self) -> Result<()> {
        let aborted = self.upload.abort().await;
        aborted.map_err(|e| self.told(e))
    }
}
