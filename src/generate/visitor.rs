//! Who comes to the site: how often, with what, and under which name.

use super::GenerateOptions;
use super::random::{Random, Stream};
use super::site::USER_AGENTS;

/// Sessions a day of a visitor with weight 1.
const SESSIONS_A_DAY: f64 = 0.047;
/// The heaviest visitor comes this much more often than the lightest.
const HEAVIEST: f64 = 200.0;

/// A visitor: one browser on one device.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) number: u64,
    pub(crate) anonymous_id: String,
    pub(crate) user_agent: Option<&'static str>,
    pub(crate) ip: String,
    /// Sessions a day, on average. Few visitors make most of the sessions.
    pub(crate) sessions_a_day: f64,
    /// The first day it comes.
    pub(crate) first_day: u32,
    /// Its hours run this many hours behind UTC.
    pub(crate) hours_behind: i64,
    pub(crate) account: Option<Account>,
}

/// The name a visitor logs in with.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) user_id: String,
    /// The day of the first login; later days are mostly logged in from the start.
    pub(crate) login_day: u32,
}

impl Visitor {
    /// The visitor `number`. The same for every day, and made anew on each: nothing is kept.
    pub(crate) fn new(options: &GenerateOptions, number: u64) -> Self {
        let mut draws = Random::new(options.seed, Stream::Visitor, number, 0);
        let weight = (1.0 / (1.0 - draws.unit())).min(HEAVIEST);
        let early = draws.chance(0.5);
        let first_day = draws.below(u64::from(options.days));
        Self {
            number,
            anonymous_id: draws.hex_id(),
            user_agent: draws.pick_weighted(&USER_AGENTS).flatten(),
            ip: format!(
                "{}.{}.{}.{}",
                1 + draws.below(223),
                draws.below(256),
                draws.below(256),
                1 + draws.below(254)
            ),
            sessions_a_day: weight * SESSIONS_A_DAY,
            first_day: if early {
                0
            } else {
                u32::try_from(first_day).unwrap_or(0)
            },
            hours_behind: draws.pick(&[0, 0, 0, -1, -1, 5, 6, 8, -8]).unwrap_or(0),
            account: Account::new(options, number, &mut draws),
        }
    }
}

impl Account {
    /// Every third visitor has one; some are the second device of the visitor before.
    fn new(options: &GenerateOptions, number: u64, draws: &mut Random) -> Option<Self> {
        let owner = if draws.chance(0.15) {
            number.saturating_sub(1)
        } else {
            number
        };
        let login_day = draws.below(u64::from(options.days) + 10);
        let mut account = Random::new(options.seed, Stream::Account, owner, 0);
        account.chance(0.35).then(|| Self {
            user_id: format!("user-{}", account.hex_id()),
            login_day: u32::try_from(login_day).unwrap_or(u32::MAX),
        })
    }
}
