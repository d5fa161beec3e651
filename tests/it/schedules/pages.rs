//! Page views of a few visitors, as a lake holds them: with everything that goes wrong.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::driver::pick;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// 2024-02-29 23:10 UTC: a day, a month and a leap day end within the first session.
const START: i64 = 1_709_248_200 * SECOND;

/// Pauses between page views: ties, and both sides of every edge of a session.
const PAUSES: [i64; 11] = [
    0,
    1,
    10 * SECOND,
    7 * MINUTE,
    30 * MINUTE - 1,
    30 * MINUTE,
    30 * MINUTE + 1,
    30 * MINUTE + SECOND - 1,
    30 * MINUTE + SECOND,
    2 * HOUR,
    40 * DAY,
];

const TEXTS: [(&str, &[&str]); 9] = [
    (
        "url",
        &[
            "https://a.example/x?gclid=7",
            "http://b.example:80/",
            "no url",
        ],
    ),
    ("path", &["/", "/pricing"]),
    ("title", &["Home", "Préise"]),
    ("search", &["", "?a=b"]),
    (
        "referrer",
        &[
            "https://www.google.com/",
            "https://t.co/x",
            "android-app://x",
        ],
    ),
    ("context_campaign_source", &["google", "news"]),
    ("context_campaign_medium", &["cpc", "email"]),
    ("context_ip", &["192.0.2.1", "2001:db8::1"]),
    (
        "context_user_agent",
        &[
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X)",
            "Mozilla/5.0 (Linux; Android 13)",
            "curl/8.0",
        ],
    ),
];

#[derive(Debug, Clone, Default)]
struct PageView {
    id: Option<String>,
    visitor: Option<String>,
    user: Option<String>,
    at: Option<i64>,
    received: Option<i64>,
    texts: Vec<Option<&'static str>>,
}

/// The page views, by visitor and time; few schedules have the same.
pub(crate) fn page_views(random: &mut ChaCha8Rng) -> RecordBatch {
    let mut rows = Vec::new();
    for visitor in 0..random.random_range(1..=5) {
        visit(random, visitor, &mut rows);
    }
    // delivered twice: later, and now and then as if it were another visitor's
    for _ in 0..random.random_range(0..=4) {
        let mut again: PageView = pick(random, &rows).clone();
        again.received = again
            .received
            .map(|t| t + random.random_range(-5..=5) * HOUR);
        if random.random_bool(0.3) {
            again.visitor = Some(format!("v{}", random.random_range(0..6)));
            again.at = again.at.map(|t| t + MINUTE);
        }
        rows.push(again);
    }
    // what belongs to nobody or to no time
    for missing in 0..random.random_range(0..=3) {
        let mut broken: PageView = pick(random, &rows).clone();
        match missing {
            0 => broken.id = None,
            1 => broken.visitor = None,
            _ => broken.at = None,
        }
        rows.push(broken);
    }
    batch(&rows)
}

fn visit(random: &mut ChaCha8Rng, visitor: usize, rows: &mut Vec<PageView>) {
    let mut at = START + random.random_range(-2..=2) * HOUR;
    let user = format!("u{}", random.random_range(0..3));
    // most visitors log in once, some long after, some never, some as two
    let login = random.random_range(0..12);
    let count = random.random_range(1..=9);
    for number in 0..count {
        at += pick(random, &PAUSES);
        let user = match () {
            () if number == login => Some(user.clone()),
            () if random.random_bool(0.05) => Some("u9".to_owned()),
            () => None,
        };
        // ids that do not sort as times do: they break ties
        let id = format!("{:x}-{visitor}", random.random_range(0..1_000_000));
        rows.push(PageView {
            id: Some(id),
            visitor: Some(format!("v{visitor}")),
            user,
            at: Some(at),
            received: Some(at + random.random_range(0..=3) * DAY),
            texts: texts(random),
        });
    }
}

fn texts(random: &mut ChaCha8Rng) -> Vec<Option<&'static str>> {
    let one = |(_, choices): &(&str, &'static [&'static str])| {
        random.random_bool(0.7).then(|| *pick(random, choices))
    };
    TEXTS.iter().map(one).collect()
}

fn batch(rows: &[PageView]) -> RecordBatch {
    let text = |of: fn(&PageView) -> Option<&str>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(of)))
    };
    let time = |of: fn(&PageView) -> Option<i64>| -> ArrayRef {
        let times = TimestampMicrosecondArray::from_iter(rows.iter().map(of));
        Arc::new(times.with_timezone("UTC"))
    };
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("id", text(|r| r.id.as_deref())),
        ("anonymous_id", text(|r| r.visitor.as_deref())),
        ("user_id", text(|r| r.user.as_deref())),
        ("timestamp", time(|r| r.at)),
        ("received_at", time(|r| r.received)),
        ("sent_at", time(|r| r.at.map(|t| t + SECOND))),
    ];
    for (index, (name, _)) in TEXTS.iter().enumerate() {
        let texts = rows.iter().map(|r| r.texts[index]);
        columns.push((*name, Arc::new(StringArray::from_iter(texts))));
    }
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}
