//! Amazon S3 and what speaks its protocol.
//!
//! Settings are the variables of the AWS tools (`AWS_ACCESS_KEY_ID`, `AWS_REGION`,
//! `AWS_ENDPOINT_URL`, …). What they do not say is taken from the AWS profile (see
//! [`profile`](super::profile)) when the store is first used: credentials, region, endpoint.
//! Without a region and an endpoint the bucket is asked where it is.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use futures::FutureExt;
use object_store::ObjectStore;
use object_store::aws::{
    AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut, resolve_bucket_region,
};
use url::Url;

use super::failure::{StoreFailure, Words};
use super::profile::Profile;
use super::remote::{Remote, client, retry};
use super::{Scheme, authority};

pub(super) const SCHEME: Scheme = Scheme {
    names: &["s3", "s3a"],
    read_only: false,
    open,
};

static WORDS: Words = Words {
    container: "bucket",
    place: "check the bucket's name, and where it is looked for: `AWS_REGION`, \
            `AWS_ENDPOINT_URL`",
    credentials: "check `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or the profile \
                  that `AWS_PROFILE` names; `AWS_NO_SIGN_REQUEST=true` reads public \
                  buckets without any",
    permission: "reading needs `s3:GetObject` and `s3:ListBucket`, writing `s3:PutObject` \
                 and `s3:DeleteObject`",
};

fn open(url: &Url, settings: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>> {
    let Some(bucket) = url.host_str().filter(|h| !h.is_empty()) else {
        return plan_err!("`{url}` names no bucket; expected `s3://bucket/path`");
    };
    let bucket = bucket.to_owned();
    let settings = Arc::new(settings.clone());
    let opener = Box::new(move || {
        let (bucket, settings) = (bucket.clone(), Arc::clone(&settings));
        async move { connect(&bucket, &settings).await }.boxed()
    });
    Ok(Arc::new(Remote::new(authority(url), &WORDS, opener)))
}

async fn connect(
    bucket: &str,
    settings: &BTreeMap<String, String>,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = configured(settings);
    let missing = Missing::of(&builder);
    if missing.any() {
        let profile = Profile::load(settings).await;
        builder = missing.filled(builder, &profile);
    }
    if set(&builder, AmazonS3ConfigKey::Region).is_none() && endpoint(&builder).is_none()
    {
        builder = builder.with_region(region_of(bucket).await?);
    }
    Ok(Arc::new(placed(builder, bucket).build()?))
}

async fn region_of(bucket: &str) -> object_store::Result<String> {
    let found = resolve_bucket_region(bucket, &client()).await;
    found.map_err(|e| {
        let message = e.to_string();
        let (what, hint) = match message.contains("not found") {
            true => ("there is no such bucket", WORDS.place),
            false => (
                "no region is set, and the bucket does not say which it is in",
                "set `AWS_REGION`, or `AWS_ENDPOINT_URL`",
            ),
        };
        StoreFailure::new(format!("`s3://{bucket}`: {what}"), hint).into()
    })
}

/// What the settings say.
fn configured(settings: &BTreeMap<String, String>) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client())
        .with_retry(retry())
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    for (name, value) in settings {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("aws_") || value.is_empty() {
            continue;
        }
        // the name that the AWS tools have for it
        if name == "aws_no_sign_request" {
            builder = builder.with_config(AmazonS3ConfigKey::SkipSignature, value);
        } else if let Ok(key) = AmazonS3ConfigKey::from_str(&name) {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

fn set(builder: &AmazonS3Builder, key: AmazonS3ConfigKey) -> Option<String> {
    builder.get_config_value(&key)
}

fn endpoint(builder: &AmazonS3Builder) -> Option<String> {
    set(builder, AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| set(builder, AmazonS3ConfigKey::Endpoint))
}

/// What the settings leave open and a profile may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missing {
    credentials: bool,
    region: bool,
    endpoint: bool,
}

impl Missing {
    fn of(builder: &AmazonS3Builder) -> Self {
        let key = set(builder, AmazonS3ConfigKey::AccessKeyId)
            .or_else(|| set(builder, AmazonS3ConfigKey::SecretAccessKey));
        let unsigned = set(builder, AmazonS3ConfigKey::SkipSignature);
        let unsigned = unsigned.is_some_and(|v| {
            ["true", "1", "yes", "on", "y", "t"]
                .contains(&v.to_ascii_lowercase().as_str())
        });
        Self {
            credentials: key.is_none() && !unsigned,
            region: set(builder, AmazonS3ConfigKey::Region).is_none(),
            endpoint: endpoint(builder).is_none(),
        }
    }

    fn any(self) -> bool {
        self.credentials || self.region || self.endpoint
    }

    fn filled(self, mut builder: AmazonS3Builder, profile: &Profile) -> AmazonS3Builder {
        if let Some(region) = profile.region.clone().filter(|_| self.region) {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = profile.endpoint.clone().filter(|_| self.endpoint) {
            builder = builder.with_endpoint(endpoint);
        }
        if self.credentials {
            builder = builder.with_credentials(profile.credentials());
        }
        builder
    }
}

/// The builder for one bucket, at an endpoint as it is written in settings.
fn placed(mut builder: AmazonS3Builder, bucket: &str) -> AmazonS3Builder {
    let endpoint = endpoint(&builder);
    // A plain-HTTP endpoint that the user named is meant to be used.
    if endpoint.as_ref().is_some_and(|e| e.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    let virtual_hosted = set(&builder, AmazonS3ConfigKey::VirtualHostedStyleRequest);
    if let Some(endpoint) = endpoint.filter(|_| virtual_hosted.as_deref() == Some("true"))
        && let Some((scheme, host)) = endpoint.split_once("://")
        && !host.starts_with(&format!("{bucket}."))
    {
        let hosted = format!("{scheme}://{bucket}.{host}");
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, hosted);
    }
    // after `AWS_BUCKET`, which is another one's
    builder.with_bucket_name(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn settings_name_the_endpoint() {
        let settings = settings(&[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_BUCKET", "other"),
            ("AWS_NO_SIGN_REQUEST", "true"),
        ]);
        let builder = configured(&settings);
        let missing = Missing::of(&builder);
        assert!(!missing.any(), "{missing:?}");
        let store = placed(builder, "lake").build().unwrap();
        assert!(
            format!("{store:?}").contains("http://127.0.0.1:1/lake"),
            "{store:?}"
        );
    }

    #[test]
    fn what_is_not_set_is_asked_of_the_profile() {
        let keys =
            settings(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]);
        let missing = Missing::of(&configured(&keys));
        assert_eq!(
            missing,
            Missing {
                credentials: false,
                region: true,
                endpoint: true
            }
        );
        assert!(Missing::of(&configured(&BTreeMap::new())).credentials);
    }

    #[test]
    fn a_hosted_bucket_stands_before_the_endpoint() {
        let hosted = settings(&[
            ("AWS_ENDPOINT_URL", "https://store.example"),
            ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
        ]);
        let store = placed(configured(&hosted), "lake").build().unwrap();
        let text = format!("{store:?}");
        assert!(text.contains("https://lake.store.example"), "{text}");
    }

    #[test]
    fn a_url_names_its_bucket() {
        let none = BTreeMap::new();
        assert!(open(&Url::parse("s3:///events").unwrap(), &none).is_err());
        assert!(open(&Url::parse("s3://lake/events").unwrap(), &none).is_ok());
    }
}
