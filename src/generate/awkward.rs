//! Visitors made by hand: each holds one case that a sessionizer gets wrong easily. They are the same
//! for every seed; their anonymous ids begin with `awkward-`.

use chrono::{Datelike, NaiveDate};

use super::page_view::{DAY, HOUR, MINUTE, PageView, SECOND, day_start};
use super::site::USER_AGENTS;

/// Pauses around half an hour, in milliseconds.
const PAUSES: [i64; 5] = [1_799_999, 1_800_000, 1_800_001, 1_800_900, 1_801_000];
/// Fractions of a second at which a pause begins.
const FRACTIONS: [i64; 4] = [0, 100, 900, 999];

/// All of them, for a lake that begins at `start`.
pub(crate) fn page_views(start: NaiveDate) -> Vec<PageView> {
    let midnight = day_start(start);
    let noon = midnight + 12 * HOUR;
    let mut all = Vec::new();
    all.extend(deliveries(noon));
    all.extend(pauses(noon));
    all.extend(times(start, midnight));
    all.extend(users(noon));
    all.extend(texts(noon));
    all.extend(user_agents(noon));
    all.extend(rejected(noon));
    all
}

fn page(visitor: &str, number: usize, time: i64) -> PageView {
    PageView {
        id: Some(format!("awkward-{visitor}-{number}")),
        anonymous_id: Some(format!("awkward-{visitor}")),
        received_at: time + SECOND,
        sent_at: Some(time + 900),
        timestamp: Some(time),
        url: Some("https://www.example.com/".to_owned()),
        path: Some("/".to_owned()),
        title: Some("Example".to_owned()),
        search: Some(String::new()),
        referrer: Some(String::new()),
        ip: Some("203.0.113.7".to_owned()),
        user_agent: USER_AGENTS[0].1.map(str::to_owned),
        ..PageView::default()
    }
}

/// A visitor with one page view at each of `times`.
fn visits(visitor: &str, times: &[i64]) -> Vec<PageView> {
    let numbered = times.iter().enumerate();
    numbered
        .map(|(i, time)| page(visitor, i + 1, *time))
        .collect()
}

/// One id delivered several times, and page views that arrive days late.
fn deliveries(noon: i64) -> Vec<PageView> {
    let first = page("twice", 1, noon);
    let later = PageView {
        received_at: noon + 2 * DAY,
        title: Some("Second delivery".to_owned()),
        ..first.clone()
    };
    // Received at the same instant: the smaller time of the page view wins.
    let tied = PageView {
        timestamp: Some(noon + 5),
        ..first.clone()
    };
    let mut late = visits("late", &[noon, noon + MINUTE, noon + 2 * MINUTE]);
    late[1].received_at += 5 * DAY;
    let empty_id = PageView {
        id: Some(String::new()),
        ..page("empty-id", 1, noon)
    };
    [vec![later, tied, first, empty_id], late].concat()
}

/// Every pause at every fraction, and the same instant twice.
fn pauses(noon: i64) -> Vec<PageView> {
    let mut all = visits("same-instant", &[noon, noon, noon + 30 * MINUTE]);
    for pause in PAUSES {
        for fraction in FRACTIONS {
            let first = noon + fraction;
            all.extend(visits(
                &format!("pause-{pause}-{fraction}"),
                &[first, first + pause],
            ));
        }
    }
    all
}

/// Before 1970, across midnight and New Year, years in the future.
fn times(start: NaiveDate, midnight: i64) -> Vec<PageView> {
    let new_year =
        NaiveDate::from_ymd_opt(start.year(), 1, 1).map_or(midnight, day_start);
    let mut old = visits("before-1970", &[-1_800_001, -1, 0, 250, 1_800_250]);
    old.extend(visits("new-year", &[new_year - MINUTE, new_year + MINUTE]));
    old.extend(visits("future", &[midnight + 5 * 366 * DAY]));
    for page_view in &mut old {
        page_view.received_at = midnight + HOUR;
    }
    let day = midnight + DAY;
    let mut all = visits("midnight", &[day - 10 * MINUTE, day - 1, day, day + MINUTE]);
    all.extend(visits(
        "future",
        &[midnight + 2 * HOUR, midnight + 3 * HOUR],
    ));
    all.extend(old);
    for (number, page_view) in all.iter_mut().enumerate() {
        page_view.id = Some(format!("awkward-time-{number}"));
    }
    all
}

/// Logins: in mid-session, months later, on two devices, of two people on one device.
fn users(noon: i64) -> Vec<PageView> {
    let named = |mut page_views: Vec<PageView>, names: &[Option<&str>]| {
        for (page_view, name) in page_views.iter_mut().zip(names) {
            page_view.user_id = name.map(str::to_owned);
        }
        page_views
    };
    let minutes = [noon, noon + MINUTE, noon + 2 * MINUTE];
    let (ada, bob) = (Some("ada@example.com"), Some("bob@example.com"));
    let mut months = visits("months-later", &[noon - 100 * DAY, noon + 4 * DAY]);
    months[0].received_at = noon;
    let apart = [noon, noon + DAY, noon + 2 * DAY];
    [
        named(visits("mid-session", &minutes), &[None, ada, ada]),
        named(months, &[None, Some("cy@example.com")]),
        named(visits("phone", &minutes), &[ada, None, None]),
        named(visits("laptop", &apart), &[ada, ada, None]),
        named(visits("shared", &apart), &[ada, bob, None]),
        named(visits("empty-user", &minutes), &[None, Some(""), None]),
    ]
    .concat()
}

/// Addresses that are null, empty, encoded or odd.
fn texts(noon: i64) -> Vec<PageView> {
    let texts: [(Option<&str>, Option<&str>); 12] = [
        (None, None),
        (Some(""), Some("")),
        (
            Some("https://www.example.com/zürich?q=%C3%BC"),
            Some("https://例え.jp/ページ"),
        ),
        (
            Some("http://user:pw@EXAMPLE.com.:8080?x=1#top"),
            Some("HTTP://WWW.Bing.com/"),
        ),
        (
            Some("https://a.example/?gclid=one&gclid=two"),
            Some("https://www.google.com"),
        ),
        (
            Some("https://a.example/?gclid="),
            Some("https://www.google.co.uk/search?q=a"),
        ),
        (
            Some("https://a.example/?GCLID=no&xgclid=yes%26no#f"),
            Some("https://t.co/x"),
        ),
        (
            Some("https://a.example?next=https://b.example/"),
            Some("https://claude.ai/"),
        ),
        (
            Some("//a.example/path"),
            Some("android-app://com.google.android.gm/"),
        ),
        (
            Some("mailto:someone@example.com"),
            Some("https://www.www.example.org/"),
        ),
        (Some("file:///C:/page.html"), Some("about:blank")),
        (
            Some("https://a.example/?utm_source=a%20b&utm_source=c"),
            Some("🦀"),
        ),
    ];
    let pages = texts
        .iter()
        .enumerate()
        .map(|(i, (url, referrer))| PageView {
            url: url.map(str::to_owned),
            referrer: referrer.map(str::to_owned),
            path: None,
            title: Some("Grüße, 世界 \"quoted\", 'so'".to_owned()),
            search: url.and_then(|u| u.find('?').map(|at| u[at..].to_owned())),
            sent_at: None,
            ..page(&format!("text-{i}"), 1, noon)
        });
    pages.collect()
}

/// User agents whose device is easily misread.
fn user_agents(noon: i64) -> Vec<PageView> {
    const AGENTS: [Option<&str>; 14] = [
        None,
        Some(""),
        Some("Mozilla"),
        Some("("),
        Some("()"),
        Some("x (;"),
        Some("x ( iPhone)"),
        Some("x (iPhone) (iPad)"),
        Some("x (iPod touch; CPU)"),
        Some("x (IPHONE; CPU)"),
        Some("x (X11; CrOS x86_64)"),
        Some("Dalvik/2.1 (Linux; U; ANDROID 14)"),
        Some("x (Windows; U) android-like"),
        Some("x (Mac;intosh; Intel)"),
    ];
    let pages = AGENTS.iter().enumerate().map(|(i, agent)| PageView {
        user_agent: agent.map(str::to_owned),
        ..page(&format!("agent-{i}"), 1, noon)
    });
    pages.collect()
}

/// Page views of nobody, of no time and without id.
fn rejected(noon: i64) -> Vec<PageView> {
    let mut pages = visits("rejected", &[noon, noon + 1, noon + 2, noon + 3]);
    pages[0].anonymous_id = None;
    pages[1].timestamp = None;
    pages[2].id = None;
    // Nothing but the time of arrival.
    pages[3] = PageView {
        received_at: noon,
        ..PageView::default()
    };
    pages
}
