//! The state of one key, carried from event to event and from batch to batch.

use datafusion::common::{Result, exec_err};

use super::Rules;

/// Why a session started: the first rule that holds, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartReason {
    First,
    Inactivity,
    MaxDuration,
    CalendarDay,
    ValueChange,
    Forced,
}

impl StartReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Inactivity => "inactivity",
            Self::MaxDuration => "max_duration",
            Self::CalendarDay => "calendar_day",
            Self::ValueChange => "value_change",
            Self::Forced => "forced",
        }
    }

    const ALL: [Self; 6] = [
        Self::First,
        Self::Inactivity,
        Self::MaxDuration,
        Self::CalendarDay,
        Self::ValueChange,
        Self::Forced,
    ];

    /// A number from 1 on, for compact storage.
    pub(crate) fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The reason of a [`code`](Self::code); `None` for 0.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code.checked_sub(1)?)).copied()
    }
}

/// What the rules see of one event. Its timestamp is not null.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    /// In ticks of the timestamp column.
    pub(crate) time: i64,
    /// This event's own gap in nanoseconds; `None` if null.
    pub(crate) gap: Option<i128>,
    /// The value to watch, encoded so that equal bytes are equal values.
    pub(crate) value: Option<&'a [u8]>,
    /// `start_when` is true.
    pub(crate) starts: bool,
    /// `end_after` is true.
    pub(crate) ends: bool,
}

impl Event<'_> {
    /// An event of which only the time is known.
    pub(crate) fn at(time: i64) -> Self {
        Event {
            time,
            gap: None,
            value: None,
            starts: false,
            ends: false,
        }
    }
}

/// What is remembered of the event before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Previous {
    pub(crate) time: i64,
    pub(crate) ends: bool,
}

/// Everything that the events of one key so far say about the next one.
///
/// Memory is constant but for the last value watched, whose buffer is reused.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionState {
    previous: Option<Previous>,
    start: i64,
    number: i64,
    event_number: i64,
    last_value: Vec<u8>,
    has_value: bool,
}

impl SessionState {
    /// Takes the key's next event; tells why it started a session, if it did.
    pub(crate) fn push(
        &mut self,
        rules: &Rules,
        event: &Event<'_>,
    ) -> Result<Option<StartReason>> {
        let reason = match self.previous {
            None => Some(StartReason::First),
            Some(previous) if event.time < previous.time => {
                return exec_err!(
                    "`{}`: timestamps must ascend within a partition, found {} after {}; \
                     ORDER BY the timestamp ascending",
                    rules.function,
                    rules.ticks.display(event.time),
                    rules.ticks.display(previous.time)
                );
            }
            Some(previous) => {
                rules.first_that_holds(self, event, event.time == previous.time)?
            }
        };
        if reason.is_some() {
            self.number += 1;
            self.event_number = 0;
            self.start = event.time;
            self.has_value = false;
        }
        self.event_number += 1;
        if let Some(value) = event.value {
            self.last_value.clear();
            self.last_value.extend_from_slice(value);
            self.has_value = true;
        }
        self.previous = Some(Previous {
            time: event.time,
            ends: event.ends,
        });
        Ok(reason)
    }

    /// As before a key's first event; the buffer is kept.
    pub(crate) fn reset(&mut self) {
        self.previous = None;
        self.number = 0;
        self.event_number = 0;
    }

    /// 1, 2, 3, … within the key; 0 before the first event.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    /// 1, 2, 3, … within the session.
    pub(crate) fn event_number(&self) -> i64 {
        self.event_number
    }

    /// The time of the session's first event.
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// The time of the last event so far.
    pub(crate) fn time(&self) -> i64 {
        self.previous.map_or(self.start, |previous| previous.time)
    }

    pub(super) fn previous(&self) -> Option<Previous> {
        self.previous
    }

    pub(super) fn last_value(&self) -> Option<&[u8]> {
        self.has_value.then_some(&self.last_value)
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use datafusion::arrow::datatypes::TimeUnit;

    use super::StartReason::*;
    use super::*;
    use crate::boundary::{Boundary, Gap, Granularity};

    fn event(time: i64) -> Event<'static> {
        Event::at(time)
    }

    fn rules() -> Rules {
        Rules::new("session_number", TimeUnit::Millisecond)
    }

    fn reasons(rules: Rules, events: &[Event<'_>]) -> Vec<Option<StartReason>> {
        let rules = rules.ready();
        let mut state = SessionState::default();
        events
            .iter()
            .map(|event| state.push(&rules, event).unwrap())
            .collect()
    }

    #[test]
    fn thirty_minutes_exactly_split_at_least_but_not_more_than() {
        let events = [event(0), event(1_800_000), event(3_600_001)];
        assert_eq!(
            reasons(rules(), &events),
            [Some(First), Some(Inactivity), Some(Inactivity)]
        );
        let more_than = Rules {
            boundary: Boundary::MoreThan,
            ..rules()
        };
        assert_eq!(
            reasons(more_than, &events),
            [Some(First), None, Some(Inactivity)]
        );
    }

    #[test]
    fn seconds_are_floored_also_before_1970() {
        // -0.1 s lies in second -1, 1799.0 s in second 1799: 1800 whole seconds
        let second = Rules {
            granularity: Granularity::Second,
            ..rules()
        };
        let events = [event(-100), event(1_799_000)];
        assert_eq!(reasons(second, &events), [Some(First), Some(Inactivity)]);
        assert_eq!(reasons(rules(), &events), [Some(First), None]);
    }

    #[test]
    fn a_null_gap_never_splits_and_a_row_has_its_own() {
        let per_row = Rules {
            gap: Gap::PerRow,
            ..rules()
        };
        let own = |time, gap| Event { gap, ..event(time) };
        let events = [
            own(0, Some(1)),
            own(9_999_999, None),
            own(10_000_000, Some(2_000_000)),
            own(10_000_002, Some(2_000_000)),
        ];
        assert_eq!(
            reasons(per_row, &events),
            [Some(First), None, None, Some(Inactivity)]
        );
    }

    #[test]
    fn the_longest_session_counts_from_its_start() {
        let longest = Rules {
            max_duration: Some(3_000_000_000),
            ..rules()
        };
        let events = [event(0), event(2_000), event(3_000), event(5_999)];
        assert_eq!(
            reasons(longest, &events),
            [Some(First), None, Some(MaxDuration), None]
        );
    }

    #[test]
    fn a_day_is_that_of_the_zone() {
        // 2026-03-29 in Berlin begins at 23:00 UTC and ends at 22:00 UTC
        let day = |zone: Tz| Rules {
            time_zone: Some(zone),
            gap: Gap::Every(i128::MAX),
            ..rules()
        };
        let at = |text: &str| {
            let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S");
            event(time.unwrap().and_utc().timestamp_millis())
        };
        let events = [
            at("2026-03-28T22:59:59"),
            at("2026-03-28T23:00:00"),
            at("2026-03-29T21:59:59"),
            at("2026-03-29T22:00:00"),
        ];
        assert_eq!(
            reasons(day(Tz::Europe__Berlin), &events),
            [Some(First), Some(CalendarDay), None, Some(CalendarDay)]
        );
        assert_eq!(
            reasons(day(Tz::UTC), &events),
            [Some(First), None, Some(CalendarDay), None]
        );
    }

    #[test]
    fn a_value_changes_within_a_session_but_not_within_an_instant() {
        let change = Rules {
            value_change: true,
            ..rules()
        };
        let with = |time, value| Event {
            value,
            ..event(time)
        };
        let events = [
            with(0, None),
            with(1, Some(b"a".as_slice())),
            with(2, None),
            with(3, Some(b"a")),
            with(3, Some(b"b")),
            with(4, Some(b"b")),
            with(5, Some(b"a")),
            with(1_900_000, Some(b"c")),
        ];
        assert_eq!(
            reasons(change, &events),
            [
                Some(First),
                None,
                None,
                None,
                None,
                None,
                Some(ValueChange),
                Some(Inactivity)
            ]
        );
    }

    #[test]
    fn forced_rules_part_an_instant() {
        let forced = Rules {
            forced: true,
            ..rules()
        };
        let mut events = [event(0), event(0), event(0), event(0)];
        events[1].starts = true;
        events[2].ends = true;
        assert_eq!(
            reasons(forced, &events),
            [Some(First), Some(Forced), None, Some(Forced)]
        );
    }

    #[test]
    fn the_first_rule_that_holds_is_named() {
        let all = Rules {
            max_duration: Some(1),
            forced: true,
            ..rules()
        };
        let mut later = event(1_800_000);
        later.starts = true;
        assert_eq!(reasons(all, &[event(0), later])[1], Some(Inactivity));
    }

    #[test]
    fn descending_timestamps_are_refused_with_both_values() {
        let rules = rules().ready();
        let mut state = SessionState::default();
        state.push(&rules, &event(1_500)).unwrap();
        let error = state.push(&rules, &event(0)).unwrap_err().to_string();
        assert!(
            error.contains("found 1970-01-01T00:00:00 after 1970-01-01T00:00:01.500"),
            "{error}"
        );
    }

    #[test]
    fn the_whole_range_of_timestamps_is_measured() {
        let seconds = Rules::new("session_number", TimeUnit::Second);
        let events = [event(i64::MIN), event(i64::MAX)];
        assert_eq!(reasons(seconds, &events), [Some(First), Some(Inactivity)]);
    }
}
