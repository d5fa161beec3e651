//! Azure Blob Storage and Data Lake Storage.
//!
//! `az://container/path` with the account in `AZURE_STORAGE_ACCOUNT_NAME`, or
//! `abfss://container@account.dfs.core.windows.net/path`. Settings are Azure's variables: keys, shared access
//! signatures, a connection string, a service principal, a managed identity, `az login`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use object_store::ObjectStore;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use url::Url;

use super::failure::Words;
use super::remote::{Remote, client, retry};
use super::{Scheme, authority};

pub(super) const SCHEME: Scheme = Scheme {
    names: &["az", "abfss", "abfs", "azure"],
    read_only: false,
    open,
};

static WORDS: Words = Words {
    container: "container",
    place: "check the container's name, and the account: `AZURE_STORAGE_ACCOUNT_NAME`",
    credentials: "check `AZURE_STORAGE_ACCOUNT_KEY` or `AZURE_STORAGE_SAS_TOKEN`; \
                  `AZURE_USE_AZURE_CLI=true` takes those of `az login`, \
                  `AZURE_SKIP_SIGNATURE=true` reads public containers without any",
    permission: "reading needs the role Storage Blob Data Reader, writing Storage Blob Data \
                 Contributor",
};

/// Names that other tools have for what is known under another one.
const ALIASES: &[(&str, &str)] = &[
    ("azure_storage_account", "azure_storage_account_name"),
    ("azure_storage_key", "azure_storage_account_key"),
    ("identity_endpoint", "azure_identity_endpoint"),
];

fn open(url: &Url, settings: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>> {
    if url.host_str().is_none_or(str::is_empty) {
        return plan_err!("`{url}` names no container; expected `az://container/path`");
    }
    let builder = configured(settings).with_url(url.as_str());
    match builder.build() {
        Ok(store) => Ok(Arc::new(Remote::of(
            authority(url),
            &WORDS,
            Arc::new(store),
        ))),
        Err(e) if e.to_string().contains("Account must be specified") => plan_err!(
            "`{url}`: the storage account is not known; set `AZURE_STORAGE_ACCOUNT_NAME`, or write `abfss://container@account.dfs.core.windows.net/path`"
        ),
        Err(e) => Err(e.into()),
    }
}

fn configured(settings: &BTreeMap<String, String>) -> MicrosoftAzureBuilder {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let connection = settings.get("AZURE_STORAGE_CONNECTION_STRING");
    known.extend(
        connection
            .map(|text| of_connection(text))
            .unwrap_or_default(),
    );
    for (name, value) in settings.iter().filter(|(_, value)| !value.is_empty()) {
        let name = name.to_ascii_lowercase();
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        if let Some((_, name)) = alias {
            known
                .entry((*name).to_owned())
                .or_insert_with(|| value.clone());
        } else if name.starts_with("azure_") {
            known.insert(name, value.clone());
        }
    }
    let endpoint = known
        .get("azure_storage_endpoint")
        .or_else(|| known.get("azure_endpoint"));
    let plain = endpoint.is_some_and(|e| e.starts_with("http://"));
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(client().with_allow_http(plain))
        .with_retry(retry());
    for (name, value) in known {
        match AzureConfigKey::from_str(&name) {
            // the URL names it
            Ok(AzureConfigKey::ContainerName) | Err(_) => {}
            Ok(key) => builder = builder.with_config(key, value),
        }
    }
    builder
}

/// The parts of a connection string, under the names of their own settings.
fn of_connection(text: &str) -> BTreeMap<String, String> {
    let parts = text.split(';').filter_map(|part| part.split_once('='));
    let parts = parts.filter_map(|(name, value)| {
        let name = match name.trim().to_ascii_lowercase().as_str() {
            "accountname" => "azure_storage_account_name",
            "accountkey" => "azure_storage_account_key",
            "sharedaccesssignature" => "azure_storage_sas_token",
            "blobendpoint" => "azure_storage_endpoint",
            "usedevelopmentstorage" => "azure_storage_use_emulator",
            _ => return None,
        };
        Some((name.to_owned(), value.trim().to_owned()))
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(settings: &[(&str, &str)], key: &AzureConfigKey) -> Option<String> {
        let settings = settings.iter();
        let settings = settings.map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        configured(&settings.collect()).get_config_value(key)
    }

    #[test]
    fn settings_have_the_names_of_the_tools() {
        let account = AzureConfigKey::AccountName;
        for name in ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"] {
            assert_eq!(value(&[(name, "a")], &account).as_deref(), Some("a"));
        }
        let text = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5Pw==;\
                    EndpointSuffix=core.windows.net";
        let text = [("AZURE_STORAGE_CONNECTION_STRING", text)];
        assert_eq!(value(&text, &account).as_deref(), Some("acc"));
        let key = value(&text, &AzureConfigKey::AccessKey);
        assert_eq!(key.as_deref(), Some("a2V5Pw=="));
    }

    #[test]
    fn urls_name_the_container_and_may_name_the_account() {
        let none = BTreeMap::new();
        let open = |url: &str| open(&Url::parse(url).unwrap(), &none);
        let error = open("az://lake/events").unwrap_err().to_string();
        assert!(error.contains("AZURE_STORAGE_ACCOUNT_NAME"), "{error}");
        assert!(open("abfss://lake@account.dfs.core.windows.net/events").is_ok());
        assert!(open("az:///events").is_err());
    }
}
