//! A store that lives as long as the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Result;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

use super::Scheme;

pub(super) const SCHEME: Scheme = Scheme {
    names: &["memory"],
    read_only: false,
    open,
};

fn open(_: &Url, _: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>> {
    Ok(Arc::new(InMemory::new()))
}
