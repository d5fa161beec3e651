//! The rules: lines of CSV, the first that holds for a visit says where it comes from.

use std::fmt;

use datafusion::common::HashMap;
use md5::{Digest, Md5};

use super::channel::Class;
use super::host;
use super::line::{Lines, Referrer, Rule};
use super::visit::Visit;
use crate::csv::{CsvError, parse_csv};

/// The rules that this package brings: `sql/seeds/traffic_source_rules.csv`.
const EMBEDDED: &str = include_str!("../../../sql/seeds/traffic_source_rules.csv");

/// What is wrong with a text of rules, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {message}", .column.as_ref().map(|c| format!(", column `{c}`")).unwrap_or_default())]
pub struct TrafficSourceRulesError {
    /// The line, from 1.
    pub line: usize,
    /// The name of the column, where one is to blame.
    pub column: Option<String>,
    /// What was found and what was expected.
    pub message: String,
}

impl From<CsvError> for TrafficSourceRulesError {
    fn from(error: CsvError) -> Self {
        Self {
            line: error.line,
            column: None,
            message: error.message,
        }
    }
}

/// The rules of `traffic_source`, in their order.
///
/// A line has an `id`; patterns for the URL's query `parameter`s, for `utm_source`,
/// `utm_medium`, `utm_campaign` and for the `referrer`'s host, all of which must hold (a blank
/// one always does); the `source`, `medium` and `confidence` (high, medium, low) that follow;
/// and the `class` of site that the source is, `also` known as other names. Patterns are in
/// any case, `*` stands for anything and `|` parts alternatives. A rule without any pattern
/// holds for every visit: it is the last.
#[derive(Clone)]
pub struct TrafficSourceRules {
    rules: Vec<Rule>,
    /// Rules that name hosts, by what names them, in their order.
    by_host: HashMap<String, Vec<usize>>,
    /// All others, in their order.
    others: Vec<usize>,
    /// What kind of site a source is, by all its names.
    classes: HashMap<String, Class>,
    /// The line of the rule that holds for every visit.
    last: Option<usize>,
    fingerprint: String,
}

impl TrafficSourceRules {
    /// The rules that `csv` lists: a header and a rule a line, parted by commas.
    ///
    /// ```
    /// use datafusion_sessionize::functions::TrafficSourceRules;
    ///
    /// let rules = "id,referrer,source,medium,confidence\nintranet,wiki.example,wiki,referral,sure\n";
    /// let error = TrafficSourceRules::parse(rules).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "line 2, column `confidence`: found `sure`; expected one of high, medium, low"
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// A line that is no rule, with its number and the column.
    pub fn parse(csv: &str) -> Result<Self, TrafficSourceRulesError> {
        let lines = Lines::try_new(parse_csv(csv, ',')?)?;
        let mut found = Self {
            rules: Vec::new(),
            by_host: HashMap::new(),
            others: Vec::new(),
            classes: HashMap::new(),
            last: None,
            fingerprint: fingerprint(csv),
        };
        let mut seen = HashMap::new();
        for rule in lines.rules() {
            let (line, rule) = rule?;
            if let Some(first) = seen.insert(rule.id.clone(), line) {
                return Err(TrafficSourceRulesError {
                    line,
                    column: Some("id".to_owned()),
                    message: format!("`{}` is also the id of line {first}", rule.id),
                });
            }
            if let Some(last) = found.last {
                return Err(TrafficSourceRulesError {
                    line,
                    column: Some("id".to_owned()),
                    message: format!(
                        "`{}` can never hold: line {last} has no pattern, so that it holds \
                         for every visit; expected that line to be the last",
                        rule.id
                    ),
                });
            }
            found.last = rule.always_holds().then_some(line);
            found.push(rule);
        }
        Ok(found)
    }

    /// The rules that this package brings.
    ///
    /// # Errors
    ///
    /// None, unless the package was built with a broken file.
    pub fn embedded() -> Result<Self, TrafficSourceRulesError> {
        Self::parse(EMBEDDED)
    }

    /// Whether the last rule holds for every visit. Else those that none fits have the
    /// source and medium `(not set)`.
    pub fn decide_every_visit(&self) -> bool {
        self.last.is_some()
    }

    /// A short text that differs where the rules do.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn push(&mut self, rule: Rule) {
        let index = self.rules.len();
        match &rule.referrer {
            Referrer::Hosts(hosts) => {
                for host in hosts {
                    let rules = self.by_host.entry(host.clone()).or_default();
                    rules.push(index);
                }
            }
            _ => self.others.push(index),
        }
        if let Some(class) = rule.class {
            for name in rule.names() {
                self.classes.entry(name).or_insert(class);
            }
        }
        self.rules.push(rule);
    }

    /// The first rule that holds.
    pub(super) fn find(&self, visit: &Visit<'_>) -> Option<&Rule> {
        let by_host = self.first_by_host(visit);
        let end = by_host.unwrap_or(self.rules.len());
        let others = self.others.iter().copied().take_while(|at| *at < end);
        let mut others = others.filter(|at| self.rules[*at].holds(visit));
        others.next().or(by_host).map(|at| &self.rules[at])
    }

    fn first_by_host(&self, visit: &Visit<'_>) -> Option<usize> {
        let keys = host::keys(visit.referrer.as_deref()?);
        let named = keys.iter().filter_map(|key| self.by_host.get(key));
        let holding = named.filter_map(|rules| {
            let mut rules = rules.iter().copied();
            rules.find(|at| self.rules[*at].holds(visit))
        });
        holding.min()
    }

    /// The kind of site that a source, in lower case, is.
    pub(super) fn class(&self, source: &str) -> Option<Class> {
        let source = host::without_www(source);
        if let Some(class) = self.classes.get(source) {
            return Some(*class);
        }
        if !source.contains('.') {
            return None;
        }
        let host = host::in_ascii(source)?;
        let mut keys = host::keys(&host).into_iter();
        keys.find_map(|key| self.classes.get(&key).copied())
    }
}

impl fmt::Debug for TrafficSourceRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficSourceRules")
            .field("rules", &self.rules.len())
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

fn fingerprint(csv: &str) -> String {
    let hash = Md5::digest(csv.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rand::prelude::*;
    use rand_chacha::ChaCha8Rng;

    use super::super::visit::Given;
    use super::*;

    /// The first rule that holds, tried one after the other.
    fn one_by_one<'a>(
        rules: &'a TrafficSourceRules,
        visit: &Visit<'_>,
    ) -> Option<&'a str> {
        let keys = visit
            .referrer
            .as_deref()
            .map(host::keys)
            .unwrap_or_default();
        let holds = |rule: &&Rule| {
            let named = match &rule.referrer {
                Referrer::Hosts(hosts) => hosts.iter().any(|host| keys.contains(host)),
                _ => true,
            };
            named && rule.holds(visit)
        };
        rules.rules.iter().find(holds).map(|rule| rule.id.as_str())
    }

    #[test]
    fn the_index_finds_what_a_loop_finds() {
        const PATTERNS: [&str; 6] = ["", "", "*", "a*", "b|c", "*p*"];
        const VALUES: [&str; 6] = ["", "a", "b", "cpc", "paid", "A"];
        const HOSTS: [&str; 9] = [
            "",
            "*",
            "{own_domain}",
            "x.example",
            "*.x.example",
            "x.*",
            "y.co.uk|*.y.*",
            "*.example",
            "x.example|y.*",
        ];
        const REFERRERS: [&str; 7] = [
            "",
            "https://x.example/",
            "https://a.x.example/",
            "https://www.y.co.uk/",
            "https://a.b.y.co.uk",
            "https://x.de/?q",
            "none",
        ];
        for seed in 0..200 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut one = |of: &[&'static str]| of[random.random_range(0..of.len())];
            let mut csv =
                "id,parameter,utm_source,utm_medium,referrer,source,medium,confidence\n"
                    .to_owned();
            for id in 0..12 {
                let patterns =
                    [&PATTERNS[..], &PATTERNS, &PATTERNS, &HOSTS].map(&mut one);
                let line = format!("r{id},{},s,m,low\n", patterns.join(","));
                // nothing may follow a rule that holds for every visit
                if TrafficSourceRules::parse(&format!("{csv}{line}")).is_ok() {
                    csv += &line;
                }
            }
            let rules = TrafficSourceRules::parse(&csv).unwrap();
            for _ in 0..60 {
                let url = format!(
                    "https://www.x.example/?{}=1&b={}",
                    one(&VALUES),
                    one(&VALUES)
                );
                let given = Given {
                    url: Some(&url),
                    referrer: Some(one(&REFERRERS)),
                    utm_source: Some(one(&VALUES)),
                    utm_medium: Some(one(&VALUES)),
                    utm_campaign: None,
                };
                let visit = Visit::new(given, &[]);
                let found = rules.find(&visit).map(|rule| rule.id.as_str());
                assert_eq!(
                    found,
                    one_by_one(&rules, &visit),
                    "seed {seed}: {given:?}\n{csv}"
                );
            }
        }
    }
}
