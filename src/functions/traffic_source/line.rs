//! One line of the rules.

use super::channel::Class;
use super::host;
use super::pattern::{Pattern, alternatives};
use super::rules::TrafficSourceRulesError;
use super::visit::Visit;
use crate::csv::CsvTable;

const REQUIRED: [&str; 4] = ["id", "source", "medium", "confidence"];
const OPTIONAL: [&str; 7] = [
    "parameter",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "referrer",
    "class",
    "also",
];
const CONFIDENCE: [&str; 3] = ["high", "medium", "low"];

/// One rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) id: String,
    parameter: Option<Pattern>,
    utm_source: Option<Pattern>,
    utm_medium: Option<Pattern>,
    utm_campaign: Option<Pattern>,
    pub(super) referrer: Referrer,
    pub(super) source: Output,
    pub(super) medium: Output,
    pub(super) confidence: &'static str,
    pub(super) class: Option<Class>,
    also: Vec<String>,
}

/// What a rule asks of the referrer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Referrer {
    /// Nothing.
    Ignored,
    /// That there is one.
    Any,
    /// That it is the page's own site.
    Own,
    /// That one of these names its host, see [`host::keys`].
    Hosts(Vec<String>),
}

/// What a rule says of source or medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    Text(String),
    UtmSource,
    UtmMedium,
    /// The referrer's host.
    Referrer,
    /// The argument `fbclid_alone`.
    FbclidAlone,
}

impl Rule {
    /// Whether all that it asks for is so, apart from the names of hosts.
    pub(super) fn holds(&self, visit: &Visit<'_>) -> bool {
        let is = |pattern: &Option<Pattern>, value: Option<&str>| match pattern {
            None => true,
            Some(pattern) => value.is_some_and(|value| pattern.matches(value)),
        };
        let parameter = || match &self.parameter {
            None => true,
            Some(pattern) => visit.parameters().any(|name| pattern.matches(name)),
        };
        let referrer = || match self.referrer {
            Referrer::Ignored | Referrer::Hosts(_) => true,
            Referrer::Any => visit.referrer.is_some(),
            Referrer::Own => visit.is_internal(),
        };
        is(&self.utm_source, visit.utm_source.as_deref())
            && is(&self.utm_medium, visit.utm_medium.as_deref())
            && is(&self.utm_campaign, visit.campaign_in_lower_case.as_deref())
            && parameter()
            && referrer()
    }

    /// Whether it asks for nothing.
    pub(super) fn always_holds(&self) -> bool {
        let patterns = [
            &self.parameter,
            &self.utm_source,
            &self.utm_medium,
            &self.utm_campaign,
        ];
        self.referrer == Referrer::Ignored && patterns.iter().all(|p| p.is_none())
    }

    /// All names of the source, without `www.`: what it is called, its hosts, and what it is
    /// also called.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = self.also.clone();
        if let Output::Text(source) = &self.source {
            names.push(source.clone());
        }
        if let Referrer::Hosts(hosts) = &self.referrer {
            names.extend(hosts.iter().cloned());
        }
        for name in &mut names {
            *name = host::without_www(name).to_owned();
        }
        names
    }
}

/// The lines of a CSV with the columns of rules.
#[derive(Debug)]
pub(super) struct Lines {
    table: CsvTable,
}

impl Lines {
    pub(super) fn try_new(table: CsvTable) -> Result<Self, TrafficSourceRulesError> {
        let known = |name: &str| REQUIRED.contains(&name) || OPTIONAL.contains(&name);
        let message = if let Some(unknown) = table.header.iter().find(|n| !known(n)) {
            format!("unknown column `{unknown}`")
        } else if let Some(missing) = REQUIRED
            .iter()
            .find(|n| !table.header.iter().any(|h| h == *n))
        {
            format!("the column `{missing}` is missing")
        } else {
            return Ok(Self { table });
        };
        Err(TrafficSourceRulesError {
            line: 1,
            column: None,
            message: format!(
                "{message}; expected {} and, if needed, {}",
                REQUIRED.join(", "),
                OPTIONAL.join(", ")
            ),
        })
    }

    /// Each rule with its line.
    pub(super) fn rules(
        &self,
    ) -> impl Iterator<Item = Result<(usize, Rule), TrafficSourceRulesError>> {
        self.table.records.iter().map(|(line, fields)| {
            let fields = Fields {
                header: &self.table.header,
                line: *line,
                fields,
            };
            fields.rule().map(|rule| (*line, rule))
        })
    }
}

/// The fields of one line, by name.
struct Fields<'a> {
    header: &'a [String],
    line: usize,
    fields: &'a [Option<String>],
}

impl Fields<'_> {
    fn rule(&self) -> Result<Rule, TrafficSourceRulesError> {
        let pattern = |name| self.get(name).and_then(Pattern::parse);
        Ok(Rule {
            id: self.text("id")?.to_owned(),
            parameter: pattern("parameter"),
            utm_source: pattern("utm_source"),
            utm_medium: pattern("utm_medium"),
            utm_campaign: pattern("utm_campaign"),
            referrer: self.referrer()?,
            source: self.output("source")?,
            medium: self.output("medium")?,
            confidence: self.confidence()?,
            class: self.class()?,
            also: self
                .get("also")
                .map(|also| alternatives(also).collect())
                .unwrap_or_default(),
        })
    }

    fn get(&self, name: &str) -> Option<&str> {
        let at = self.header.iter().position(|column| column == name)?;
        let field = self.fields.get(at)?.as_deref()?.trim();
        (!field.is_empty()).then_some(field)
    }

    fn text(&self, name: &str) -> Result<&str, TrafficSourceRulesError> {
        let message = "it is blank; expected a text";
        self.get(name)
            .ok_or_else(|| self.error(name, message.to_owned()))
    }

    fn error(&self, column: &str, message: String) -> TrafficSourceRulesError {
        TrafficSourceRulesError {
            line: self.line,
            column: Some(column.to_owned()),
            message,
        }
    }

    fn referrer(&self) -> Result<Referrer, TrafficSourceRulesError> {
        match self.get("referrer") {
            None => Ok(Referrer::Ignored),
            Some("*") => Ok(Referrer::Any),
            Some("{own_domain}") => Ok(Referrer::Own),
            Some(text) => {
                let hosts = alternatives(text).map(|host| self.host(&host));
                Ok(Referrer::Hosts(hosts.collect::<Result<_, _>>()?))
            }
        }
    }

    fn host(&self, text: &str) -> Result<String, TrafficSourceRulesError> {
        host::key(text).ok_or_else(|| {
            let message = format!(
                "found `{text}`; expected hosts such as `a.example`, `*.a.example` (below \
                 it) or `a.*` (any public suffix), or else `*` or `{{own_domain}}` alone"
            );
            self.error("referrer", message)
        })
    }

    fn output(&self, name: &str) -> Result<Output, TrafficSourceRulesError> {
        let text = self.text(name)?;
        let (needs, output) = match text {
            "{utm_source}" => ("utm_source", Output::UtmSource),
            "{utm_medium}" => ("utm_medium", Output::UtmMedium),
            "{referrer}" => ("referrer", Output::Referrer),
            "{fbclid_alone}" => return Ok(Output::FbclidAlone),
            text if text.contains(['{', '}']) => {
                return Err(self.error(
                    name,
                    format!(
                        "found `{text}`; expected a text, or one of {{utm_source}}, \
                         {{utm_medium}}, {{referrer}}, {{fbclid_alone}} alone"
                    ),
                ));
            }
            text => return Ok(Output::Text(text.to_lowercase())),
        };
        if self.get(needs).is_none() {
            let message =
                format!("found `{text}`; expected a pattern in the column `{needs}` too");
            return Err(self.error(name, message));
        }
        Ok(output)
    }

    fn confidence(&self) -> Result<&'static str, TrafficSourceRulesError> {
        let text = self.text("confidence")?;
        let known = CONFIDENCE.iter().find(|known| **known == text);
        known.copied().ok_or_else(|| {
            let expected = CONFIDENCE.join(", ");
            let message = format!("found `{text}`; expected one of {expected}");
            self.error("confidence", message)
        })
    }

    fn class(&self) -> Result<Option<Class>, TrafficSourceRulesError> {
        let Some(text) = self.get("class") else {
            return Ok(None);
        };
        let class = Class::parse(text).ok_or_else(|| {
            let message = format!("found `{text}`; expected one of {}", Class::NAMES);
            self.error("class", message)
        });
        class.map(Some)
    }
}
