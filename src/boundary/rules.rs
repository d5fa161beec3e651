//! What the arguments of one call ask for, as plain values.

use chrono::DateTime;
use chrono_tz::Tz;
use datafusion::arrow::datatypes::TimeUnit;
use datafusion::common::Result;

use super::{Event, RULES, Rule, SessionState, StartReason};

/// Whether a distance of exactly the limit is already too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// It is: 30 minutes and 0 seconds split.
    AtLeast,
    /// It is not: only more than 30 minutes split.
    MoreThan,
}

/// How finely a distance is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granularity {
    /// At the full resolution of the timestamps.
    Exact,
    /// Between the two times, each floored to its whole second.
    Second,
}

/// The longest inactivity, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// One for all events.
    Every(i128),
    /// Each event brings its own.
    PerRow,
}

/// The resolution of a timestamp column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks {
    per_second: i64,
    nanos: i128,
}

impl Ticks {
    pub(crate) fn new(unit: TimeUnit) -> Self {
        let (per_second, nanos) = match unit {
            TimeUnit::Second => (1, 1_000_000_000),
            TimeUnit::Millisecond => (1_000, 1_000_000),
            TimeUnit::Microsecond => (1_000_000, 1_000),
            TimeUnit::Nanosecond => (1_000_000_000, 1),
        };
        Self { per_second, nanos }
    }

    /// The whole second that `time` lies in; floors also before 1970.
    pub(crate) fn whole_seconds(self, time: i64) -> i64 {
        time.div_euclid(self.per_second)
    }

    /// `time` for people; the bare number where no calendar reaches.
    pub(crate) fn display(self, time: i64) -> String {
        let within = i128::from(time.rem_euclid(self.per_second)) * self.nanos;
        u32::try_from(within)
            .ok()
            .and_then(|nanos| DateTime::from_timestamp(self.whole_seconds(time), nanos))
            .map_or_else(
                || format!("{time} (in units of 1/{} s)", self.per_second),
                |time| time.naive_utc().format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
            )
    }
}

/// The rules of one call. Distances are computed in 128 bits: no pair of timestamps and
/// no interval overflows them.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The function that speaks in errors.
    pub(crate) function: &'static str,
    pub(crate) ticks: Ticks,
    pub(crate) gap: Gap,
    pub(crate) boundary: Boundary,
    pub(crate) granularity: Granularity,
    pub(crate) max_duration: Option<i128>,
    pub(crate) time_zone: Option<Tz>,
    /// Whether events carry a value whose change splits.
    pub(crate) value_change: bool,
    /// Whether events carry forced starts or ends.
    pub(crate) forced: bool,
    pub(super) enabled: Vec<&'static Rule>,
}

impl Rules {
    /// The defaults: 30 minutes or more of inactivity, measured exactly.
    pub(crate) fn new(function: &'static str, unit: TimeUnit) -> Self {
        Self {
            function,
            ticks: Ticks::new(unit),
            gap: Gap::Every(30 * 60 * 1_000_000_000),
            boundary: Boundary::AtLeast,
            granularity: Granularity::Exact,
            max_duration: None,
            time_zone: None,
            value_change: false,
            forced: false,
            enabled: Vec::new(),
        }
    }

    /// Picks the rules to ask, once all fields are set.
    pub(crate) fn ready(mut self) -> Self {
        self.enabled = RULES.iter().filter(|rule| (rule.enabled)(&self)).collect();
        self
    }

    /// Whether the distance between two times is too long for `limit` nanoseconds.
    pub(crate) fn reaches(&self, from: i64, to: i64, limit: i128) -> bool {
        let distance = match self.granularity {
            Granularity::Exact => (i128::from(to) - i128::from(from)) * self.ticks.nanos,
            Granularity::Second => {
                let seconds = i128::from(self.ticks.whole_seconds(to))
                    - i128::from(self.ticks.whole_seconds(from));
                seconds * 1_000_000_000
            }
        };
        match self.boundary {
            Boundary::AtLeast => distance >= limit,
            Boundary::MoreThan => distance > limit,
        }
    }

    /// How many nanoseconds after its predecessor an event surely starts a session, if nothing
    /// but the distance of the two and their own values decides; `None` if more does.
    #[cfg(feature = "runner")]
    pub(crate) fn surely_apart(&self) -> Option<i128> {
        let Gap::Every(gap) = self.gap else {
            return None;
        };
        // whole seconds may be one further apart than the times are
        let apart = gap.checked_add(1_000_000_000)?;
        (self.max_duration.is_none() && !self.value_change && !self.forced)
            .then_some(apart)
    }

    /// The first enabled rule that holds for an event which has a predecessor.
    pub(crate) fn first_that_holds(
        &self,
        state: &SessionState,
        event: &Event<'_>,
        tie: bool,
    ) -> Result<Option<StartReason>> {
        for rule in &self.enabled {
            if (!tie || rule.splits_ties) && (rule.holds)(self, state, event)? {
                return Ok(Some(rule.reason));
            }
        }
        Ok(None)
    }
}
