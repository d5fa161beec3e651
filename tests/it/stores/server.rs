//! An S3 service on loopback, within the test's process, that keeps objects in memory.
//!
//! It knows what a run needs: conditional puts (`If-None-Match: *`, `If-Match`), uploads in
//! parts, listings in pages, ranges, many deletions at once; signed requests only.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use datafusion::common::runtime::{JoinSet, SpawnedTask};
use futures::TryStreamExt;
use hyper_util::rt::TokioIo;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion,
};
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use tokio::net::TcpListener;

pub(crate) const KEY: &str = "test-key";
pub(crate) const SECRET: &str = "test-secret";

/// Keys a page of a listing holds: few, so that listings have pages.
const PAGE: usize = 50;

/// A running service; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct S3Server {
    address: SocketAddr,
    service: Memory,
    _task: SpawnedTask<()>,
}

impl S3Server {
    /// A service with these buckets.
    pub(crate) async fn start(buckets: &[&str]) -> Self {
        let service = Memory::default();
        for bucket in buckets {
            service.put(bucket, InMemory::new());
        }
        let mut builder = S3ServiceBuilder::new(service.clone());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self {
            address,
            service,
            _task: SpawnedTask::spawn(serve(listener, builder.build())),
        }
    }

    /// What a client must be told.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
        ];
        pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
    }

    /// The objects of a bucket, past the network.
    pub(crate) fn bucket(&self, name: &str) -> Arc<InMemory> {
        self.service.bucket(name).unwrap()
    }

    /// Puts other objects in the place of those of a bucket.
    pub(crate) fn restore(&self, name: &str, objects: InMemory) {
        self.service.put(name, objects);
    }
}

async fn serve(listener: TcpListener, service: S3Service) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let service = service.clone();
        connections.spawn(async move {
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Buckets in memory.
#[derive(Debug, Clone, Default)]
struct Memory {
    buckets: Arc<Mutex<HashMap<String, Arc<InMemory>>>>,
    uploads: Arc<Mutex<Uploads>>,
}

#[derive(Debug, Default)]
struct Uploads {
    last: u64,
    parts: HashMap<String, BTreeMap<i32, Vec<u8>>>,
}

impl Memory {
    fn put(&self, name: &str, objects: InMemory) {
        let mut buckets = self.buckets.lock().unwrap();
        buckets.insert(name.to_owned(), Arc::new(objects));
    }

    fn bucket(&self, name: &str) -> S3Result<Arc<InMemory>> {
        let buckets = self.buckets.lock().unwrap();
        let found = buckets.get(name).cloned();
        found.ok_or_else(|| s3_error!(NoSuchBucket))
    }
}

fn refused(error: object_store::Error) -> s3s::S3Error {
    match error {
        object_store::Error::NotFound { .. } => s3_error!(NoSuchKey),
        object_store::Error::AlreadyExists { .. }
        | object_store::Error::Precondition { .. } => s3_error!(PreconditionFailed),
        other => s3_error!(InternalError, "{other}"),
    }
}

fn path(key: &str) -> S3Result<Path> {
    Path::parse(key).map_err(|e| s3_error!(InvalidArgument, "{e}"))
}

fn tag(meta: &ObjectMeta) -> Option<ETag> {
    meta.e_tag.clone().map(ETag::Strong)
}

fn modified(meta: &ObjectMeta) -> Option<Timestamp> {
    Some(std::time::SystemTime::from(meta.last_modified).into())
}

fn length(size: u64) -> Option<i64> {
    i64::try_from(size).ok()
}

async fn body(blob: Option<StreamingBlob>) -> S3Result<Vec<u8>> {
    let Some(blob) = blob else {
        return Ok(Vec::new());
    };
    let parts: Vec<_> = blob
        .try_collect()
        .await
        .map_err(|e| s3_error!(IncompleteBody, "{e}"))?;
    Ok(parts.concat())
}

fn mode(
    if_none_match: Option<&ETagCondition>,
    if_match: Option<&ETagCondition>,
) -> PutMode {
    let given = if_match.and_then(ETagCondition::as_etag);
    match (if_none_match, given) {
        (Some(ETagCondition::Any), _) => PutMode::Create,
        (_, Some(tag)) => PutMode::Update(UpdateVersion {
            e_tag: Some(tag.value().to_owned()),
            version: None,
        }),
        _ => PutMode::Overwrite,
    }
}

async fn store(
    bucket: &InMemory,
    key: &str,
    bytes: Vec<u8>,
    mode: PutMode,
) -> S3Result<Option<ETag>> {
    let put = bucket
        .put_opts(&path(key)?, bytes.into(), mode.into())
        .await;
    Ok(put.map_err(refused)?.e_tag.map(ETag::Strong))
}

#[async_trait::async_trait]
impl S3 for Memory {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let mode = mode(input.if_none_match.as_ref(), input.if_match.as_ref());
        let bytes = body(input.body).await?;
        let e_tag = store(&bucket, &input.key, bytes, mode).await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag,
            ..Default::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let key = path(&input.key)?;
        let meta = bucket.head(&key).await.map_err(refused)?;
        let wanted: Range<u64> = match &input.range {
            Some(range) => range.check(meta.size)?,
            None => 0..meta.size,
        };
        let options = GetOptions {
            range: (wanted.start < wanted.end).then(|| wanted.clone().into()),
            ..GetOptions::default()
        };
        let got = bucket.get_opts(&key, options).await.map_err(refused)?;
        let bytes = got.bytes().await.map_err(refused)?;
        let last = wanted.end.saturating_sub(1);
        let range = format!("bytes {}-{last}/{}", wanted.start, meta.size);
        let blob = futures::stream::once(async move { Ok::<_, std::io::Error>(bytes) });
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(Box::pin(blob))),
            content_length: length(wanted.end - wanted.start),
            content_range: input.range.is_some().then_some(range),
            e_tag: tag(&meta),
            last_modified: modified(&meta),
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let meta = bucket.head(&path(&input.key)?).await.map_err(refused)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: length(meta.size),
            e_tag: tag(&meta),
            last_modified: modified(&meta),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.or(input.start_after);
        let mut all: Vec<_> = bucket.list(None).try_collect().await.map_err(refused)?;
        all.sort_by(|a, b| a.location.cmp(&b.location));
        let mut page = Page::default();
        for meta in all {
            let key = meta.location.as_ref();
            let rest = key.strip_prefix(&*prefix);
            let folder = input.delimiter.as_deref();
            let folder = folder.and_then(|d| rest?.split_once(d));
            let name = match folder {
                Some((folder, _)) => format!("{prefix}{folder}/"),
                None => key.to_owned(),
            };
            let passed = after.as_ref().is_some_and(|after| &name <= after);
            if rest.is_some() && !passed && !page.take(name, folder.is_some(), &meta) {
                break;
            }
        }
        Ok(S3Response::new(page.output()))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let bucket = self.bucket(&request.input.bucket)?;
        drop(bucket.delete(&path(&request.input.key)?).await);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let bucket = self.bucket(&request.input.bucket)?;
        let mut deleted = Vec::new();
        for object in request.input.delete.objects {
            drop(bucket.delete(&path(&object.key)?).await);
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..Default::default()
            });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.bucket(&request.input.bucket)?;
        let mut uploads = self.uploads.lock().unwrap();
        uploads.last += 1;
        let id = format!("upload-{}", uploads.last);
        uploads.parts.insert(id.clone(), BTreeMap::new());
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(request.input.bucket),
            key: Some(request.input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let bytes = body(input.body).await?;
        let mut uploads = self.uploads.lock().unwrap();
        let Some(parts) = uploads.parts.get_mut(&input.upload_id) else {
            return Err(s3_error!(NoSuchUpload));
        };
        parts.insert(input.part_number, bytes);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(format!("part-{}", input.part_number))),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let parts = self.uploads.lock().unwrap().parts.remove(&input.upload_id);
        let Some(parts) = parts else {
            return Err(s3_error!(NoSuchUpload));
        };
        let bytes: Vec<u8> = parts.into_values().flatten().collect();
        let mode = mode(input.if_none_match.as_ref(), input.if_match.as_ref());
        let e_tag = store(&bucket, &input.key, bytes, mode).await?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag,
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let mut uploads = self.uploads.lock().unwrap();
        uploads.parts.remove(&request.input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// A page of a listing.
#[derive(Default)]
struct Page {
    objects: Vec<Object>,
    folders: Vec<CommonPrefix>,
    last: Option<String>,
    more: bool,
}

impl Page {
    /// Takes a key or a folder; `false` if the page is full.
    fn take(&mut self, name: String, folder: bool, meta: &ObjectMeta) -> bool {
        if self.last.as_ref() == Some(&name) {
            return true;
        }
        if self.objects.len() + self.folders.len() == PAGE {
            self.more = true;
            return false;
        }
        self.last = Some(name.clone());
        if folder {
            self.folders.push(CommonPrefix { prefix: Some(name) });
        } else {
            self.objects.push(Object {
                key: Some(name),
                size: length(meta.size),
                e_tag: tag(meta),
                last_modified: modified(meta),
                ..Default::default()
            });
        }
        true
    }

    fn output(self) -> ListObjectsV2Output {
        let count = self.objects.len() + self.folders.len();
        ListObjectsV2Output {
            contents: Some(self.objects),
            common_prefixes: Some(self.folders),
            key_count: i32::try_from(count).ok(),
            is_truncated: Some(self.more),
            next_continuation_token: self.last.filter(|_| self.more),
            ..Default::default()
        }
    }
}
