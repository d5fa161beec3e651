//! Files of a web server: read only.
//!
//! A URL that names one file needs nothing but `HEAD` and `GET`, with `Range` for Parquet.
//! Folders and globs need a server that lists (WebDAV).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::Result;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::http::{HttpBuilder, HttpStore};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use url::Url;

use super::failure::{StoreFailure, Words};
use super::remote::{Remote, client, retry};
use super::{Scheme, authority};

pub(super) const SCHEME: Scheme = Scheme {
    names: &["https", "http"],
    read_only: true,
    open,
};

static WORDS: Words = Words {
    container: "host",
    place: "check the URL, and that its host can be reached from here",
    credentials: "files behind a login cannot be read: download them, or read them through \
                  their store's own scheme",
    permission: "the server must let everybody read",
};

fn open(url: &Url, _: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>> {
    let root = authority(url);
    let store = HttpBuilder::new()
        .with_url(root.as_str())
        .with_client_options(client().with_allow_http(url.scheme() == "http"))
        .with_retry(retry())
        .build()?;
    let store = Web {
        root: root.clone(),
        store: Arc::new(store),
    };
    Ok(Arc::new(Remote::of(root, &WORDS, Arc::new(store))))
}

/// A web server's files.
#[derive(Debug)]
struct Web {
    root: String,
    store: Arc<HttpStore>,
}

impl Web {
    fn read_only(&self, path: &Path) -> Error {
        let message = format!("`{}/{path}` can be read only", self.root);
        StoreFailure::new(message, "write to a folder or to an object store").into()
    }
}

impl fmt::Display for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)
    }
}

/// What a failed listing means.
fn no_listing(root: &str, prefix: Option<&Path>) -> Error {
    let prefix = prefix.map(ToString::to_string).unwrap_or_default();
    let message = format!("`{root}/{prefix}`: there is no such file");
    let hint = "name one file: folders and globs can be read from servers that list \
                (WebDAV) only";
    StoreFailure::new(message, hint).into()
}

#[async_trait]
impl ObjectStore for Web {
    async fn put_opts(
        &self,
        location: &Path,
        _: PutPayload,
        _: PutOptions,
    ) -> object_store::Result<PutResult> {
        Err(self.read_only(location))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(self.read_only(location))
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        let mut got = self.store.get_opts(location, options).await?;
        let unknown = got.meta.last_modified.timestamp() == 0;
        if unknown && got.meta.e_tag.is_none() {
            // nothing tells whether the file is the one that was read last: it counts as new
            got.meta.last_modified = chrono::Utc::now();
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let root = self.root.clone();
        let refused = locations.map(move |location| {
            let message = format!("`{root}/{}` can be read only", location?);
            let hint = "write to a folder or to an object store";
            Err(StoreFailure::new(message, hint).into())
        });
        refused.boxed()
    }

    fn list(
        &self,
        prefix: Option<&Path>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (root, place) = (self.root.clone(), prefix.cloned());
        let listed = self.store.list(prefix);
        listed
            .map_err(move |_| no_listing(&root, place.as_ref()))
            .boxed()
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&Path>,
    ) -> object_store::Result<ListResult> {
        let listed = self.store.list_with_delimiter(prefix).await;
        listed.map_err(|_| no_listing(&self.root, prefix))
    }

    async fn copy_opts(
        &self,
        _: &Path,
        to: &Path,
        _: CopyOptions,
    ) -> object_store::Result<()> {
        Err(self.read_only(to))
    }
}
