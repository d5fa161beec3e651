//! URL scheme -> object store. The only room that knows URL schemes.
//!
//! Adding a store is one file here and one line in the list below.

#[cfg(feature = "azure")]
mod azure;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure", feature = "http"))]
mod failure;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(feature = "http")]
mod http;
mod local;
mod location;
mod memory;
#[cfg(feature = "s3")]
mod profile;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure", feature = "http"))]
mod remote;
#[cfg(feature = "s3")]
mod s3;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::{Result, plan_err};
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::ObjectStore;
use url::Url;

pub(crate) use location::{decode, decoded_path};

/// Every store of this build.
const SCHEMES: &[Scheme] = &[
    local::SCHEME,
    memory::SCHEME,
    #[cfg(feature = "s3")]
    s3::SCHEME,
    #[cfg(feature = "gcs")]
    gcs::SCHEME,
    #[cfg(feature = "azure")]
    azure::SCHEME,
    #[cfg(feature = "http")]
    http::SCHEME,
];

/// Opens the store of a URL's authority.
type Open = fn(&Url, &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>>;

/// One kind of store.
struct Scheme {
    /// The URL schemes it answers to; the first is the one shown to users.
    names: &'static [&'static str],
    /// Nothing can be written to it.
    #[cfg_attr(
        not(feature = "runner"),
        expect(dead_code, reason = "only the runner writes")
    )]
    read_only: bool,
    /// How it is opened.
    open: Open,
}

/// The stores of one process: opened once per scheme and authority, and shared by every
/// clone (two clones see the same memory store).
#[derive(Debug, Clone, Default)]
pub struct Stores {
    /// Settings such as `AWS_REGION`; read from the environment by the caller.
    pub settings: BTreeMap<String, String>,
    pub(crate) open: Arc<Mutex<HashMap<String, Arc<dyn ObjectStore>>>>,
}

impl Stores {
    /// Stores that are opened with `settings` (`AWS_REGION`, `AWS_ENDPOINT_URL`, …).
    pub fn new(settings: BTreeMap<String, String>) -> Self {
        Self {
            settings,
            open: Arc::default(),
        }
    }

    /// The same stores, with `store` for everything that has the scheme and authority of
    /// `url`: an embedder's own client, a cache, a wrapper that counts or fails.
    ///
    /// `store` is rooted where the URL's path begins. Clones share their stores, so that all
    /// of them see it; replacing a store that is in use leaves its users with the old one.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use datafusion_sessionize::Stores;
    /// # use object_store::memory::InMemory;
    /// # use url::Url;
    /// let lake = Url::parse("s3://lake/").unwrap();
    /// let stores = Stores::default().with_store(&lake, Arc::new(InMemory::new()));
    /// assert!(stores.get(&lake.join("events/").unwrap()).is_ok());
    /// ```
    #[must_use]
    pub fn with_store(self, url: &Url, store: Arc<dyn ObjectStore>) -> Self {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(authority(url), store);
        drop(open);
        self
    }

    /// Turns a location as a user writes it (an absolute or relative path, or a URL) into a
    /// URL. Relative paths start at `base`. The path need not exist. Glob characters survive.
    pub fn parse(location: &str, base: &Path) -> Result<Url> {
        let url = location::parse(location, base)?;
        scheme_of(&url).map(|_| url)
    }

    /// The store that holds `url`, rooted at the URL's scheme and authority.
    pub fn get(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = authority(url);
        if let Some(store) = open.get(&key) {
            return Ok(Arc::clone(store));
        }
        let scheme = scheme_of(url)?;
        let store = (scheme.open)(url, &self.settings)?;
        open.insert(key, Arc::clone(&store));
        Ok(store)
    }

    /// Whether nothing can be written at `url`.
    #[cfg(feature = "runner")]
    pub(crate) fn read_only(url: &Url) -> bool {
        scheme_of(url).is_ok_and(|scheme| scheme.read_only)
    }

    /// The name under which DataFusion's registry knows the store of `url`.
    pub(crate) fn root(url: &Url) -> Result<ObjectStoreUrl> {
        ObjectStoreUrl::parse(authority(&registered(url)))
    }

    /// `url` as DataFusion finds its store by it.
    #[cfg(feature = "runner")]
    pub(crate) fn registered(url: &Url) -> Url {
        registered(url)
    }
}

/// `scheme://authority`.
fn authority(url: &Url) -> String {
    let authority = &url[url::Position::BeforeUsername..url::Position::AfterPort];
    format!("{}://{authority}", url.scheme())
}

/// `container@account` as one host: DataFusion tells stores apart by host alone.
fn registered(url: &Url) -> Url {
    let mut plain = url.clone();
    if let (false, Some(host)) = (url.username().is_empty(), url.host_str()) {
        let host = format!("{}.{host}", url.username());
        if plain.set_host(Some(&host)).is_ok() && plain.set_username("").is_ok() {
            return plain;
        }
        plain = url.clone();
    }
    plain
}

/// What a remote store said in the depth of `error`: one line, and what to check.
#[cfg(feature = "runner")]
#[cfg_attr(
    not(any(feature = "s3", feature = "gcs", feature = "azure", feature = "http")),
    expect(unused_variables, reason = "this build has no remote store")
)]
pub(crate) fn told_by_store(
    error: &(dyn std::error::Error + 'static),
) -> Option<(String, String)> {
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure", feature = "http"))]
    if let Some(failure) = failure::store_failure(error) {
        return Some((failure.to_string(), failure.hint().to_owned()));
    }
    None
}

fn scheme_of(url: &Url) -> Result<&'static Scheme> {
    let found = SCHEMES.iter().find(|s| s.names.contains(&url.scheme()));
    let Some(scheme) = found else {
        let known: Vec<_> = SCHEMES
            .iter()
            .flat_map(|s| s.names)
            .map(|n| format!("`{n}://`"))
            .collect();
        return plan_err!(
            "no store for `{url}`: the scheme `{}` is not one of {} (or a path)",
            url.scheme(),
            known.join(", ")
        );
    };
    Ok(scheme)
}

#[cfg(all(test, feature = "azure"))]
mod tests {
    use super::*;

    #[test]
    fn two_containers_of_one_account_are_two_stores() {
        let url = |text: &str| Url::parse(text).unwrap();
        let a = url("abfss://a@account.dfs.core.windows.net/t");
        let b = url("abfss://b@account.dfs.core.windows.net/t");
        assert_ne!(authority(&a), authority(&b));
        assert_ne!(Stores::root(&a).unwrap(), Stores::root(&b).unwrap());
        assert_eq!(registered(&a).path(), "/t");
    }
}
