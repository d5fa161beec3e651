//! Amazon S3 and what speaks its protocol.
//!
//! Settings are the variables of the AWS tools (`AWS_ACCESS_KEY_ID`, `AWS_REGION`,
//! `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, …). Without any credentials in them, and with
//! `AWS_SKIP_SIGNATURE=true`, requests go unsigned.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use url::Url;

use super::Scheme;

pub(super) const SCHEME: Scheme = Scheme {
    names: &["s3", "s3a"],
    open,
};

fn open(url: &Url, settings: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>> {
    let Some(bucket) = url.host_str().filter(|h| !h.is_empty()) else {
        return plan_err!("`{url}` names no bucket; expected `s3://bucket/path`");
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    for (name, value) in settings {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("aws_") || value.is_empty() {
            continue;
        }
        if let Ok(key) = AmazonS3ConfigKey::from_str(&name) {
            builder = builder.with_config(key, value);
        }
    }
    // A plain-HTTP endpoint that the user named is meant to be used.
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    if endpoint.is_some_and(|e| e.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_the_endpoint() {
        let settings = BTreeMap::from([
            (
                "AWS_ENDPOINT_URL".to_owned(),
                "http://127.0.0.1:1".to_owned(),
            ),
            ("AWS_REGION".to_owned(), "eu-west-1".to_owned()),
            ("AWS_PROFILE".to_owned(), "ignored".to_owned()),
        ]);
        let url = Url::parse("s3://lake/events/").unwrap();
        let store = open(&url, &settings).unwrap();
        assert!(format!("{store:?}").contains("127.0.0.1:1"), "{store:?}");
        assert!(open(&Url::parse("s3:///events").unwrap(), &settings).is_err());
    }
}
