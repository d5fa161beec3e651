//! Which column is what, and which pack fits.

use std::collections::BTreeMap;

use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};

use super::look::{Column, Time};
use super::roles::{ROLES, Role, plain};

/// Packs that can be put over files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pack {
    Events,
    Segment,
}

impl Pack {
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Events, Self::Segment]
            .into_iter()
            .find(|pack| pack.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Segment => "segment",
        }
    }
}

/// A column that was chosen for a role.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) column: usize,
    pub(super) why: String,
}

/// What is made of the files.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) pack: Pack,
    /// Why this pack.
    pub(super) why: String,
    /// The files have the columns that the pack reads: it needs no model before it.
    pub(super) direct: bool,
    pub(super) roles: BTreeMap<Role, Choice>,
}

/// Names of events that are views of pages.
const PAGE_VIEWS: &[&str] = &[
    "page",
    "pageview",
    "pageviewed",
    "viewedpage",
    "pv",
    "view",
    "screen",
    "screenview",
];

/// Proposes a pack (`wish`, if there is one) and the columns for it; an error says what was
/// found if no column can be the time or the key.
pub(super) fn propose(
    location: &str,
    columns: &[Column],
    wish: Option<Pack>,
) -> Result<Proposal> {
    let mut roles = BTreeMap::new();
    for (role, names) in ROLES {
        if let Some(choice) = choose(*role, names, columns, &roles) {
            roles.insert(*role, choice);
        }
    }
    if !roles.contains_key(&Role::Time) {
        roles.extend(any_time(columns, &roles).map(|c| (Role::Time, c)));
    }
    let keyed = |roles: &BTreeMap<Role, Choice>| {
        roles.contains_key(&Role::AnonymousId) || roles.contains_key(&Role::UserId)
    };
    if !keyed(&roles) {
        roles.extend(any_key(columns, &roles).map(|c| (Role::AnonymousId, c)));
    }
    if !roles.contains_key(&Role::Time) {
        let expected = "name it like `timestamp`, `ts` or `event_time`; it must hold timestamps, ISO 8601 texts or seconds (milliseconds, …) since 1970";
        return Err(missing(location, "the time of an event", expected, columns));
    }
    if !keyed(&roles) {
        let expected =
            "name it like `user_id`, `anonymous_id`, `visitor_id` or `client_id`";
        return Err(missing(location, "whose an event is", expected, columns));
    }
    let (pack, why) = match wish {
        Some(pack) => (pack, "as wished".to_owned()),
        None => fitting(columns, &roles),
    };
    let direct = direct(pack, columns);
    Ok(Proposal {
        pack,
        why,
        direct,
        roles,
    })
}

fn choose(
    role: Role,
    names: &[&str],
    columns: &[Column],
    taken: &BTreeMap<Role, Choice>,
) -> Option<Choice> {
    let free = |index: &usize| taken.values().all(|choice| choice.column != *index);
    names.iter().find_map(|name| {
        let mut found = (0..columns.len()).filter(free);
        let column = found.find(|index| {
            let column = &columns[*index];
            plain(&column.name) == *name && fits(role, column)
        })?;
        let why = format!("its name{}", evidence(role, &columns[column]));
        Some(Choice { column, why })
    })
}

/// Whether the values of a column can be what its name says.
fn fits(role: Role, column: &Column) -> bool {
    let all = |test: fn(&str) -> bool| column.values.iter().all(|v| test(v));
    let any = !column.values.is_empty();
    match role {
        Role::Time | Role::ReceivedAt | Role::SentAt => column.time().is_some(),
        // a few rows may be delivered twice
        Role::EventId => any && column.distinct() * 20 >= column.values.len() * 19,
        Role::AnonymousId | Role::UserId => {
            any && column.time().is_none() && !column.data_type.is_floating()
        }
        Role::Url => any && all(|v| v.is_empty() || is_url(v)),
        Role::Path => any && !all(is_url),
        Role::EventName | Role::EventType => any && column.data_type.is_string(),
        _ => true,
    }
}

fn is_url(value: &str) -> bool {
    value.contains("://") || value.starts_with("www.")
}

fn evidence(role: Role, column: &Column) -> String {
    match (role, column.time()) {
        (Role::Time | Role::ReceivedAt | Role::SentAt, Some(time)) => {
            format!(", and it holds {}", held(time))
        }
        (Role::Url, _) => ", and it holds addresses".to_owned(),
        (Role::EventId, _) if column.distinct() == column.values.len() => {
            ", and no value comes twice".to_owned()
        }
        _ => String::new(),
    }
}

fn held(time: Time) -> &'static str {
    match time {
        Time::Typed => "times",
        Time::Text => "times as text",
        Time::Ticks(1) | Time::Seconds => "seconds since 1970",
        Time::Ticks(1_000) => "milliseconds since 1970",
        Time::Ticks(1_000_000) => "microseconds since 1970",
        Time::Ticks(_) => "nanoseconds since 1970",
    }
}

/// The first column that holds times, whatever it is called; numbers need the name.
fn any_time(columns: &[Column], taken: &BTreeMap<Role, Choice>) -> Option<Choice> {
    let column = columns
        .iter()
        .position(|column| matches!(column.time(), Some(Time::Typed | Time::Text)));
    let column = column.filter(|i| taken.values().all(|c| c.column != *i))?;
    let why = "it holds times".to_owned();
    Some(Choice { column, why })
}

/// A column whose name ends like a key: `shop_visitor_id`.
fn any_key(columns: &[Column], taken: &BTreeMap<Role, Choice>) -> Option<Choice> {
    const WHO: &[&str] = &[
        "visitor",
        "user",
        "client",
        "customer",
        "contact",
        "device",
        "cookie",
        "person",
        "member",
        "account",
        "anonymous",
        "profile",
        "subscriber",
        "player",
    ];
    let column = (0..columns.len()).find(|index| {
        let name = plain(&columns[*index].name);
        let who = WHO.iter().any(|who| name.contains(who));
        let id = ["id", "uuid", "key", "hash"]
            .iter()
            .any(|end| name.ends_with(end));
        let free = taken.values().all(|choice| choice.column != *index);
        who && id && free && fits(Role::AnonymousId, &columns[*index])
    })?;
    let why = "its name ends like a key".to_owned();
    Some(Choice { column, why })
}

fn missing(
    location: &str,
    what: &str,
    expected: &str,
    columns: &[Column],
) -> RunnerError {
    let found: Vec<String> = columns
        .iter()
        .map(|c| format!("`{}` ({}: {})", c.name, c.type_name(), c.sample()))
        .collect();
    let message = format!(
        "no column of `{location}` tells {what}; found {}",
        found.join(", ")
    );
    RunnerError::new(ErrorKind::Source, message).with_hint(expected)
}

/// Page views go to `segment`, all else to `events`.
fn fitting(columns: &[Column], roles: &BTreeMap<Role, Choice>) -> (Pack, String) {
    if direct(Pack::Segment, columns) {
        let why = "the files have the columns of Segment's `pages`".to_owned();
        return (Pack::Segment, why);
    }
    let other = [Role::EventName, Role::EventType].iter().find_map(|role| {
        let column = &columns[roles.get(role)?.column];
        let other = |v: &&String| !PAGE_VIEWS.contains(&plain(v).as_str());
        let value = column.values.iter().find(other)?;
        Some((&column.name, value))
    });
    if let Some((name, value)) = other {
        let why = format!("`{name}` tells of more than page views (`{value}`)");
        return (Pack::Events, why);
    }
    let page = [Role::Url, Role::Path]
        .iter()
        .find_map(|role| roles.get(role));
    match page {
        Some(page) => {
            let name = &columns[page.column].name;
            (Pack::Segment, format!("every row has a page, in `{name}`"))
        }
        None => (Pack::Events, "no column holds pages".to_owned()),
    }
}

/// Whether the pack can read the files as they are.
fn direct(pack: Pack, columns: &[Column]) -> bool {
    let has = |name: &str| {
        let exact = columns.iter().find(|c| c.name == name);
        exact.or_else(|| columns.iter().find(|c| c.name.eq_ignore_ascii_case(name)))
    };
    let time = |name: &str| {
        has(name).is_some_and(|c| matches!(c.time(), Some(Time::Typed | Time::Text)))
    };
    match pack {
        Pack::Segment => {
            has("id").is_some()
                && has("anonymous_id").is_some()
                && time("timestamp")
                && time("received_at")
        }
        Pack::Events => {
            let who = has("userId").is_some() || has("anonymousId").is_some();
            time("timestamp") && who
        }
    }
}
