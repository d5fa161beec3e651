//! The proposal as files: `sources.yml`, and a model that gives the columns the pack's names
//! where they have others.

use std::path::Path;

use datafusion::arrow::datatypes::DataType;
use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};
use serde_json::json;

use super::super::files::{Files, PROJECT_FILE};
use super::look::{Column, SECONDS, Time};
use super::propose::{Pack, Proposal, named};
use super::roles::Role;

/// Where the pack's source ends up.
const SOURCES: &str = "models/sources.yml";

/// What a pack reads: source and table, the variable of its location, and the model that may
/// stand before it.
struct Reads {
    source: &'static str,
    table: &'static str,
    variable: &'static str,
    model: &'static str,
}

fn reads(pack: Pack) -> Reads {
    match pack {
        Pack::Events => Reads {
            source: "events",
            table: "raw_events",
            variable: "events_table",
            model: "input_events",
        },
        Pack::Segment => Reads {
            source: "segment",
            table: "pages",
            variable: "segment_page_views_table",
            model: "input_pages",
        },
    }
}

/// The pack's columns and what each is made of.
fn targets(pack: Pack) -> &'static [(&'static str, Role)] {
    match pack {
        Pack::Events => &[
            ("messageId", Role::EventId),
            ("type", Role::EventType),
            ("event", Role::EventName),
            ("userId", Role::UserId),
            ("anonymousId", Role::AnonymousId),
            ("timestamp", Role::Time),
        ],
        Pack::Segment => &[
            ("id", Role::EventId),
            ("anonymous_id", Role::AnonymousId),
            ("user_id", Role::UserId),
            ("received_at", Role::ReceivedAt),
            ("sent_at", Role::SentAt),
            ("timestamp", Role::Time),
            ("url", Role::Url),
            ("path", Role::Path),
            ("title", Role::Title),
            ("search", Role::Search),
            ("referrer", Role::Referrer),
            ("context_campaign_source", Role::CampaignSource),
            ("context_campaign_medium", Role::CampaignMedium),
            ("context_campaign_name", Role::CampaignName),
            ("context_campaign_term", Role::CampaignTerm),
            ("context_campaign_content", Role::CampaignContent),
            ("context_ip", Role::Ip),
            ("context_user_agent", Role::UserAgent),
        ],
    }
}

/// What the pack reads a column as, and why.
pub(super) fn read_as(
    index: usize,
    columns: &[Column],
    proposal: &Proposal,
) -> (Option<String>, String) {
    let targets = targets(proposal.pack);
    let read = targets.iter().find_map(|(target, role)| {
        if proposal.direct {
            let why = "the name the pack reads".to_owned();
            return (named(columns, target) == Some(index)).then_some((*target, why));
        }
        let choice = proposal.roles.get(role)?;
        (choice.column == index).then(|| (*target, choice.why.clone()))
    });
    if let Some((target, why)) = read {
        return (Some(target.to_owned()), why);
    }
    if proposal.pack == Pack::Segment {
        return (None, "the pack does not read it".to_owned());
    }
    let column = &columns[index];
    let name = &column.name;
    if targets.iter().any(|(t, _)| t.eq_ignore_ascii_case(name)) {
        let why = "the pack has another column of that name".to_owned();
        return (Some(renamed(name, columns)), why);
    }
    let why = match column.data_type {
        DataType::Binary => "further fields are kept, bytes as hexadecimal digits",
        _ => "further fields are kept",
    };
    (Some(name.clone()), why.to_owned())
}

/// A name for a column whose own is taken, which no other column has.
fn renamed(name: &str, columns: &[Column]) -> String {
    let mut renamed = format!("source_{name}");
    while columns
        .iter()
        .any(|c| c.name.eq_ignore_ascii_case(&renamed))
    {
        renamed.insert_str(0, "source_");
    }
    renamed
}

/// The pack's files over the files at `location`.
pub(super) fn over(
    mut files: Files,
    location: &str,
    columns: &[Column],
    proposal: &Proposal,
) -> Result<Files> {
    let pack = proposal.pack.name();
    let reads = reads(proposal.pack);
    let own = format!("models/{pack}/_{pack}__sources.yml");
    let source = files.text(Path::new(&own)).map(str::to_owned);
    let project = files.text(Path::new(PROJECT_FILE)).map(str::to_owned);
    let (Some(source), Some(project)) = (source, project) else {
        return Err(broken(&format!("`{own}` is not in the package")));
    };
    files.0.remove(Path::new(&own));
    let line = format!("  {}: ", reads.variable);
    let Some(default) = project.lines().find(|l| l.starts_with(&line)) else {
        let message = format!("`{PROJECT_FILE}` has no `{}`", reads.variable);
        return Err(broken(&message));
    };
    let set = format!("{line}{}", json!(location));
    files.put(PROJECT_FILE, project.replace(default, &set));
    let sample = Path::new("data").join(pack);
    files.0.retain(|path, _| !path.starts_with(&sample));
    if !files
        .0
        .keys()
        .any(|p| p.starts_with("data") && !p.ends_with("README.md"))
    {
        files.0.remove(Path::new("data/README.md"));
    }
    if proposal.direct {
        files.put(SOURCES, source);
        return Ok(files);
    }
    files.put(SOURCES, sources(&reads, columns, proposal));
    let call = format!("source('{}', '{}')", reads.source, reads.table);
    let instead = format!("ref('{}')", reads.model);
    for folder in ["models", "macros"] {
        files.change(folder, |text| text.replace(&call, &instead));
    }
    let model = format!("models/{pack}/{}.sql", reads.model);
    files.put(model, staging(columns, proposal));
    Ok(files)
}

fn broken(message: &str) -> RunnerError {
    RunnerError::new(ErrorKind::Internal, message)
}

/// The property file of the input: every column with a sample; those that are read must be
/// there.
fn sources(reads: &Reads, columns: &[Column], proposal: &Proposal) -> String {
    let mut text = format!(
        "version: 2\n\nsources:\n  - name: input\n    description: The events as they are.\n    tables:\n      - name: events\n        config:\n          external_location: \"{{{{ var('{}') }}}}\"\n          flatten: true\n        columns:\n",
        reads.variable
    );
    for (index, column) in columns.iter().enumerate() {
        // braces would be read as a template
        let sample = match column.sample() {
            sample if sample.is_empty() || sample.contains('{') => column.type_name(),
            sample => format!("{}, such as `{sample}`", column.type_name()),
        };
        text += &format!("          - name: {}\n", json!(column.name));
        text += &format!("            description: {}\n", json!(sample));
        let used = taken(index, proposal);
        let declared = column.declared(is_time(index, proposal));
        if let Some(data_type) = declared {
            text += &format!("            data_type: {data_type}\n");
        }
        if used {
            text += "            meta: {required: true}\n";
        } else if declared.is_some() {
            // the type counts where the column is asked for
            text += "            meta: {optional: true}\n";
        }
    }
    text
}

/// The model that gives the columns the names that the pack reads.
fn staging(columns: &[Column], proposal: &Proposal) -> String {
    let mut values: Vec<(String, String)> = Vec::new();
    for (target, role) in targets(proposal.pack) {
        let value = value(*role, columns, proposal);
        values.push((value, (*target).to_owned()));
    }
    let further = (0..columns.len()).filter(|index| !taken(*index, proposal));
    for index in further.filter(|_| proposal.pack == Pack::Events) {
        let (name, _) = read_as(index, columns, proposal);
        let column = &columns[index];
        let value = match column.data_type {
            // the pack knows events by what they hold, as text
            DataType::Binary => text(column),
            _ => quoted(&column.name),
        };
        values.extend(name.map(|name| (value, name)));
    }
    let values: Vec<String> = values
        .iter()
        .map(|(value, name)| format!("    {value} as {}", quoted(name)))
        .collect();
    format!(
        "{{{{ config(materialized='view') }}}}\n\n-- The columns of the input under the names that the pack reads. Written by `init --from`:\n-- change what it took a column for here.\nselect\n{}\nfrom {{{{ source('input', 'events') }}}}\n",
        values.join(",\n")
    )
}

/// Whether the pack reads a column under a name of its own.
fn taken(index: usize, proposal: &Proposal) -> bool {
    targets(proposal.pack).iter().any(|(_, role)| {
        let choice = proposal.roles.get(role);
        choice.is_some_and(|choice| choice.column == index)
    })
}

/// Whether the pack reads a column as a time.
fn is_time(index: usize, proposal: &Proposal) -> bool {
    let times = [Role::Time, Role::ReceivedAt, Role::SentAt];
    let choices = times.iter().filter_map(|role| proposal.roles.get(role));
    choices.into_iter().any(|choice| choice.column == index)
}

/// What a role is read from, as SQL.
fn value(role: Role, columns: &[Column], proposal: &Proposal) -> String {
    if let Some(choice) = proposal.roles.get(&role) {
        let column = &columns[choice.column];
        let time = matches!(role, Role::Time | Role::ReceivedAt | Role::SentAt);
        return match column.time().filter(|_| time) {
            Some(time) => instant(&column.name, time),
            None => text(column),
        };
    }
    let segment = proposal.pack == Pack::Segment;
    match role {
        Role::AnonymousId if segment => value(Role::UserId, columns, proposal),
        Role::ReceivedAt => value(Role::Time, columns, proposal),
        Role::SentAt => "cast(null as timestamptz)".to_owned(),
        Role::EventId if segment => fingerprint(columns),
        _ => of_url(role, columns, proposal)
            .unwrap_or_else(|| "cast(null as varchar)".to_owned()),
    }
}

/// What an address tells where no column does.
fn of_url(role: Role, columns: &[Column], proposal: &Proposal) -> Option<String> {
    let parameter = match role {
        Role::Path | Role::Search => None,
        Role::CampaignSource => Some("utm_source"),
        Role::CampaignMedium => Some("utm_medium"),
        Role::CampaignName => Some("utm_campaign"),
        Role::CampaignTerm => Some("utm_term"),
        Role::CampaignContent => Some("utm_content"),
        _ => return None,
    };
    proposal.roles.get(&Role::Url)?;
    let url = value(Role::Url, columns, proposal);
    Some(match parameter {
        Some(parameter) => format!("url_parameter({url}, '{parameter}')"),
        None if role == Role::Path => format!(
            "case when url_path({url}) = '' and {url} like '%://%' then '/' else url_path({url}) end"
        ),
        None => format!(
            "case when url_query({url}) = '' then '' else '?' || url_query({url}) end"
        ),
    })
}

/// A row without an id is known by all that it holds.
fn fingerprint(columns: &[Column]) -> String {
    let parts: Vec<String> = columns
        .iter()
        .map(|column| {
            let name = column.name.replace('\'', "''");
            let value = match column.data_type {
                DataType::Binary => text(column),
                _ => format!("cast({} as varchar)", quoted(&column.name)),
            };
            // a line break within a value begins no field
            format!("'{name}=' || replace({value}, chr(10), chr(10) || ' ')")
        })
        .collect();
    let parts = parts.join(",\n        ");
    format!("surrogate_key(concat_ws(\n        chr(10),\n        {parts}\n    ))")
}

/// A column as text; bytes that are none as hexadecimal digits.
fn text(column: &Column) -> String {
    let name = quoted(&column.name);
    match column.data_type {
        DataType::Utf8 => name,
        DataType::Binary => format!("encode({name}, 'hex')"),
        _ => format!("cast({name} as varchar)"),
    }
}

/// A time in UTC. A number that is none of the years that numbers are taken for is null, so
/// that its row is among the rejected.
fn instant(name: &str, time: Time) -> String {
    const UTC: &str = "'Timestamp(Microsecond, Some(\"UTC\"))'";
    let name = quoted(name);
    let whole = format!("cast({name} as bigint)");
    let (number, unit, ticks) = match time {
        Time::Typed | Time::Text => return format!("arrow_cast({name}, {UTC})"),
        Time::Ticks(unit @ ..=1_000_000) => match 1_000_000 / unit {
            1 => (whole.clone(), unit, whole),
            factor => (whole.clone(), unit, format!("{whole} * {factor}")),
        },
        Time::Ticks(unit) => (whole.clone(), unit, format!("{whole} / 1000")),
        Time::Seconds => {
            let ticks = format!("cast(round({name} * 1000000) as bigint)");
            (name, 1, ticks)
        }
    };
    let (from, until) = (SECONDS.0 * unit, SECONDS.1.saturating_mul(unit));
    format!(
        "case when {number} >= {from} and {number} < {until} then arrow_cast({ticks}, {UTC}) end"
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
