//! `traffic_source`.
//!
//! ```text
//! row -> visit --rules (lines, by host)--> source, medium, confidence --channel--> struct
//! ```

mod channel;
mod host;
mod line;
mod pattern;
mod rules;
mod visit;

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, StringBuilder, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use self::line::{Output, Rule};
use self::visit::{Given, Visit};
use super::arguments::{refuse, wrong_count};
use super::named_arguments::Optional;
use super::{docs, scalar};

pub use rules::{TrafficSourceRules, TrafficSourceRulesError};

const NAME: &str = "traffic_source";
const ARGUMENTS: [&str; 7] = [
    "url",
    "referrer",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "own_domains",
    "fbclid_alone",
];
const FIELDS: [&str; 6] = [
    "source",
    "medium",
    "campaign",
    "channel",
    "rule",
    "confidence",
];
const NOT_SET: &str = "(not set)";

/// How the function may be called.
pub(super) const CALL: Optional = Optional {
    function: NAME,
    names: &ARGUMENTS,
    required: 5,
};

static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
    docs::scalar(
        "Where a visit comes from: `source` and `medium` in lower case, `campaign` as it \
         is, the `channel` (Google Analytics 4's default channel groups), the id of the \
         `rule` that decided, and its `confidence` (high, medium, low). Rules are tried \
         in order: click ids, fbclid, utm, the referrer (a site of its own is internal: \
         direct), direct. They are the lines of `sql/seeds/traffic_source_rules.csv`; a \
         project's own seed of that name replaces them. A null or blank utm argument is \
         read from the URL's query. Never null.",
        "traffic_source(url, referrer, utm_source, utm_medium, utm_campaign \
         [, own_domains, fbclid_alone])",
        &[
            ("url", "The page's URL: text of any layout."),
            ("referrer", "The URL of the page before, or of an app."),
            ("utm_source", "The campaign's source."),
            ("utm_medium", "The campaign's medium."),
            ("utm_campaign", "The campaign's name."),
            (
                "own_domains",
                "Domains whose pages are one's own, with all below them: a literal text, \
                 parted by commas. The page's registrable domain always is. Default: \
                 none.",
            ),
            (
                "fbclid_alone",
                "The medium of a visit with an fbclid, which links in ads and in posts have, \
                 if no paid medium and no source of Meta decides: the literal 'social' or \
                 'paid'. Default 'social'.",
            ),
        ],
        "SELECT t['source'] AS source, t['medium'] AS medium, t['channel'] AS channel, \
         t['rule'] AS rule\n\
         FROM (SELECT traffic_source('https://shop.example/?gclid=x', \
         'https://www.google.com/', NULL, NULL, NULL) AS t);\n\
         +--------+--------+-------------+--------------+\n\
         | source | medium | channel     | rule         |\n\
         +--------+--------+-------------+--------------+\n\
         | google | cpc    | Paid Search | google_gclid |\n\
         +--------+--------+-------------+--------------+",
    )
});

/// The rules that this package brings, or what is wrong with them.
static EMBEDDED: LazyLock<Result<Arc<TrafficSourceRules>, TrafficSourceRulesError>> =
    LazyLock::new(|| TrafficSourceRules::embedded().map(Arc::new));

/// The function `traffic_source` with rules of one's own; registered, it replaces the one
/// with the rules that this package brings.
///
/// ```
/// use datafusion::prelude::SessionContext;
/// use datafusion_sessionize::SessionizeExt;
/// use datafusion_sessionize::functions::{TrafficSourceRules, traffic_source_with};
///
/// let rules = TrafficSourceRules::parse("id,source,medium,confidence\nall,us,house,low\n")?;
/// let context = SessionContext::new().with_sessionize();
/// context.register_udf(traffic_source_with(rules));
/// # Ok::<(), datafusion_sessionize::functions::TrafficSourceRulesError>(())
/// ```
pub fn traffic_source_with(rules: TrafficSourceRules) -> ScalarUDF {
    ScalarUDF::from(TrafficSource::new(Some(Arc::new(rules))))
}

/// The fingerprint of the rules if `function` is `traffic_source`.
#[cfg(feature = "runner")]
pub(crate) fn rules_of(function: &ScalarUDF) -> Option<String> {
    let function = function.inner().downcast_ref::<TrafficSource>()?;
    Some(function.fingerprint().to_owned())
}

/// The function `traffic_source`.
#[derive(Debug)]
pub(super) struct TrafficSource {
    signature: Signature,
    /// `None`: those that this package brings.
    rules: Option<Arc<TrafficSourceRules>>,
}

impl TrafficSource {
    fn new(rules: Option<Arc<TrafficSourceRules>>) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let named = signature.clone().with_parameter_names(ARGUMENTS.to_vec());
        Self {
            signature: named.unwrap_or(signature),
            rules,
        }
    }

    fn rules(&self) -> Result<&TrafficSourceRules> {
        match (&self.rules, &*EMBEDDED) {
            (Some(rules), _) | (None, Ok(rules)) => Ok(rules),
            (None, Err(error)) => internal_err!("rules of `{NAME}`: {error}"),
        }
    }

    fn fingerprint(&self) -> &str {
        self.rules().map_or("", TrafficSourceRules::fingerprint)
    }
}

impl Default for TrafficSource {
    fn default() -> Self {
        Self::new(None)
    }
}

impl PartialEq for TrafficSource {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Eq for TrafficSource {}

impl Hash for TrafficSource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint().hash(state);
    }
}

impl ScalarUDFImpl for TrafficSource {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(coerce(given).unwrap_or_else(|_| given.to_vec()))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        coerce(given).map(|_| DataType::Struct(fields()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types = args.arg_fields.iter().map(|f| f.data_type().clone());
        let returns = self.return_type(&types.collect::<Vec<_>>())?;
        let literal = |at: usize| args.scalar_arguments.get(at).copied().flatten();
        Settings::try_new(literal(5), literal(6))?;
        Ok(Arc::new(Field::new(NAME, returns, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (given, literals) = args.args.split_at(CALL.required.min(args.args.len()));
        let settings = settings(literals)?;
        let texts = given.iter().map(scalar::Text::try_new);
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let is_constant = |text| matches!(text, &scalar::Text::Constant(_));
        let constant = texts.iter().all(is_constant);
        let rows = if constant { 1 } else { args.number_rows };
        let found = decide(self.rules()?, &settings, &texts, rows)?;
        if constant {
            let one = ScalarValue::try_from_array(&found, 0)?;
            return Ok(ColumnarValue::Scalar(one));
        }
        Ok(ColumnarValue::Array(Arc::new(found)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&DOCUMENTATION)
    }
}

fn fields() -> Fields {
    let text = |name: &&str| Field::new(*name, DataType::Utf8, true);
    FIELDS.iter().map(text).collect()
}

fn coerce(given: &[DataType]) -> Result<Vec<DataType>> {
    if given.len() < CALL.required || given.len() > ARGUMENTS.len() {
        return Err(wrong_count(NAME, given.len(), &ARGUMENTS, CALL.required));
    }
    scalar::coerce_texts(NAME, &ARGUMENTS[..given.len()], given)
}

/// The arguments that do not depend on a row.
#[derive(Debug)]
struct Settings {
    own_domains: Vec<String>,
    fbclid_alone: &'static str,
}

impl Settings {
    fn try_new(
        own_domains: Option<&ScalarValue>,
        fbclid_alone: Option<&ScalarValue>,
    ) -> Result<Self> {
        let text = |value: Option<&ScalarValue>| -> Option<String> {
            value?.try_as_str().flatten().map(str::to_owned)
        };
        let fbclid_alone = match text(fbclid_alone).as_deref() {
            None | Some("social") => "social",
            Some("paid") => "paid",
            Some(other) => {
                let accepted = "the literal 'social' or 'paid'";
                let given = format!("'{other}'");
                return Err(refuse(NAME, "fbclid_alone", given, accepted));
            }
        };
        Ok(Self {
            own_domains: own_list(&text(own_domains).unwrap_or_default())?,
            fbclid_alone,
        })
    }
}

fn own_list(text: &str) -> Result<Vec<String>> {
    let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
    let domain = |entry: &str| match host::host_of(&format!("https://{entry}")) {
        Some(host) if !entry.contains(['/', '*', ' ']) => Ok(host),
        _ => {
            let accepted =
                "domains parted by commas, such as 'shop.example, blog.example'";
            Err(refuse(NAME, "own_domains", format!("'{entry}'"), accepted))
        }
    };
    entries.map(domain).collect()
}

fn settings(literals: &[ColumnarValue]) -> Result<Settings> {
    let literal = |at: usize| match literals.get(at) {
        None => Ok(None),
        Some(ColumnarValue::Scalar(value)) => Ok(Some(value)),
        Some(ColumnarValue::Array(array)) if array.data_type().is_null() => Ok(None),
        Some(ColumnarValue::Array(_)) => {
            let name = ARGUMENTS[CALL.required + at];
            plan_err!("`{NAME}`: argument `{name}` is a column; accepted: a literal text")
        }
    };
    Settings::try_new(literal(0)?, literal(1)?)
}

fn decide(
    rules: &TrafficSourceRules,
    settings: &Settings,
    texts: &[scalar::Text],
    rows: usize,
) -> Result<StructArray> {
    let readers: Vec<_> = texts.iter().map(|t| t.reader()).collect::<Result<_>>()?;
    let [url, referrer, utm_source, utm_medium, utm_campaign] = readers.as_slice() else {
        return internal_err!("`{NAME}` has {} texts", readers.len());
    };
    let mut answer = Answer::default();
    for row in 0..rows {
        let given = Given {
            url: url.get(row),
            referrer: referrer.get(row),
            utm_source: utm_source.get(row),
            utm_medium: utm_medium.get(row),
            utm_campaign: utm_campaign.get(row),
        };
        let visit = Visit::new(given, &settings.own_domains);
        answer.push(rules, settings, &visit);
    }
    answer.finish()
}

/// The columns of the result, being written.
#[derive(Debug, Default)]
struct Answer {
    columns: [StringBuilder; 6],
}

impl Answer {
    fn push(&mut self, rules: &TrafficSourceRules, settings: &Settings, visit: &Visit) {
        let rule = rules.find(visit);
        let say = |output: fn(&Rule) -> &Output| match rule.map(output) {
            Some(Output::Text(text)) => text,
            Some(Output::UtmSource) => visit.utm_source.as_deref().unwrap_or(NOT_SET),
            Some(Output::UtmMedium) => visit.utm_medium.as_deref().unwrap_or(NOT_SET),
            Some(Output::Referrer) => visit.referrer.as_deref().unwrap_or(NOT_SET),
            Some(Output::FbclidAlone) => settings.fbclid_alone,
            None => NOT_SET,
        };
        let source = say(|rule| &rule.source);
        let medium = say(|rule| &rule.medium);
        let campaign = visit.campaign_in_lower_case.as_deref();
        // what kind of site it is does not change with the rules
        let embedded = || EMBEDDED.as_ref().ok()?.class(source);
        let class = rules.class(source).or_else(embedded);
        let channel = channel::channel(source, medium, campaign.unwrap_or(""), class);
        let values = [
            Some(source),
            Some(medium),
            visit.campaign.as_deref(),
            Some(channel),
            rule.map(|rule| rule.id.as_str()),
            Some(rule.map_or("low", |rule| rule.confidence)),
        ];
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.append_option(value);
        }
    }

    fn finish(mut self) -> Result<StructArray> {
        let columns = self.columns.iter_mut();
        let columns = columns.map(|column| -> ArrayRef { Arc::new(column.finish()) });
        Ok(StructArray::try_new(fields(), columns.collect(), None)?)
    }
}
