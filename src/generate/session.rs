//! What a visitor looks at on one day.

use super::GenerateOptions;
use super::page_view::{HOUR, MINUTE, PageView, SECOND};
use super::random::{Random, Stream};
use super::site::{ENTRIES, Entry, PAGES};
use super::visitor::Visitor;

/// A page view that is not delivered yet, and the draws of its day.
pub(crate) struct Viewed {
    pub(crate) page_view: PageView,
    pub(crate) draws: Random,
}

/// The page views of `visitor` on the day that begins at `midnight`, in time order within a
/// session. A session that starts late goes on into the next day.
pub(crate) fn page_views(
    options: &GenerateOptions,
    visitor: &Visitor,
    day: u32,
    midnight: i64,
) -> Vec<Viewed> {
    let mut viewed = Vec::new();
    if day < visitor.first_day {
        return viewed;
    }
    let mut draws = Random::new(options.seed, Stream::Day, visitor.number, day);
    let mut sessions = visitor.sessions_a_day.floor();
    if draws.chance(visitor.sessions_a_day - sessions) {
        sessions += 1.0;
    }
    if day == visitor.first_day {
        sessions = sessions.max(1.0);
    }
    for session in 0..sessions as u32 {
        let login = Login::new(visitor, day, session, &mut draws);
        let start = midnight + time_of_day(visitor, &mut draws);
        visit(visitor, start, &login, &mut draws, &mut viewed);
    }
    viewed
}

/// Most come in the visitor's own evening, few at night.
fn time_of_day(visitor: &Visitor, draws: &mut Random) -> i64 {
    const HOURS: [(u64, i64); 24] = [
        (3, 0),
        (2, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 5),
        (4, 6),
        (7, 7),
        (9, 8),
        (10, 9),
        (10, 10),
        (10, 11),
        (11, 12),
        (10, 13),
        (10, 14),
        (10, 15),
        (10, 16),
        (11, 17),
        (12, 18),
        (14, 19),
        (15, 20),
        (13, 21),
        (9, 22),
        (5, 23),
    ];
    let hour = draws.pick_weighted(&HOURS).unwrap_or(12);
    (hour + visitor.hours_behind).rem_euclid(24) * HOUR + draws.millis(0, HOUR)
}

/// From which page of a session on the visitor is logged in.
struct Login {
    user_id: Option<String>,
    from_page: u64,
}

impl Login {
    fn new(visitor: &Visitor, day: u32, session: u32, draws: &mut Random) -> Self {
        let named = visitor.account.as_ref().filter(|a| day >= a.login_day);
        let stays = draws.chance(0.85);
        let first = named.is_some_and(|a| a.login_day == day && session == 0);
        let from_page = if first { 1 + draws.below(3) } else { 0 };
        Self {
            user_id: named.filter(|_| first || stays).map(|a| a.user_id.clone()),
            from_page,
        }
    }
}

/// One visit: it comes in by some way, then goes from page to page.
fn visit(
    visitor: &Visitor,
    start: i64,
    login: &Login,
    draws: &mut Random,
    viewed: &mut Vec<Viewed>,
) {
    let pages = number_of_pages(draws);
    let mut time = start;
    let mut previous: Option<String> = None;
    for page in 0..pages {
        let entry = match previous.take() {
            Some(url) => Entry {
                referrer: Some(url),
                ..Entry::default()
            },
            None => draws
                .pick_weighted(&ENTRIES)
                .map(|e| e.draw(draws))
                .unwrap_or_default(),
        };
        let page_view = view(visitor, time, entry, draws);
        previous = page_view.url.clone();
        let page_view = PageView {
            user_id: login.user_id.clone().filter(|_| page >= login.from_page),
            ..page_view
        };
        let split = draws.split();
        viewed.push(Viewed {
            page_view,
            draws: split,
        });
        time += pause(draws);
    }
}

fn view(visitor: &Visitor, time: i64, entry: Entry, draws: &mut Random) -> PageView {
    let (path, title) = draws.pick_weighted(&PAGES).unwrap_or(("/", "Home"));
    let path = match path.strip_suffix('#') {
        Some(folder) => format!("{folder}{}", 1 + draws.below(120)),
        None => path.to_owned(),
    };
    PageView {
        id: Some(format!("ajs-{}", draws.hex_id())),
        anonymous_id: Some(visitor.anonymous_id.clone()),
        timestamp: Some(time),
        url: Some(format!("https://www.example.com{path}{}", entry.search)),
        path: Some(path),
        title: Some(title.to_owned()).filter(|_| !draws.chance(0.01)),
        search: Some(entry.search),
        referrer: entry.referrer,
        campaign: entry.campaign,
        ip: Some(visitor.ip.clone()),
        user_agent: visitor.user_agent.map(str::to_owned),
        ..PageView::default()
    }
}

/// Many see one page; few see many.
fn number_of_pages(draws: &mut Random) -> u64 {
    let mut pages = 1;
    while pages < 40 && draws.chance(0.74) {
        pages += 1;
    }
    pages
}

/// Time until the next page: mostly short, now and then close to half an hour or above.
fn pause(draws: &mut Random) -> i64 {
    match draws.below(100) {
        0..70 => draws.millis(3 * SECOND, MINUTE),
        70..95 => draws.millis(MINUTE, 8 * MINUTE),
        95..99 => draws.millis(8 * MINUTE, 29 * MINUTE),
        _ => draws.millis(29 * MINUTE, 50 * MINUTE),
    }
}
