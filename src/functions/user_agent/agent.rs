//! One user agent string -> what it says: the rules of `rules/`, compiled once a process.

use std::sync::LazyLock;

use datafusion::common::{Result, internal_err};
use ua_parser::{Extractor, Regexes, device};

use super::category::category;

const UAP_CORE: &str = include_str!("rules/uap_core.json");
const CRAWLERS: &str = include_str!("rules/crawlers.txt");

/// What uap-core calls a family that no rule knows.
const UNKNOWN: &str = "Other";
/// What uap-core calls the device of a crawler.
const SPIDER: &str = "Spider";

/// What one string says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) device: String,
    pub(super) device_category: &'static str,
    pub(super) os: String,
    pub(super) browser: String,
    pub(super) is_bot: bool,
}

struct Rules {
    families: Extractor<'static>,
    crawlers: device::Extractor<'static>,
}

static RULES: LazyLock<std::result::Result<Rules, String>> = LazyLock::new(|| {
    let families: Regexes<'static> = serde_json::from_str(UAP_CORE)
        .map_err(|error| format!("uap_core.json: {error}"))?;
    let families = Extractor::try_from(families)
        .map_err(|error| format!("uap_core.json: {error:?}"))?;
    let patterns = CRAWLERS.lines().map(|pattern| device::Parser {
        regex: pattern.into(),
        device_replacement: Some(SPIDER.into()),
        ..device::Parser::default()
    });
    let crawlers = device::Builder::new()
        .push_all(patterns)
        .map_err(|error| format!("crawlers.txt: {error:?}"))?
        .build()
        .map_err(|error| format!("crawlers.txt: {error:?}"))?;
    Ok(Rules { families, crawlers })
});

impl Agent {
    /// What `text` says.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let rules = match &*RULES {
            Ok(rules) => rules,
            Err(error) => return internal_err!("rules of `user_agent`: {error}"),
        };
        let (browser, os, device) = rules.families.extract(text);
        let browser = family(browser.map(|found| found.family.into_owned()));
        let os = family(os.map(|found| found.os.into_owned()));
        let device = family(device.map(|found| found.device.into_owned()));
        let is_bot = device == SPIDER || rules.crawlers.extract(text).is_some();
        let device_category = if is_bot {
            "bot"
        } else {
            category(text, &device, &os)
        };
        Ok(Self {
            device,
            device_category,
            os,
            browser,
            is_bot,
        })
    }
}

fn family(found: Option<String>) -> String {
    let found = found.filter(|family| !family.is_empty());
    found.unwrap_or_else(|| UNKNOWN.to_owned())
}
