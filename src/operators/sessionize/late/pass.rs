//! The narrow pass of windows: from keys and times to facts about every row.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, MetricBuilder, Time,
};

use super::entries::Part;
use super::facts::{Facts, Lags, RowNumbers, Wanted};
use super::keyed::{Addressed, Keyed};
use super::lineage::Lineage;
use super::order::Order;
use super::{exhausted, once};
use crate::boundary::SessionState;
use crate::functions::BoundArguments;

/// What the functions of one operator need to know of every row.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) keyed: Keyed,
    /// The columns of the key and the order, then those that rules read.
    pub(super) all: Arc<dyn ExecutionPlan>,
    /// How each order column sorts.
    pub(super) options: Vec<SortOptions>,
    pub(super) rules: Vec<Rule>,
    pub(super) row_numbers: bool,
    pub(super) lags: bool,
    pub(super) counts: bool,
}

/// One rule, and what is asked about it.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) bound: Arc<BoundArguments>,
    pub(super) wanted: Wanted,
    /// Where its columns are among [`all`](Window::all); none if it goes by the time alone.
    pub(super) read: Range<usize>,
}

/// What is counted.
#[derive(Debug, Clone)]
pub(super) struct PassMetrics {
    pub(super) keys: Count,
    /// Sessions, or groups.
    pub(super) found: Count,
    pub(super) tied_rows: Count,
    /// How often rows are read, some parts at a time.
    pub(super) reads: Count,
    pub(super) read: Time,
    pub(super) sort: Time,
}

impl PassMetrics {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, found: &'static str) -> Self {
        let count = |name| MetricBuilder::new(metrics).global_counter(name);
        let time = |name| MetricBuilder::new(metrics).subset_time(name, 0);
        Self {
            keys: count("keys"),
            found: count(found),
            tied_rows: count("tied_rows"),
            reads: count("narrow_reads"),
            read: time("narrow_read_time"),
            sort: time("sort_and_rule_time"),
        }
    }
}

/// Facts about all rows, by address.
#[derive(Debug)]
pub(super) struct Found {
    /// The addresses of each partition's rows.
    pub(super) partitions: Vec<Range<u32>>,
    pub(super) rules: Vec<Facts>,
    pub(super) row_numbers: RowNumbers,
    pub(super) lags: Lags,
    pub(super) counts: RowNumbers,
    pub(super) order: Order,
    _reservation: Arc<MemoryReservation>,
}

impl Window {
    /// Whether both passes surely find the same.
    pub(super) fn is_like(&self, other: &Self) -> Result<bool> {
        // what a rule reads is in `all`; the rest of it is numbers and names of zones
        let rule =
            |rule: &Rule| (rule.wanted, rule.read.clone(), format!("{:?}", rule.bound));
        let alike = self.keyed.keys == other.keyed.keys
            && self.options == other.options
            && (self.row_numbers, self.lags, self.counts)
                == (other.row_numbers, other.lags, other.counts)
            && self.rules.iter().map(rule).eq(other.rules.iter().map(rule));
        if !alike {
            return Ok(false);
        }
        Ok(match (Lineage::of(&self.all)?, Lineage::of(&other.all)?) {
            (Some(rows), Some(of_other)) => rows.is_like(&of_other),
            _ => false,
        })
    }

    /// Runs the narrow pass; `None` if more is to be held than memory or entries have room
    /// for.
    pub(super) async fn pass(
        &self,
        context: &Arc<TaskContext>,
        metrics: &PassMetrics,
    ) -> Result<Option<Arc<Found>>> {
        if self.rules.iter().any(|rule| !rule.read.is_empty()) {
            // entries hold times and nothing else
            return Ok(None);
        }
        match Box::pin(self.found(context, metrics)).await {
            Err(error) if exhausted(&error) => Ok(None),
            found => found,
        }
    }

    async fn found(
        &self,
        context: &Arc<TaskContext>,
        metrics: &PassMetrics,
    ) -> Result<Option<Arc<Found>>> {
        let consumer = MemoryConsumer::new("LateSessionizeExec").with_can_spill(true);
        let reservation = consumer.register(context.memory_pool());
        let reservation = Arc::new(reservation);
        let mut found: Option<Arc<Found>> = None;
        let work = |rows: Addressed<'_>, _: &[Followed]| {
            let room = || self.room(rows.partitions, &reservation);
            let follow = Follow {
                window: self.clone(),
                found: once(&mut found, room)?,
            };
            Ok(move |part: &Part| follow.part(part))
        };
        let each = self.keyed.each_part(context, &reservation, metrics, work);
        let Some((_, followed)) = each.await? else {
            return Ok(None);
        };
        for Followed { keys, sessions } in followed {
            metrics.keys.add(keys);
            metrics.found.add(sessions);
        }
        Ok(found)
    }

    /// Room for what is to be found of rows that have these addresses.
    fn room(
        &self,
        partitions: &[Range<u32>],
        reservation: &Arc<MemoryReservation>,
    ) -> Result<Found> {
        let all = partitions.last().map_or(0, |last| last.end as usize);
        let rules = self.rules.iter();
        let rules = rules.map(|rule| Facts::try_new(rule.wanted, all, reservation));
        Ok(Found {
            partitions: partitions.to_vec(),
            rules: rules.collect::<Result<_>>()?,
            row_numbers: RowNumbers::try_new(self.row_numbers, all, reservation)?,
            lags: Lags::try_new(self.lags, all, reservation)?,
            counts: RowNumbers::try_new(self.counts, all, reservation)?,
            order: self.keyed.order,
            _reservation: Arc::clone(reservation),
        })
    }
}

/// How many keys and sessions a part has.
struct Followed {
    keys: usize,
    sessions: usize,
}

/// Goes through sorted rows.
#[derive(Debug, Clone)]
struct Follow {
    window: Window,
    found: Arc<Found>,
}

impl Follow {
    fn part(&self, part: &Part) -> Result<Followed> {
        let mut state = SessionState::default();
        let (mut keys, mut sessions) = (0, 0);
        for key in part.keys() {
            keys += 1;
            self.found.row_numbers.follow(key);
            self.found.counts.follow(key);
            self.found.lags.follow(self.window.keyed.order, key);
            let rules = self.window.rules.iter().zip(&self.found.rules);
            for (rule, facts) in rules {
                let (rules, order) = (&rule.bound.rules, self.window.keyed.order);
                sessions += facts.follow(rules, order, key, &mut state)?;
            }
        }
        if self.window.counts {
            part.peers()
                .for_each(|peers| self.found.counts.level(peers));
        }
        Ok(Followed { keys, sessions })
    }
}
