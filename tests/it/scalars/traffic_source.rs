//! `traffic_source` against a table of cases, one a row, written from the published
//! definitions; and with rules of one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array,
};
use datafusion::arrow::compute::{cast, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::DataType;
use datafusion::prelude::{CsvReadOptions, SessionContext};
use datafusion_sessionize::functions::{TrafficSourceRules, traffic_source_with};
use datafusion_sessionize::{SessionizeExt, SessionizeSqlExt};

use super::answers;

const RESULTS: [&str; 6] = [
    "source",
    "medium",
    "campaign",
    "channel",
    "rule",
    "confidence",
];

/// The cases, all columns being text.
async fn cases() -> RecordBatch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/traffic_source_cases.csv");
    let path = path.to_string_lossy().into_owned();
    let options = CsvReadOptions::new().schema_infer_max_records(0);
    let rows = SessionContext::new().read_csv(path, options).await.unwrap();
    let batches = rows.collect().await.unwrap();
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    let fields = all.schema();
    let columns = fields.fields().iter().zip(all.columns());
    let columns = columns.map(|(field, column)| {
        (field.name(), cast(column, &DataType::Utf8).unwrap(), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn text<'a>(batch: &'a RecordBatch, column: &str, row: usize) -> Option<&'a str> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

/// The rows of `cases` by their literal arguments.
fn by_literals(cases: &RecordBatch) -> BTreeMap<(String, String), RecordBatch> {
    let mut rows: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for row in 0..cases.num_rows() {
        let literal = |column| match text(cases, column, row) {
            Some(value) => format!("'{value}'"),
            None => "NULL".to_owned(),
        };
        let key = (literal("own_domains"), literal("fbclid_alone"));
        rows.entry(key)
            .or_default()
            .push(u32::try_from(row).unwrap());
    }
    rows.into_iter()
        .map(|(key, rows)| {
            (
                key,
                take_record_batch(cases, &UInt32Array::from(rows)).unwrap(),
            )
        })
        .collect()
}

fn differences(cases: &RecordBatch, found: &RecordBatch) -> Vec<String> {
    let found = found.column(0).as_struct();
    let mut wrong = Vec::new();
    for row in 0..cases.num_rows() {
        for (index, name) in RESULTS.iter().enumerate() {
            let column = found.column(index).as_string::<i32>();
            let found = column.is_valid(row).then(|| column.value(row));
            let expected = text(cases, name, row);
            if found != expected {
                let about = text(cases, "about", row).unwrap_or_default();
                wrong.push(format!("{about}: {name} is {found:?}, not {expected:?}"));
            }
        }
    }
    wrong
}

#[tokio::test]
async fn every_case_is_as_published() {
    let cases = cases().await;
    assert!(cases.num_rows() >= 150, "{} cases", cases.num_rows());
    let mut wrong = Vec::new();
    for ((own, alone), cases) in by_literals(&cases) {
        let sql = format!(
            "SELECT traffic_source(url, referrer, utm_source, utm_medium, utm_campaign, \
             own_domains => {own}, fbclid_alone => {alone}) FROM rows"
        );
        let columns = [
            "url",
            "referrer",
            "utm_source",
            "utm_medium",
            "utm_campaign",
        ];
        let columns =
            columns.map(|name| (name, Arc::clone(cases.column_by_name(name).unwrap())));
        let found = answers(&sql, columns.to_vec(), cases.num_rows()).await;
        wrong.extend(differences(&cases, &found[0]));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_cases_reach_every_channel_and_every_rule_that_is_no_site() {
    let cases = cases().await;
    let all = |column: &str| -> BTreeSet<String> {
        let values = (0..cases.num_rows()).filter_map(|row| text(&cases, column, row));
        values.map(str::to_owned).collect()
    };
    let channels = all("channel");
    assert_eq!(channels.len(), 20, "{channels:?}");
    let rules = all("rule");
    let listed = include_str!("../../../sql/seeds/traffic_source_rules.csv");
    let ids = listed
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').next());
    for id in ids.filter(|id| !id.starts_with("referrer_")) {
        assert!(rules.contains(id), "no case reaches the rule `{id}`");
    }
}

/// Hosts, names and rules of the embedded list: each site is found by each of its hosts.
#[tokio::test]
async fn every_site_is_found_by_each_of_its_hosts() {
    let listed = include_str!("../../../sql/seeds/traffic_source_rules.csv");
    let mut hosts = Vec::new();
    let mut expected = Vec::new();
    for line in listed.lines().skip(1) {
        let fields: Vec<_> = line.split(',').collect();
        if !fields[0].starts_with("referrer_") {
            continue;
        }
        for host in fields[5].split('|') {
            let host = host.replace("*.", "some.").replace(".*", ".co.uk");
            hosts.push(format!("https://www.{host}/x"));
            expected.push(fields[0]);
        }
    }
    let referrers: ArrayRef = Arc::new(StringArray::from(hosts.clone()));
    let sql = "SELECT traffic_source(NULL, r, NULL, NULL, NULL)['rule'] FROM rows";
    let found = answers(sql, vec![("r", referrers)], hosts.len()).await;
    let found = found[0].column(0).as_string::<i32>();
    let wrong: Vec<_> = (0..hosts.len())
        .filter(|at| found.value(*at) != expected[*at])
        .map(|at| format!("{}: {}, not {}", hosts[at], found.value(at), expected[at]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn rules_of_ones_own_replace_those_that_are_there() {
    let rules = "id,referrer,source,medium,confidence\n\
                 wiki,wiki.example|*.wiki.example,wiki,Docs,high\n\
                 any,*,{referrer},found,low\n";
    let rules = TrafficSourceRules::parse(rules).unwrap();
    let context = SessionContext::new().with_sessionize();
    context.register_udf(traffic_source_with(rules));
    let sql = "SELECT t['source'], t['medium'], t['channel'], t['rule'], t['confidence'] \
               FROM (SELECT traffic_source('https://shop.example/?gclid=1', r, NULL, NULL, \
               NULL) AS t FROM (VALUES ('https://de.wiki.example/'), \
               ('https://www.google.com/'), (NULL)) AS e(r))";
    let found = context.sessionize_sql(sql).await.unwrap();
    let found = found.collect().await.unwrap();
    let row = |row: usize| {
        let columns = found[0].columns().iter().map(|c| c.as_string::<i32>());
        let values = columns.map(|c| c.is_valid(row).then(|| c.value(row).to_owned()));
        values
            .map(Option::unwrap_or_default)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(row(0), "wiki docs Unassigned wiki high");
    assert_eq!(row(1), "google.com found Organic Search any low");
    assert_eq!(row(2), "(not set) (not set) Unassigned  low");
}

#[tokio::test]
async fn hosts_of_rules_are_written_in_any_way() {
    let rules = "id,referrer,source,medium,confidence\n\
                 www,WWW.Wiki.example,wiki,a,low\n\
                 idn,bücher.example|*.bücher.example,books,b,low\n";
    let rules = TrafficSourceRules::parse(rules).unwrap();
    assert!(!rules.decide_every_visit());
    let context = SessionContext::new().with_sessionize();
    context.register_udf(traffic_source_with(rules));
    for (referrer, rule) in [
        ("https://wiki.example/", "www"),
        ("https://www.wiki.example/", "www"),
        ("https://xn--bcher-kva.example/", "idn"),
        ("https://www.bücher.example/", "idn"),
        ("https://a.BÜCHER.example/", "idn"),
    ] {
        let sql = format!(
            "SELECT traffic_source(NULL, '{referrer}', NULL, NULL, NULL)['rule'] = '{rule}'"
        );
        let found = context.sessionize_sql(&sql).await.unwrap();
        let found = found.collect().await.unwrap();
        assert!(found[0].column(0).as_boolean().value(0), "{referrer}");
    }
}

#[tokio::test]
async fn other_names_of_a_source_are_hosts_too() {
    let rules = "id,utm_source,source,medium,confidence,class,also\n\
                 finder,*,{utm_source},cpc,low,search,www.finder.example\n";
    let rules = TrafficSourceRules::parse(rules).unwrap();
    let context = SessionContext::new().with_sessionize();
    context.register_udf(traffic_source_with(rules));
    for source in ["finder.example", "www.finder.example"] {
        let sql = format!(
            "SELECT traffic_source(NULL, NULL, '{source}', NULL, NULL)['channel'] = 'Paid Search'"
        );
        let found = context.sessionize_sql(&sql).await.unwrap();
        let found = found.collect().await.unwrap();
        assert!(found[0].column(0).as_boolean().value(0), "{source}");
    }
}

#[test]
fn the_rules_of_the_package_decide_every_visit() {
    assert!(TrafficSourceRules::embedded().unwrap().decide_every_visit());
}

#[test]
fn a_wrong_line_is_named_with_its_column() {
    for (lines, expected) in [
        ("", "line 1: expected a header line, found an empty file"),
        (
            "id,source,medium\n",
            "line 1: the column `confidence` is missing; expected id, ",
        ),
        (
            "id,source,medium,confidence,host\n",
            "line 1: unknown column `host`; expected id, source, medium, confidence and, \
             if needed, parameter, ",
        ),
        (
            "id,source,medium,confidence\na,b,c,high\nb,c,d\n",
            "line 3: expected 4 fields as in the header, found 3",
        ),
        (
            "id,source,medium,confidence\na,b,c,sure\n",
            "line 2, column `confidence`: found `sure`; expected one of high, medium, low",
        ),
        (
            "id,source,medium,confidence\na,,c,low\n",
            "line 2, column `source`: it is blank; expected a text",
        ),
        (
            "id,source,medium,confidence\n,b,c,low\n",
            "line 2, column `id`: it is blank; expected a text",
        ),
        (
            "id,source,medium,confidence,parameter\na,b,c,low,x\n\na,b,c,low,\n",
            "line 4, column `id`: `a` is also the id of line 2",
        ),
        (
            "id,source,medium,confidence\na,{utm_source},c,low\n",
            "line 2, column `source`: found `{utm_source}`; expected a pattern in the \
             column `utm_source` too",
        ),
        (
            "id,source,medium,confidence\na,b,x{y},low\n",
            "line 2, column `medium`: found `x{y}`; expected a text, or one of ",
        ),
        (
            "id,source,medium,confidence,referrer\na,b,c,low,x.example|https://y.example\n",
            "line 2, column `referrer`: found `https://y.example`; expected hosts such as ",
        ),
        (
            "id,source,medium,confidence,class\na,b,c,low,shops\n",
            "line 2, column `class`: found `shops`; expected one of search, social, ",
        ),
    ] {
        let error = TrafficSourceRules::parse(lines).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{lines}: {error}");
    }
}

#[test]
fn a_line_that_can_never_hold_is_refused() {
    for (lines, expected) in [
        (
            "id,source,medium,confidence\nall,b,c,low\nwiki,b,c,low\n",
            "line 3, column `id`: `wiki` can never hold: line 2 has no pattern, so that it \
             holds for every visit; expected that line to be the last",
        ),
        (
            "id,source,medium,confidence,referrer\na,b,c,low,www.*\n",
            "line 2, column `referrer`: found `www.*`; expected hosts such as ",
        ),
    ] {
        let error = TrafficSourceRules::parse(lines).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{lines}: {error}");
    }
}
