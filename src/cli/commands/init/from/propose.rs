//! Which column is what, and which pack fits.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use datafusion_sessionize::runner::error::{ErrorKind, Result, RunnerError};

use super::look::{Column, Time};
use super::roles::{ROLES, Role, plain};
use crate::cli::progress::count;

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
    let roles = roles(columns);
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

/// What the columns are: by their names and values, and where there is no value to tell, by
/// their names and types.
fn roles(columns: &[Column]) -> BTreeMap<Role, Choice> {
    let mut roles = BTreeMap::new();
    for (role, names) in ROLES {
        let fits = |column: &Column| fits(*role, column);
        if let Some(column) = choose(names, columns, &roles, fits) {
            let why = format!("its name{}", evidence(*role, &columns[column]));
            roles.insert(*role, Choice { column, why });
        }
    }
    if !roles.contains_key(&Role::Time) {
        roles.extend(any_time(columns, &roles).map(|c| (Role::Time, c)));
    }
    if !keyed(&roles) {
        roles.extend(any_key(columns, &roles).map(|c| (Role::AnonymousId, c)));
    }
    for (role, names) in ROLES {
        if roles.contains_key(role) {
            continue;
        }
        let column = choose(names, columns, &roles, |column| {
            may_be(*role, column, keyed(&roles))
        });
        if let Some(column) = column {
            let why = match columns[column].rows {
                0 => "its name and type (there are no rows)".to_owned(),
                rows => {
                    let rows = count(rows as u64, "row");
                    format!("its name and type (no value in the first {rows})")
                }
            };
            roles.insert(*role, Choice { column, why });
        }
    }
    roles
}

fn keyed(roles: &BTreeMap<Role, Choice>) -> bool {
    roles.contains_key(&Role::AnonymousId) || roles.contains_key(&Role::UserId)
}

fn is_free(index: usize, taken: &BTreeMap<Role, Choice>) -> bool {
    taken.values().all(|choice| choice.column != index)
}

/// The column of the best name among those that are free and `fit`.
fn choose(
    names: &[&str],
    columns: &[Column],
    taken: &BTreeMap<Role, Choice>,
    fit: impl Fn(&Column) -> bool,
) -> Option<usize> {
    names.iter().find_map(|name| {
        (0..columns.len()).find(|index| {
            let column = &columns[*index];
            is_free(*index, taken) && plain(&column.name) == *name && fit(column)
        })
    })
}

/// Whether the values of a column are what its name says.
fn fits(role: Role, column: &Column) -> bool {
    let all = |test: fn(&str) -> bool| column.values.iter().all(|v| test(v));
    let any = !column.values.is_empty();
    match role {
        Role::Time | Role::ReceivedAt | Role::SentAt => any && column.time().is_some(),
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

/// Whether a column without a value in the first rows may be what its name says. Where there
/// are rows, that is asked for what the pack cannot do without, and for the user, whom
/// trackers know late.
fn may_be(role: Role, column: &Column, keyed: bool) -> bool {
    let data_type = &column.data_type;
    let text = data_type.is_string() || data_type.is_null();
    let asked = match role {
        Role::Time | Role::UserId => true,
        Role::AnonymousId => !keyed,
        _ => false,
    };
    let may = match role {
        Role::Time | Role::ReceivedAt | Role::SentAt => {
            column.time() == Some(Time::Typed)
        }
        Role::EventId | Role::AnonymousId | Role::UserId => {
            text || data_type.is_integer()
        }
        _ => text,
    };
    column.values.is_empty() && may && (asked || column.rows == 0)
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
    let column = (0..columns.len()).find(|index| {
        let column = &columns[*index];
        let time = matches!(column.time(), Some(Time::Typed | Time::Text));
        time && !column.values.is_empty() && is_free(*index, taken)
    })?;
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
        let free = is_free(*index, taken);
        who && id && free && fits(Role::AnonymousId, &columns[*index])
    })?;
    let why = "its name ends like a key".to_owned();
    Some(Choice { column, why })
}

/// The value for which a column that is named like a time holds none.
fn no_time(column: &Column) -> Option<&str> {
    let plain = plain(&column.name);
    let mut times = ROLES.iter().filter(|(role, _)| *role == Role::Time);
    let named = times.any(|(_, names)| names.contains(&plain.as_str()));
    named.then(|| column.no_time()).flatten()
}

fn missing(
    location: &str,
    what: &str,
    expected: &str,
    columns: &[Column],
) -> RunnerError {
    let found: Vec<String> = columns
        .iter()
        .map(|c| {
            let value = match (c.values.is_empty(), no_time(c)) {
                (true, _) => "no value".to_owned(),
                (_, Some(value)) => format!("`{value}` is no time"),
                _ => c.sample(),
            };
            format!("`{}` ({}: {value})", c.name, c.type_name())
        })
        .collect();
    let found = found.join(", ");
    if columns.iter().all(|column| column.rows == 0) {
        let message = match columns {
            [] => format!("no rows in `{location}`"),
            _ => format!(
                "no rows in `{location}`, and its columns alone do not tell {what}; found {found}"
            ),
        };
        let hint = "columns are known by their values, and times also by their type: name files that hold rows";
        return RunnerError::new(ErrorKind::Source, message).with_hint(hint);
    }
    let message = format!("no column of `{location}` tells {what}; found {found}");
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
            let page = &columns[page.column];
            let why = match page.rows {
                0 => format!("`{}` is named like a page", page.name),
                _ => format!("every row has a page, in `{}`", page.name),
            };
            (Pack::Segment, why)
        }
        None => (Pack::Events, "no column holds pages".to_owned()),
    }
}

/// The column that a pack finds under a name: of that name, else the only one that differs by
/// case alone.
pub(super) fn named(columns: &[Column], name: &str) -> Option<usize> {
    let exact = columns.iter().position(|c| c.name == name);
    exact.or_else(|| {
        let same = |index: &usize| columns[*index].name.eq_ignore_ascii_case(name);
        let mut found = (0..columns.len()).filter(same);
        found.next().filter(|_| found.next().is_none())
    })
}

/// Whether the pack can read the files as they are.
fn direct(pack: Pack, columns: &[Column]) -> bool {
    let has = |name: &str| named(columns, name).map(|index| &columns[index]);
    let time = |name: &str| {
        has(name).is_some_and(|c| {
            let known = c.rows == 0 || !c.values.is_empty();
            known && matches!(c.time(), Some(Time::Typed | Time::Text))
        })
    };
    // it must be told how bytes are read
    let bytes = |c: &Column| c.bytes || c.data_type == DataType::Binary;
    if columns.iter().any(bytes) {
        return false;
    }
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
