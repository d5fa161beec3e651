//! Calendar day: the local day in a named zone is another one than that of the event
//! before. A day with a change of the clocks has 23 or 25 hours.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use datafusion::common::{Result, exec_datafusion_err};

use super::{Event, Rule, Rules, SessionState, StartReason};

const SECONDS_PER_DAY: i64 = 86_400;

pub(super) const RULE: Rule = Rule {
    reason: StartReason::CalendarDay,
    splits_ties: false,
    enabled: |rules| rules.time_zone.is_some(),
    holds,
};

fn holds(rules: &Rules, state: &SessionState, event: &Event<'_>) -> Result<bool> {
    let (Some(zone), Some(previous)) = (rules.time_zone, state.previous()) else {
        return Ok(false);
    };
    Ok(local_day(rules, zone, previous.time)? != local_day(rules, zone, event.time)?)
}

/// Days since 1970-01-01 on the wall calendar of `zone`.
fn local_day(rules: &Rules, zone: Tz, time: i64) -> Result<i64> {
    let seconds = rules.ticks.whole_seconds(time);
    let utc = DateTime::from_timestamp(seconds, 0).ok_or_else(|| {
        exec_datafusion_err!(
            "`{}`: the timestamp {} is outside of the calendar that `time_zone` knows",
            rules.function,
            rules.ticks.display(time)
        )
    })?;
    let offset = zone.offset_from_utc_datetime(&utc.naive_utc()).fix();
    Ok((seconds + i64::from(offset.local_minus_utc())).div_euclid(SECONDS_PER_DAY))
}
