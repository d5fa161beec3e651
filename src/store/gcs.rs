//! Google Cloud Storage.
//!
//! Settings are Google's variables: `GOOGLE_APPLICATION_CREDENTIALS`,
//! `GOOGLE_SERVICE_ACCOUNT` (a file), `GOOGLE_SERVICE_ACCOUNT_KEY` (its text),
//! `GOOGLE_SKIP_SIGNATURE`, `STORAGE_EMULATOR_HOST`. Without any the credentials of `gcloud auth
//! application-default login`, then those of the machine are taken.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use object_store::ObjectStore;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use url::Url;

use super::failure::Words;
use super::remote::{Remote, client, retry};
use super::{Scheme, authority};

pub(super) const SCHEME: Scheme = Scheme {
    names: &["gs", "gcs"],
    read_only: false,
    open,
};

static WORDS: Words = Words {
    container: "bucket",
    place: "check the bucket's name, and `STORAGE_EMULATOR_HOST` if one is set",
    credentials: "check the file that `GOOGLE_APPLICATION_CREDENTIALS` or \
                  `GOOGLE_SERVICE_ACCOUNT` names, or run `gcloud auth application-default \
                  login`; `GOOGLE_SKIP_SIGNATURE=true` reads public buckets without any",
    permission: "reading needs the role Storage Object Viewer, writing Storage Object User",
};

fn open(url: &Url, settings: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>> {
    let Some(bucket) = url.host_str().filter(|h| !h.is_empty()) else {
        return plan_err!("`{url}` names no bucket; expected `gs://bucket/path`");
    };
    let store = configured(settings, bucket).build()?;
    Ok(Arc::new(Remote::of(
        authority(url),
        &WORDS,
        Arc::new(store),
    )))
}

fn configured(
    settings: &BTreeMap<String, String>,
    bucket: &str,
) -> GoogleCloudStorageBuilder {
    let mut options = client();
    let emulator = settings
        .get("STORAGE_EMULATOR_HOST")
        .filter(|v| !v.is_empty());
    let emulator = emulator.map(|host| match host.contains("://") {
        true => host.clone(),
        false => format!("http://{host}"),
    });
    let named = settings.get("GOOGLE_BASE_URL").or(emulator.as_ref());
    if named.is_some_and(|url| url.starts_with("http://")) {
        options = options.with_allow_http(true);
    }
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(options)
        .with_retry(retry());
    if let Some(url) = &emulator {
        builder = builder.with_base_url(url).with_skip_signature(true);
    }
    for (name, value) in settings {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("google_") || value.is_empty() {
            continue;
        }
        if let Ok(key) = GoogleConfigKey::from_str(&name) {
            builder = builder.with_config(key, value);
        }
    }
    builder.with_bucket_name(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_the_place() {
        let settings = BTreeMap::from([
            ("GOOGLE_SKIP_SIGNATURE".to_owned(), "true".to_owned()),
            ("GOOGLE_BUCKET".to_owned(), "other".to_owned()),
            ("STORAGE_EMULATOR_HOST".to_owned(), "127.0.0.1:1".to_owned()),
        ]);
        let url = Url::parse("gs://lake/events").unwrap();
        assert!(open(&url, &settings).is_ok());
        let builder = configured(&settings, "lake");
        let get = |key| builder.get_config_value(&key);
        assert_eq!(get(GoogleConfigKey::Bucket).as_deref(), Some("lake"));
        assert_eq!(
            get(GoogleConfigKey::BaseUrl).as_deref(),
            Some("http://127.0.0.1:1")
        );
        assert!(open(&Url::parse("gs:///events").unwrap(), &settings).is_err());
    }
}
