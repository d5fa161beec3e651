//! What an AWS profile says: `~/.aws/config` and `~/.aws/credentials` as the AWS tools read
//! them, with single sign-on, assumed roles, `credential_process`, web identities, and the
//! roles of containers and machines.
//!
//! Nothing is contacted before a request needs credentials.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
#[expect(
    deprecated,
    reason = "the newer name is in a crate that is no dependency"
)]
use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use tokio::sync::Mutex;

/// Credentials that end within this time are renewed.
const MARGIN: Duration = Duration::from_secs(300);

/// One profile.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    provider: Option<SharedCredentialsProvider>,
}

impl Profile {
    /// The profile that `settings` name (`AWS_PROFILE`, `AWS_CONFIG_FILE`,
    /// `AWS_SHARED_CREDENTIALS_FILE`, `HOME`), else the default one.
    pub(super) async fn load(settings: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| settings.get(name).filter(|v| !v.is_empty());
        let name = get("AWS_PROFILE").or_else(|| get("AWS_DEFAULT_PROFILE"));
        let files = files(settings);
        let mut region = ProfileFileRegionProvider::builder();
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(name) = name {
            region = region.profile_name(name);
            loader = loader.profile_name(name);
        }
        if let Some(files) = files {
            region = region.profile_files(files.clone());
            loader = loader.profile_files(files);
        }
        let region = region.build().region().await;
        let known = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
        let known = known.map(|r| Region::new(r.clone()));
        // given, so that no machine is asked for its own
        let loaded = loader.region(known.or_else(|| region.clone())).load().await;
        Self {
            region: region.map(|r| r.to_string()),
            endpoint: loaded.endpoint_url().map(ToOwned::to_owned),
            provider: loaded.credentials_provider(),
        }
    }

    /// Its credentials, asked for when they are needed and kept until they end.
    pub(super) fn credentials(&self) -> AwsCredentialProvider {
        Arc::new(Credentials {
            provider: self.provider.clone(),
            kept: Mutex::default(),
        })
    }
}

/// The files of the profiles; `None`: those that the AWS tools take.
#[expect(
    deprecated,
    reason = "the newer name is in a crate that is no dependency"
)]
fn files(settings: &BTreeMap<String, String>) -> Option<ProfileFiles> {
    let place = |variable: &str, name: &str| {
        let named = settings.get(variable).filter(|v| !v.is_empty());
        let home = || settings.get("HOME").or_else(|| settings.get("USERPROFILE"));
        let named = named.map(|n| match (n.strip_prefix("~/"), home()) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            _ => Path::new(n).to_owned(),
        });
        named.or_else(|| Some(Path::new(home()?).join(".aws").join(name)))
    };
    let config = place("AWS_CONFIG_FILE", "config")?;
    let credentials = place("AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
    // no file at all, or one that is named and not there, is an error to the reader
    let mut files = ProfileFiles::builder().with_contents(ProfileFileKind::Config, "");
    for (kind, path) in [
        (ProfileFileKind::Config, config),
        (ProfileFileKind::Credentials, credentials),
    ] {
        if path.is_file() {
            files = files.with_file(kind, path);
        }
    }
    Some(files.build())
}

/// Nobody gave credentials.
#[derive(Debug, thiserror::Error)]
#[error("not loaded credentials")]
struct NotLoaded(#[source] Option<CredentialsError>);

/// An AWS provider as the store asks for it.
#[derive(Debug)]
struct Credentials {
    provider: Option<SharedCredentialsProvider>,
    kept: Mutex<Option<(Arc<AwsCredential>, Option<SystemTime>)>>,
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        if let Some((credential, until)) = kept.as_ref()
            && until
                .is_none_or(|until| until > SystemTime::from(chrono::Utc::now()) + MARGIN)
        {
            return Ok(Arc::clone(credential));
        }
        let failed = |cause: Option<CredentialsError>| object_store::Error::Generic {
            store: "S3",
            source: Box::new(NotLoaded(cause)),
        };
        let Some(provider) = &self.provider else {
            return Err(failed(None));
        };
        let found = provider.provide_credentials().await;
        let found = found.map_err(|e| failed(Some(e)))?;
        let credential = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(ToOwned::to_owned),
        });
        *kept = Some((Arc::clone(&credential), found.expiry()));
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings with a home that has these files.
    fn home(
        config: &str,
        credentials: &str,
    ) -> (tempfile::TempDir, BTreeMap<String, String>) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
        let path = home.path().to_str().unwrap().to_owned();
        (home, BTreeMap::from([("HOME".to_owned(), path)]))
    }

    const CONFIG: &str = "\
[default]
region = eu-north-1

[profile lake]
region = ap-south-1
endpoint_url = http://127.0.0.1:9

[profile asked]
credential_process = printf '{\"Version\": 1, \"AccessKeyId\": \"PK\", \"SecretAccessKey\": \"PS\", \"SessionToken\": \"PT\"}'
";

    #[tokio::test]
    async fn profiles_give_region_endpoint_and_keys() {
        let keys = "[default]\naws_access_key_id = DK\naws_secret_access_key = DS\n\n\
                    [lake]\naws_access_key_id = LK\naws_secret_access_key = LS\n";
        let (_home, mut settings) = home(CONFIG, keys);
        let default = Profile::load(&settings).await;
        assert_eq!(default.region.as_deref(), Some("eu-north-1"));
        assert_eq!(default.endpoint, None);
        let found = default.credentials().get_credential().await.unwrap();
        assert_eq!((&*found.key_id, &*found.secret_key), ("DK", "DS"));
        settings.insert("AWS_PROFILE".to_owned(), "lake".to_owned());
        let lake = Profile::load(&settings).await;
        assert_eq!(lake.region.as_deref(), Some("ap-south-1"));
        assert_eq!(lake.endpoint.as_deref(), Some("http://127.0.0.1:9"));
        let found = lake.credentials().get_credential().await.unwrap();
        assert_eq!((&*found.key_id, &*found.secret_key), ("LK", "LS"));
    }

    #[tokio::test]
    async fn a_home_without_files_says_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap().to_owned();
        let settings = BTreeMap::from([("HOME".to_owned(), path)]);
        let profile = Profile::load(&settings).await;
        assert_eq!((profile.region, profile.endpoint), (None, None));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_process_gives_keys() {
        let (_home, mut settings) = home(CONFIG, "");
        settings.insert("AWS_PROFILE".to_owned(), "asked".to_owned());
        let profile = Profile::load(&settings).await;
        let found = profile.credentials().get_credential().await.unwrap();
        assert_eq!((&*found.key_id, found.token.as_deref()), ("PK", Some("PT")));
    }
}
