//! The local file system.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use url::Url;

use super::Scheme;

pub(super) const SCHEME: Scheme = Scheme {
    names: &["file"],
    read_only: false,
    open,
};

fn open(url: &Url, _: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>> {
    match url.host_str() {
        None | Some("" | "localhost") => Ok(Arc::new(LocalFileSystem::new())),
        Some(host) => plan_err!(
            "`{url}` names the host `{host}`; a local path starts with `file:///`"
        ),
    }
}
