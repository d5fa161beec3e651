//! What the operator does, once the plan below is final.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::numbering::{Numbering, NumberingPlan};
use super::of_key::{Joined, KeyBuild, KeyPlan};
use super::picking::{Picking, ToPick, place_of};
use super::spec::{Other, Output, Spec, Value};
use crate::functions::{BoundArguments, Kind};
use crate::operators::sessionize::late::emit::Function;
use crate::operators::sessionize::late::exec::LateSessionizeExec;
use crate::operators::sessionize::late::keyed::{Keyed, columns_of};
use crate::operators::sessionize::late::narrow::{Through, below_projections};
use crate::operators::sessionize::late::order::{By, by};
use crate::operators::sessionize::late::window::only_time;

/// Everything that is read of the input, and what is made of it.
#[derive(Debug, Clone)]
pub(super) struct AggregatePlan {
    pub(super) keyed: Keyed,
    /// Cuts the rows of a key into sessions, each of which is a group.
    pub(super) sessions: Option<Arc<BoundArguments>>,
    pub(super) picks: Arc<Picking>,
    /// What sessions get of all rows of their key.
    pub(super) of_key: Option<KeyPlan>,
    pub(super) others: Vec<Other>,
    /// Their arguments, each with its condition after it.
    pub(super) arguments: Option<Arc<dyn ExecutionPlan>>,
    pub(super) wanted: Wanted,
    pub(super) columns: Vec<(FieldRef, Made)>,
    pub(super) numbering: Option<NumberingPlan>,
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
    /// Of a row of the key.
    OfKey {
        slot: usize,
        column: usize,
    },
    RowNumber,
}

/// What the rows of a key are cut into.
struct Sessions<'a> {
    below: &'a LateSessionizeExec,
    bound: Arc<BoundArguments>,
}

impl AggregatePlan {
    /// `None` if the groups are none of sessions and no row is picked by an order, or if an
    /// aggregation that is joined to them is not of the same rows.
    pub(super) fn new(
        spec: &Spec,
        outputs: &[Output],
        input: &Arc<dyn ExecutionPlan>,
        joined: Option<(&Joined, &Arc<dyn ExecutionPlan>)>,
        numbering: Option<&Numbering>,
    ) -> Result<Option<Self>> {
        let (base, through) = below_projections(input);
        let group = spec.group.iter().map(|e| through.of(e));
        let group = group.collect::<Result<Vec<_>>>()?;
        let order = by(&spec.order, |e| through.of(e))?;
        let late = base.downcast_ref::<LateSessionizeExec>();
        let sessions = late.and_then(|late| sessions(late, &group, &order));
        let of_key = match (joined, &sessions) {
            (None, _) => None,
            (Some((joined, input)), Some(sessions)) => {
                let below = sessions.below;
                match KeyBuild::new(joined, input, below, &group)? {
                    Some(of_key) => Some(of_key),
                    None => return Ok(None),
                }
            }
            (Some(_), None) => return Ok(None),
        };
        let mut build = Build {
            base: &base,
            group,
            sessions,
            order,
            conditions: Vec::new(),
            rows: ToPick::default(),
            of_key,
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
        let numbering = match numbering {
            Some(numbering) => match build.numbering(numbering, &through)? {
                Some(plan) => Some(plan),
                None => return Ok(None),
            },
            None => None,
        };
        build.finish(columns, numbering).map(Some)
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
    rows: ToPick,
    of_key: Option<KeyBuild>,
    others: Vec<Other>,
    wanted: Wanted,
}

impl Build<'_> {
    fn made(&mut self, output: &Output, through: &Through) -> Result<Made> {
        if let Some(of_key) = self.of_key.as_mut().filter(|_| output.of_key) {
            return of_key.made(&output.value);
        }
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
                let (slot, column) = self.rows.pick(*last, condition, through.of(expr)?);
                Made::Picked { slot, column }
            }
            Value::Other(other) => self.other(other, through)?,
            Value::RowNumber => Made::RowNumber,
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
        self.rows.pick(self.rows.any_is_last(), None, expr)
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

    /// What groups are numbered by; `None` if that is known only after rows are read.
    fn numbering(
        &mut self,
        numbering: &Numbering,
        through: &Through,
    ) -> Result<Option<NumberingPlan>> {
        let rows = std::mem::take(&mut self.rows);
        let columns = numbering.outputs.iter().map(|output| {
            let made = self.made(output, through)?;
            Ok((Arc::clone(&output.field), made))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let ahead = std::mem::replace(&mut self.rows, rows);
        let any = match &ahead.slots[..] {
            [] => None,
            [slot] if slot.condition.is_none() => Some(self.rows.slot(slot.last, None)),
            _ => return Ok(None),
        };
        Ok(Some(NumberingPlan {
            slot: any,
            picks: ahead.over(self.base)?,
            columns,
            key: numbering.key.clone(),
            order: numbering.order.clone(),
        }))
    }

    fn finish(
        self,
        columns: Vec<(FieldRef, Made)>,
        numbering: Option<NumberingPlan>,
    ) -> Result<AggregatePlan> {
        let keyed = match &self.sessions {
            Some(sessions) => {
                let (below, order) = (sessions.below, self.order());
                let key = &below.shape().key;
                // conditions may be about what the operator below adds
                Keyed::over(self.base, key, order, &self.conditions)?
            }
            None => Keyed::over(self.base, &self.group, &self.order, &self.conditions)?,
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
            picks: self.rows.over(self.base)?,
            of_key: self.of_key.map(KeyBuild::finish).transpose()?,
            others: self.others,
            arguments,
            wanted: self.wanted,
            columns,
            numbering,
        })
    }
}
