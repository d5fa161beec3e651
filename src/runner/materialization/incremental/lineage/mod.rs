//! Where the rows of a key come from.
//!
//! A model that is recomputed by a key must be *separable* by it: its rows of some keys are
//! the rows that its SQL gives over those input rows alone that belong to the keys. The key
//! is followed from the model's output down to what it reads:
//!
//! ```text
//! row_number() over (partition by visitor …)     the key is part of every partition: down
//!   └─ coalesce(a, b) as visitor                  it becomes the expression behind the name
//!       └─ left join users on users.id = visitor  both sides, by the equality
//!           └─ scan                               rows of other keys are left out here
//! ```
//!
//! Below a window that is partitioned by something else (one row an id is kept, whoever
//! the visitor is) whole partitions are needed: those that hold a row of the keys. That is
//! a [`Rule::Staged`] leaf.
//!
//! What cannot be followed is no error: the model is rebuilt, and the reason is shown.

mod exprs;

use std::sync::Arc;

use datafusion::common::{Column, DFSchema};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Distinct, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator, Window,
};

use super::key_set::KeySet;
use crate::runner::materialization::reading::Leaf;
pub(super) use exprs::covers;
use exprs::{by_place, filtered, listed, partition_of, rebuilt, substitute, types_of};

/// Why a key cannot be followed, in words that follow "rebuilt in full: ".
pub(super) type Reason = String;

/// Which rows of a leaf the keys need.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// Rows whose key is in the set.
    Direct {
        /// The key, in terms of the leaf's columns.
        key: Vec<Expr>,
    },
    /// All rows of the groups that hold a row whose key is in the set.
    Staged {
        /// The key, in terms of the leaf's columns.
        key: Vec<Expr>,
        /// The group, in terms of the leaf's columns.
        group: Vec<Expr>,
        /// The groups, to be filled.
        groups: Arc<KeySet>,
    },
}

/// A leaf that is read for the keys alone.
#[derive(Debug, Clone)]
pub(super) struct Restricted {
    pub(super) leaf: Leaf,
    pub(super) rule: Rule,
}

/// A model's plan that gives the rows of a set of keys.
#[derive(Debug)]
pub(super) struct Separated {
    pub(super) plan: LogicalPlan,
    pub(super) restricted: Vec<Restricted>,
}

/// Restricts `plan` to the keys that `set` will hold when it runs. `key` names output columns.
pub(super) fn separate(
    plan: &LogicalPlan,
    key: &[Column],
    set: &Arc<KeySet>,
    pool: &Arc<dyn MemoryPool>,
) -> Result<Separated, Reason> {
    let exprs: Vec<_> = key.iter().cloned().map(Expr::Column).collect();
    let mut walk = Walk {
        pool: Arc::clone(pool),
        restricted: Vec::new(),
    };
    let way = Way {
        key: exprs.clone(),
        set: Arc::clone(set),
        staged: None,
    };
    let below = walk.down(plan, &way)?;
    let plan = filtered(set.predicate(&exprs), below)?;
    Ok(Separated {
        plan,
        restricted: walk.restricted,
    })
}

/// The only leaf that `columns` of `plan` come from without a stage between, and what they are
/// there; `None` if there are several or none.
pub(super) fn followed(
    plan: &LogicalPlan,
    columns: &[Column],
    pool: &Arc<dyn MemoryPool>,
) -> Option<(Leaf, Vec<Expr>)> {
    let none = Arc::new(KeySet::new(Vec::new(), pool));
    let mut restricted = separate(plan, columns, &none, pool).ok()?.restricted;
    match (restricted.pop(), restricted.pop()) {
        (Some(Restricted { leaf, rule }), None) => match rule {
            Rule::Direct { key } => Some((leaf, key)),
            Rule::Staged { .. } => None,
        },
        _ => None,
    }
}

/// What is followed downward, in terms of the output of the node at hand.
#[derive(Debug, Clone)]
struct Way {
    key: Vec<Expr>,
    set: Arc<KeySet>,
    /// Below a stage: the key of the rows, while `key` is their group.
    staged: Option<Vec<Expr>>,
}

impl Way {
    /// The same in terms of an input, given what each output column is there.
    fn through(
        &self,
        schema: &DFSchema,
        input: impl Fn(usize) -> Result<Expr, Reason>,
    ) -> Result<Self, Reason> {
        let map = |exprs: &Vec<Expr>| {
            let exprs = exprs.iter().map(|e| substitute(e, schema, &input));
            exprs.collect::<Result<Vec<_>, Reason>>()
        };
        Ok(Self {
            key: map(&self.key)?,
            set: Arc::clone(&self.set),
            staged: self.staged.as_ref().map(map).transpose()?,
        })
    }
}

struct Walk {
    pool: Arc<dyn MemoryPool>,
    restricted: Vec<Restricted>,
}

impl Walk {
    fn down(&mut self, plan: &LogicalPlan, way: &Way) -> Result<LogicalPlan, Reason> {
        match plan {
            LogicalPlan::TableScan(scan) => self.leaf(plan, scan, way),
            LogicalPlan::Window(window) => self.window(plan, window, way),
            LogicalPlan::Join(join) => self.join(plan, join, way),
            LogicalPlan::Projection(projection) => {
                let input = projection.input.as_ref();
                let way = way.through(plan.schema(), |i| {
                    let expr = projection.expr[i].clone().unalias_nested().data;
                    match expr.contains_scalar_subquery() {
                        true => Err("its key is the result of a subquery".to_owned()),
                        false => Ok(expr),
                    }
                })?;
                self.with_input(plan, input, &way)
            }
            LogicalPlan::SubqueryAlias(alias) => self.renamed(plan, &alias.input, way),
            LogicalPlan::Filter(filter) => self.with_input(plan, &filter.input, way),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                self.with_input(plan, &sort.input, way)
            }
            LogicalPlan::Distinct(Distinct::All(input)) => self.renamed(plan, input, way),
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|input| {
                    let way = by_place(plan.schema(), input.schema(), way)?;
                    self.down(input, &way)
                });
                let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
                rebuilt(plan, inputs)
            }
            LogicalPlan::Aggregate(aggregate) if way.staged.is_none() => {
                let way =
                    way.through(plan.schema(), |i| match aggregate.group_expr.get(i) {
                        Some(Expr::GroupingSet(_)) => {
                            Err("it groups by grouping sets".to_owned())
                        }
                        Some(group) => Ok(group.clone().unalias_nested().data),
                        None => Err(format!(
                            "its key `{}` is the result of an aggregation",
                            plan.schema().field(i).name()
                        )),
                    })?;
                self.with_input(plan, &aggregate.input, &way)
            }
            other => Err(format!(
                "its key cannot be followed through `{}`",
                other
                    .display()
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
            )),
        }
    }

    fn with_input(
        &mut self,
        plan: &LogicalPlan,
        input: &LogicalPlan,
        way: &Way,
    ) -> Result<LogicalPlan, Reason> {
        let input = self.down(input, way)?;
        rebuilt(plan, vec![input])
    }

    /// A node whose columns are those of its input under other names.
    fn renamed(
        &mut self,
        plan: &LogicalPlan,
        input: &LogicalPlan,
        way: &Way,
    ) -> Result<LogicalPlan, Reason> {
        let way = by_place(plan.schema(), input.schema(), way)?;
        self.with_input(plan, input, &way)
    }

    fn leaf(
        &mut self,
        plan: &LogicalPlan,
        scan: &datafusion::logical_expr::TableScan,
        way: &Way,
    ) -> Result<LogicalPlan, Reason> {
        let Some(leaf) = Leaf::of(scan) else {
            return Err(format!("it reads `{}`, which is no file", scan.table_name));
        };
        let rule = match &way.staged {
            None => Rule::Direct {
                key: way.key.clone(),
            },
            Some(key) => Rule::Staged {
                key: key.clone(),
                group: way.key.clone(),
                groups: Arc::clone(&way.set),
            },
        };
        self.restricted.push(Restricted { leaf, rule });
        filtered(way.set.predicate(&way.key), plan.clone())
    }

    fn window(
        &mut self,
        plan: &LogicalPlan,
        window: &Window,
        way: &Way,
    ) -> Result<LogicalPlan, Reason> {
        let input = window.input.schema();
        let way = way.through(plan.schema(), |i| {
            if i < input.fields().len() {
                return Ok(Expr::Column(Column::from(input.qualified_field(i))));
            }
            let name = plan.schema().field(i).name();
            Err(format!(
                "its key `{name}` is the result of a window function"
            ))
        })?;
        let partitions = window.window_expr.iter().map(partition_of);
        let partitions = partitions.collect::<Result<Vec<_>, Reason>>()?;
        if partitions.iter().all(|by| covers(by, &way.key)) {
            return self.with_input(plan, &window.input, &way);
        }
        let first = partitions.first().cloned().unwrap_or_default();
        let alike = partitions.iter().all(|by| *by == first);
        if way.staged.is_some() || !alike || first.is_empty() {
            return Err(format!(
                "its windows are partitioned by {}, not by {}",
                listed(&first),
                listed(&way.key)
            ));
        }
        let types = types_of(&first, input)?;
        let stage = Way {
            set: Arc::new(KeySet::new(types, &self.pool)),
            staged: Some(way.key),
            key: first,
        };
        self.with_input(plan, &window.input, &stage)
    }

    fn join(
        &mut self,
        plan: &LogicalPlan,
        join: &Join,
        way: &Way,
    ) -> Result<LogicalPlan, Reason> {
        use JoinType::{Inner, Left, LeftAnti, LeftSemi, Right, RightAnti, RightSemi};
        if way.staged.is_some() {
            return Err("it joins below a window with another partition".to_owned());
        }
        let held = |schema: &DFSchema| {
            let mut columns = way.key.iter().flat_map(Expr::column_refs);
            columns.all(|c| schema.maybe_index_of_column(c).is_some())
        };
        let (left, right) = (&join.left, &join.right);
        let from_left = match join.join_type {
            Inner | Left | LeftAnti | LeftSemi if held(left.schema()) => true,
            Inner | Right | RightAnti | RightSemi if held(right.schema()) => false,
            kind => {
                return Err(format!(
                    "its key does not come from one side of a {kind} join"
                ));
            }
        };
        let (mine, other) = if from_left {
            (left, right)
        } else {
            (right, left)
        };
        let restricted = self.down(mine, way)?;
        let equal = other_side(join, way, from_left);
        let seen = self.restricted.len();
        let other_restricted = equal.and_then(|way| self.down(other, &way).ok());
        let other_restricted = other_restricted.unwrap_or_else(|| {
            // what was found on a way that led nowhere is read whole
            self.restricted.truncate(seen);
            other.as_ref().clone()
        });
        let inputs = match from_left {
            true => vec![restricted, other_restricted],
            false => vec![other_restricted, restricted],
        };
        rebuilt(plan, inputs)
    }
}

/// The key on the other side of a join, by the join's equalities.
fn other_side(join: &Join, way: &Way, from_left: bool) -> Option<Way> {
    let mut pairs: Vec<(&Expr, &Expr)> = join.on.iter().map(|(l, r)| (l, r)).collect();
    for condition in join.filter.iter().flat_map(split_conjunction) {
        if let Expr::BinaryExpr(equality) = condition
            && equality.op == Operator::Eq
        {
            let (a, b) = (equality.left.as_ref(), equality.right.as_ref());
            pairs.extend([(a, b), (b, a)]);
        }
    }
    let (mine, other) = match from_left {
        true => (join.left.schema(), join.right.schema()),
        false => (join.right.schema(), join.left.schema()),
    };
    let same_type = |a: &Expr, b: &Expr| {
        let of = (a.get_type(mine), b.get_type(other));
        matches!(of, (Ok(a), Ok(b)) if a == b)
    };
    let partner = |key: &Expr| {
        let fits = |(a, b): &(&Expr, &Expr)| {
            *a == key && b.try_as_col().is_some() && same_type(a, b)
        };
        let swapped = pairs
            .iter()
            .map(|(l, r)| if from_left { (*l, *r) } else { (*r, *l) });
        swapped.into_iter().find(fits).map(|(_, b)| b.clone())
    };
    let key = way.key.iter().map(partner).collect::<Option<Vec<_>>>()?;
    Some(Way {
        key,
        set: Arc::clone(&way.set),
        staged: None,
    })
}
