//! What a row says of where a visit comes from, ready for the rules.

use std::borrow::Cow;
use std::cell::OnceCell;

use ::url::form_urlencoded;

use super::host;
use crate::functions::url;

/// The arguments of one row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Given<'a> {
    pub(super) url: Option<&'a str>,
    pub(super) referrer: Option<&'a str>,
    pub(super) utm_source: Option<&'a str>,
    pub(super) utm_medium: Option<&'a str>,
    pub(super) utm_campaign: Option<&'a str>,
}

/// One visit. Source, medium and names of parameters are in lower case.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    parameters: Vec<(String, Cow<'a, str>)>,
    pub(super) utm_source: Option<String>,
    pub(super) utm_medium: Option<String>,
    pub(super) campaign: Option<Cow<'a, str>>,
    pub(super) campaign_in_lower_case: Option<String>,
    /// The referrer's host, without `www.`.
    pub(super) referrer: Option<String>,
    url: Option<&'a str>,
    own_domains: &'a [String],
    internal: OnceCell<bool>,
}

impl<'a> Visit<'a> {
    pub(super) fn new(given: Given<'a>, own_domains: &'a [String]) -> Self {
        let parameters = parameters(given.url.unwrap_or_default());
        let of = |value: Option<&'a str>, name: &str| {
            let value = value.map(Cow::Borrowed).filter(|v| !v.trim().is_empty());
            let of_url = || parameters.iter().find(|(known, _)| known == name);
            value.or_else(|| of_url().map(|(_, value)| value.clone()))
        };
        let lower = |value: &Cow<'a, str>| value.trim().to_lowercase();
        let campaign = of(given.utm_campaign, "utm_campaign");
        Self {
            utm_source: of(given.utm_source, "utm_source").as_ref().map(lower),
            utm_medium: of(given.utm_medium, "utm_medium").as_ref().map(lower),
            campaign_in_lower_case: campaign.as_ref().map(lower),
            campaign,
            referrer: given.referrer.and_then(host::host_of),
            parameters,
            url: given.url,
            own_domains,
            internal: OnceCell::new(),
        }
    }

    /// The names of the query's parameters that have a value.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(name, _)| name.as_str())
    }

    /// Whether the referrer is the page's own site.
    pub(super) fn is_internal(&self) -> bool {
        *self.internal.get_or_init(|| {
            self.referrer.as_deref().is_some_and(|referrer| {
                let page = self.url.and_then(host::host_of);
                host::is_own(referrer, page.as_deref(), self.own_domains)
            })
        })
    }
}

/// The parameters of the query that have a value, decoded.
fn parameters(url: &str) -> Vec<(String, Cow<'_, str>)> {
    let pairs = form_urlencoded::parse(url::query(url).as_bytes());
    let pairs = pairs.filter(|(_, value)| !value.trim().is_empty());
    pairs
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect()
}
