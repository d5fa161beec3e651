//! What the operator does, once the plan below is final.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::spec::{By, Other, Output, Spec, Value};
use crate::functions::{BoundArguments, Kind};
use crate::operators::sessionize::late::emit::Function;
use crate::operators::sessionize::late::exec::LateSessionizeExec;
use crate::operators::sessionize::late::keyed::{Keyed, columns_of, numbered};
use crate::operators::sessionize::late::narrow::{
    Through, below_projections, project_unfiltered,
};
use crate::operators::sessionize::late::window::only_time;

/// Everything that is read of the input, and what is made of it.
#[derive(Debug, Clone)]
pub(super) struct AggregatePlan {
    pub(super) keyed: Keyed,
    /// Cuts the rows of a key into sessions, each of which is a group.
    pub(super) sessions: Option<Arc<BoundArguments>>,
    pub(super) slots: Vec<Slot>,
    /// None if no row is picked.
    pub(super) picked: Option<Picked>,
    pub(super) others: Vec<Other>,
    /// Their arguments, each with its condition after it.
    pub(super) arguments: Option<Arc<dyn ExecutionPlan>>,
    pub(super) wanted: Wanted,
    pub(super) columns: Vec<(FieldRef, Made)>,
}

/// The columns of all slots.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    pub(super) columns: Arc<dyn ExecutionPlan>,
    /// Rows that a filter drops are among them: a last column says which ones pass it.
    pub(super) unfiltered: bool,
}

/// A row of every group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) last: bool,
    /// The place of the condition that it must meet.
    pub(super) condition: Option<usize>,
    /// Which of the picked columns are asked for.
    pub(super) columns: Vec<usize>,
}

/// What is to be known of every group.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) counts: bool,
    /// The least and the greatest time.
    pub(super) times: [bool; 2],
    pub(super) numbers: bool,
}

/// Where a column of the result comes from.
#[derive(Debug, Clone)]
pub(super) enum Made {
    Picked {
        slot: usize,
        column: usize,
    },
    Count,
    /// The least time, or the greatest.
    Time {
        greatest: bool,
    },
    /// The session's number.
    Number,
    /// The session's id, of a picked key and the number.
    Id {
        slot: usize,
        column: usize,
    },
    Other(usize),
}

/// What the rows of a key are cut into.
struct Sessions<'a> {
    below: &'a LateSessionizeExec,
    bound: Arc<BoundArguments>,
}

impl AggregatePlan {
    /// `None` if the groups are none of sessions and no row is picked by an order.
    pub(super) fn new(
        spec: &Spec,
        outputs: &[Output],
        input: &Arc<dyn ExecutionPlan>,
    ) -> Result<Option<Self>> {
        let (base, through) = below_projections(input);
        let group = spec.group.iter().map(|e| through.of(e));
        let group = group.collect::<Result<Vec<_>>>()?;
        let order = spec.order.iter();
        let order = order.map(|(e, options)| Ok((through.of(e)?, *options)));
        let order = order.collect::<Result<By>>()?;
        let late = base.downcast_ref::<LateSessionizeExec>();
        let sessions = late.and_then(|late| sessions(late, &group, &order));
        let mut build = Build {
            base: &base,
            group,
            sessions,
            order,
            conditions: Vec::new(),
            picked: Vec::new(),
            slots: Vec::new(),
            others: Vec::new(),
            wanted: Wanted::default(),
        };
        if build.sessions.is_none() && build.order.is_empty() {
            return Ok(None);
        }
        let columns = outputs
            .iter()
            .map(|output| Ok((Arc::clone(&output.field), build.made(output, &through)?)));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        build.finish(columns).map(Some)
    }
}

/// The sessions below, if each group is one of them and rows are picked in their order.
fn sessions<'a>(
    below: &'a LateSessionizeExec,
    group: &[Arc<dyn PhysicalExpr>],
    order: &By,
) -> Option<Sessions<'a>> {
    let shape = below.shape();
    let mut rule = None;
    for expr in group {
        match below.output(expr).map(|output| &output.function) {
            Some(Function::Session {
                kind: kind @ (Kind::SessionNumber | Kind::SessionId),
                rule: of,
                read,
                ..
            }) => {
                // an id may be made of anything; here it must be of the key
                let of_key = read.get(1).is_some_and(|key| shape.key.contains(key));
                if *kind == Kind::SessionId && !of_key {
                    return None;
                }
                if *rule.get_or_insert(*of) != *of {
                    return None;
                }
            }
            None if shape.key.contains(expr) => {}
            _ => return None,
        }
    }
    let all_keys = shape.key.iter().all(|key| group.contains(key));
    let call = &shape.rules.get(rule?)?.0;
    // a shorter order leaves rows tied, which may then come in any order
    let in_order = order.len() <= shape.order.len()
        && order.iter().zip(&shape.order).all(|(a, b)| a == b);
    (all_keys && in_order && only_time(call)).then(|| Sessions {
        below,
        bound: Arc::clone(&call.bound),
    })
}

struct Build<'a> {
    base: &'a Arc<dyn ExecutionPlan>,
    group: Vec<Arc<dyn PhysicalExpr>>,
    sessions: Option<Sessions<'a>>,
    order: By,
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    picked: Vec<Arc<dyn PhysicalExpr>>,
    slots: Vec<Slot>,
    others: Vec<Other>,
    wanted: Wanted,
}

impl Build<'_> {
    fn made(&mut self, output: &Output, through: &Through) -> Result<Made> {
        Ok(match &output.value {
            Value::Group(place) => {
                let expr = Arc::clone(&self.group[*place]);
                self.of_group(&expr)
            }
            Value::Count => {
                self.wanted.counts = true;
                Made::Count
            }
            Value::Pick {
                expr,
                last,
                condition,
            } => {
                let condition = condition.as_ref().map(|c| through.of(c)).transpose()?;
                let condition = condition.map(|c| place_of(&mut self.conditions, c));
                let (slot, column) = self.pick(*last, condition, through.of(expr)?);
                Made::Picked { slot, column }
            }
            Value::Other(other) => self.other(other, through)?,
        })
    }

    fn of_group(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Made {
        let below = self.sessions.as_ref().map(|sessions| sessions.below);
        match below
            .and_then(|below| below.output(expr))
            .map(|o| o.function.clone())
        {
            Some(Function::Session { kind, read, .. }) => {
                self.wanted.numbers = true;
                match read.get(1).filter(|_| kind == Kind::SessionId) {
                    Some(key) => {
                        let (slot, column) = self.any_row(Arc::clone(key));
                        Made::Id { slot, column }
                    }
                    None => Made::Number,
                }
            }
            _ => {
                let (slot, column) = self.any_row(Arc::clone(expr));
                Made::Picked { slot, column }
            }
        }
    }

    /// A value that all rows of a group share.
    fn any_row(&mut self, expr: Arc<dyn PhysicalExpr>) -> (usize, usize) {
        let known = self.slots.iter().find(|slot| slot.condition.is_none());
        let last = known.is_some_and(|slot| slot.last);
        self.pick(last, None, expr)
    }

    fn pick(
        &mut self,
        last: bool,
        condition: Option<usize>,
        expr: Arc<dyn PhysicalExpr>,
    ) -> (usize, usize) {
        let same = |slot: &Slot| (slot.last, slot.condition) == (last, condition);
        let slot = self.slots.iter().position(same).unwrap_or_else(|| {
            self.slots.push(Slot {
                last,
                condition,
                columns: Vec::new(),
            });
            self.slots.len() - 1
        });
        let column = place_of(&mut self.picked, expr);
        (slot, place_of(&mut self.slots[slot].columns, column))
    }

    fn other(&mut self, other: &Other, through: &Through) -> Result<Made> {
        let arguments = other.arguments.iter().map(|e| through.of(e));
        let other = Other {
            function: Arc::clone(&other.function),
            arguments: arguments.collect::<Result<_>>()?,
            condition: other
                .condition
                .as_ref()
                .map(|c| through.of(c))
                .transpose()?,
        };
        let time = self.order().first().map(|(time, _)| Arc::clone(time));
        let of_time = other
            .extreme()
            .filter(|(expr, _)| Some(*expr) == time.as_ref());
        if let Some((time, greatest)) = of_time
            && matches!(
                time.data_type(&self.base.schema())?,
                DataType::Timestamp(_, _)
            )
        {
            self.wanted.times[usize::from(greatest)] = true;
            return Ok(Made::Time { greatest });
        }
        self.others.push(other);
        Ok(Made::Other(self.others.len() - 1))
    }

    /// The order that rows are sorted by.
    fn order(&self) -> &By {
        match &self.sessions {
            Some(sessions) => &sessions.below.shape().order,
            None => &self.order,
        }
    }

    fn finish(self, columns: Vec<(FieldRef, Made)>) -> Result<AggregatePlan> {
        let keyed = match &self.sessions {
            Some(sessions) => {
                let (below, order) = (sessions.below, self.order());
                let key = &below.shape().key;
                // conditions may be about what the operator below adds
                Keyed::over(self.base, key, order, &self.conditions)?
            }
            None => Keyed::over(self.base, &self.group, &self.order, &self.conditions)?,
        };
        let picked = match self.picked.is_empty() {
            true => None,
            false => {
                let columns = numbered(self.picked.iter());
                let (columns, unfiltered) = project_unfiltered(self.base, columns)?;
                Some(Picked {
                    columns,
                    unfiltered,
                })
            }
        };
        let read = self.others.iter();
        let read = read.flat_map(|other| other.arguments.iter().chain(&other.condition));
        let arguments = match self.others.is_empty() {
            true => None,
            false => Some(columns_of(self.base, read)?),
        };
        Ok(AggregatePlan {
            keyed,
            sessions: self.sessions.map(|sessions| sessions.bound),
            slots: self.slots,
            picked,
            others: self.others,
            arguments,
            wanted: self.wanted,
            columns,
        })
    }
}

/// The place of `item`, which is added if it is not there.
fn place_of<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    let known = items.iter().position(|known| *known == item);
    known.unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}
