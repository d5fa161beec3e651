//! A store that counts what is asked of it, and fails at the n-th time.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is not done.
    Before,
    /// It is done, and the answer is lost.
    After,
}

/// What is common to the wrapped store and its uploads.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    seen: AtomicUsize,
    /// Which operation fails, and how.
    at: Mutex<Option<(usize, Failure)>>,
    /// What was asked, in order: the operation and the path.
    log: Mutex<Vec<(&'static str, String)>>,
}

impl Plan {
    /// Counts from the start again, failing at the operation `at` (from 1).
    pub(crate) fn arm(&self, at: Option<(usize, Failure)>) {
        self.seen.store(0, Ordering::SeqCst);
        *self.at.lock().unwrap() = at;
        self.log.lock().unwrap().clear();
    }

    /// What was asked since.
    pub(crate) fn log(&self) -> Vec<(&'static str, String)> {
        self.log.lock().unwrap().clone()
    }

    fn next(&self, operation: &'static str, path: Option<&Path>) -> Option<Failure> {
        let path = path.map(ToString::to_string).unwrap_or_default();
        self.log.lock().unwrap().push((operation, path));
        let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        let at = *self.at.lock().unwrap();
        at.filter(|(at, _)| *at == number).map(|(_, how)| how)
    }
}

fn lost() -> Error {
    Error::Generic {
        store: "faulty",
        source: "the line went dead".into(),
    }
}

/// Fails before, or after `done`.
async fn run<T>(
    failure: Option<Failure>,
    done: impl Future<Output = Result<T>>,
) -> Result<T> {
    match failure {
        None => done.await,
        Some(Failure::Before) => Err(lost()),
        Some(Failure::After) => done.await.and_then(|_| Err(lost())),
    }
}

/// The store.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    store: Arc<dyn ObjectStore>,
    plan: Arc<Plan>,
}

impl Faulty {
    pub(crate) fn of(store: Arc<dyn ObjectStore>) -> (Self, Arc<Plan>) {
        let plan = Arc::<Plan>::default();
        let faulty = Self {
            store,
            plan: Arc::clone(&plan),
        };
        (faulty, plan)
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.store)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let failure = self.plan.next("put", Some(location));
        run(failure, self.store.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let failure = self.plan.next("begin", Some(location));
        let begun = self.store.put_multipart_opts(location, options);
        let upload = run(failure, begun).await?;
        Ok(Box::new(Upload {
            upload,
            location: location.clone(),
            plan: Arc::clone(&self.plan),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let word = if options.head { "head" } else { "get" };
        let failure = self.plan.next(word, Some(location));
        run(failure, self.store.get_opts(location, options)).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (store, plan) = (Arc::clone(&self.store), Arc::clone(&self.plan));
        let deleted = locations.and_then(move |location| {
            let (store, plan) = (Arc::clone(&store), Arc::clone(&plan));
            async move {
                let failure = plan.next("delete", Some(&location));
                let one = futures::stream::iter([Ok(location.clone())]).boxed();
                let mut gone = store.delete_stream(one);
                let done = async move { gone.next().await.unwrap_or(Ok(location)) };
                run(failure, done).await
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.plan.next("list", prefix) {
            None => self.store.list(prefix),
            Some(_) => futures::stream::iter([Err(lost())]).boxed(),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.plan.next("list", prefix) {
            None => self.store.list_with_offset(prefix, offset),
            Some(_) => futures::stream::iter([Err(lost())]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let failure = self.plan.next("list", prefix);
        run(failure, self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> Result<()> {
        let failure = self.plan.next("copy", Some(to));
        run(failure, self.store.copy_opts(from, to, options)).await
    }
}

#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    location: Path,
    plan: Arc<Plan>,
}

#[async_trait::async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let failure = self.plan.next("part", Some(&self.location));
        let part = self.upload.put_part(data);
        run(failure, part).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let failure = self.plan.next("complete", Some(&self.location));
        run(failure, self.upload.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.plan.next("abort", Some(&self.location));
        self.upload.abort().await
    }
}
