//! Tests that pass, found out without the rows of their query.
//!
//! A test of a table that is as it should be groups every key to find none twice, or joins
//! every row to find its match. The hashes of the keys, of 128 bits, say the same: keys whose
//! hashes all differ are all different, and a key whose hash is among those of others is among
//! the others. Where they do not say that a test passes, or memory does not hold them, nothing
//! is said, and the query runs.

use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, JoinType, NullEquality, Result, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{Aggregate, Expr, Filter, Join, LogicalPlan, Operator};
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::operators::KeyHasher;

/// Hashes are kept apart by 8 of their bits.
const PARTS: usize = 256;
/// How many hashes of a part memory is taken for at first.
const CHUNK: usize = 64;

/// Whether it is sure that `rows` has no row; `false` says nothing. What fails here fails in the
/// query too, or does not matter to it.
pub(super) async fn is_empty(rows: &DataFrame) -> bool {
    match Claim::of(rows.logical_plan()) {
        Some(claim) => claim.holds(rows).await.unwrap_or(false),
        None => false,
    }
}

/// What has to hold for a query to have no rows.
enum Claim<'a> {
    /// No two rows have one key, which is not null.
    Unique {
        rows: &'a LogicalPlan,
        keys: &'a [Expr],
    },
    /// Every row's key is one of the others'.
    Found {
        rows: &'a LogicalPlan,
        key: &'a Expr,
        among: &'a LogicalPlan,
        other: &'a Expr,
    },
}

impl<'a> Claim<'a> {
    /// `None` if the query is of another kind.
    fn of(plan: &'a LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::Projection(projection) => Self::of(&projection.input),
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input),
            LogicalPlan::Filter(filter) => match &*filter.input {
                LogicalPlan::Aggregate(aggregate) => Self::of_groups(filter, aggregate),
                LogicalPlan::Join(join) => Self::of_join(filter, join),
                _ => None,
            },
            _ => None,
        }
    }

    async fn holds(self, of: &DataFrame) -> Result<bool> {
        match self {
            Self::Unique { rows, keys } => {
                unique(of_plan(of, rows).select(keys.to_vec())?).await
            }
            Self::Found {
                rows,
                key,
                among,
                other,
            } => {
                let keys = of_plan(of, rows).select([key.clone()])?;
                // a null is found by nobody
                let filled = other.clone().is_not_null();
                let others = of_plan(of, among).filter(filled)?;
                found(keys, others.select([other.clone()])?).await
            }
        }
    }

    /// `… group by keys having count(*) > 1`.
    fn of_groups(filter: &Filter, aggregate: &'a Aggregate) -> Option<Self> {
        let [count] = &aggregate.aggr_expr[..] else {
            return None;
        };
        let Expr::BinaryExpr(having) = &filter.predicate else {
            return None;
        };
        let (Expr::Column(left), Expr::Literal(one, _)) = (&*having.left, &*having.right)
        else {
            return None;
        };
        let more_than_one =
            having.op == Operator::Gt && *one == ScalarValue::Int64(Some(1));
        let of_count = left.name() == count.schema_name().to_string();
        let sets = aggregate
            .group_expr
            .iter()
            .any(|key| matches!(key, Expr::GroupingSet(_)));
        if !more_than_one || !of_count || !counts_rows(count) || sets {
            return None;
        }
        Some(Self::Unique {
            rows: &aggregate.input,
            keys: &aggregate.group_expr,
        })
    }

    /// `… left join … on key = other where other is null`.
    fn of_join(filter: &Filter, join: &'a Join) -> Option<Self> {
        let Expr::IsNull(missing) = &filter.predicate else {
            return None;
        };
        let (left, right) = match (&join.on[..], &join.filter) {
            ([(left, right)], None) => (left, right),
            // as it is written: nothing has been looked for in it yet
            ([], Some(Expr::BinaryExpr(equal))) if equal.op == Operator::Eq => {
                (&*equal.left, &*equal.right)
            }
            _ => return None,
        };
        let (key, other) = if **missing == *right {
            (left, right)
        } else {
            (right, left)
        };
        let is_of = |side: &LogicalPlan, expression: &Expr| match expression {
            Expr::Column(column) => side.schema().has_column(column),
            _ => false,
        };
        let plain = join.join_type == JoinType::Left
            && join.null_equality == NullEquality::NullEqualsNothing
            && **missing == *other
            && is_of(&join.left, key)
            && is_of(&join.right, other);
        plain.then(|| Self::Found {
            rows: &join.left,
            key,
            among: &join.right,
            other,
        })
    }
}

/// Whether an aggregate is `count(*)`.
fn counts_rows(aggregate: &Expr) -> bool {
    let aggregate = match aggregate {
        Expr::Alias(alias) => &*alias.expr,
        other => other,
    };
    let Expr::AggregateFunction(call) = aggregate else {
        return false;
    };
    let params = &call.params;
    let of_rows = params.args.iter().all(|argument| match argument {
        Expr::Literal(value, _) => !value.is_null(),
        _ => false,
    });
    call.func.name() == "count" && of_rows && !params.distinct && params.filter.is_none()
}

/// The rows of `plan`, a part of the query `of`.
fn of_plan(of: &DataFrame, plan: &LogicalPlan) -> DataFrame {
    let (state, _) = of.clone().into_parts();
    DataFrame::new(state, plan.clone())
}

/// The hashes of the keys of some rows, by part.
struct Hashes {
    parts: Vec<Vec<u128>>,
    reservation: MemoryReservation,
}

/// The part that a hash belongs to.
fn part_of(hash: u128) -> usize {
    (hash >> 120) as usize
}

/// The hashes of keys, none of which is null.
#[derive(Default)]
struct Keys(KeyHasher);

impl Keys {
    /// `None` if one is null.
    fn hashes(
        &mut self,
        keys: &RecordBatch,
    ) -> Result<Option<impl Iterator<Item = u128>>> {
        if keys
            .columns()
            .iter()
            .any(|key| key.logical_null_count() > 0)
        {
            return Ok(None);
        }
        let [first, second] = self.0.hash(keys.columns(), keys.num_rows())?;
        let hashes = first.iter().zip(second);
        let hashes = hashes.map(|(low, high)| u128::from(*high) << 64 | u128::from(*low));
        Ok(Some(hashes))
    }
}

fn reservation(keys: &DataFrame) -> MemoryReservation {
    let consumer = MemoryConsumer::new("LateTest");
    consumer.register(keys.task_ctx().memory_pool())
}

/// Whether hashes tell the keys apart, and those that they are looked up among.
fn are_hashed<'a>(tables: impl IntoIterator<Item = &'a DataFrame>) -> bool {
    let mut types = tables.into_iter().map(|table| {
        let fields = table.schema().fields().iter();
        fields
            .map(|field| field.data_type().clone())
            .collect::<Vec<_>>()
    });
    let Some(first) = types.next() else {
        return false;
    };
    first.iter().all(KeyHasher::supports) && types.all(|other| other == first)
}

/// Whether all keys differ.
async fn unique(keys: DataFrame) -> Result<bool> {
    if !are_hashed([&keys]) {
        return Ok(false);
    }
    let reservation = reservation(&keys);
    let Some(all) = hashes_of(keys, &reservation).await? else {
        return Ok(false);
    };
    for part in 0..PARTS {
        let (_, differ) = table_of(&all, part, &reservation)?;
        if !differ {
            return Ok(false);
        }
        reservation.free();
    }
    Ok(true)
}

/// Whether all keys are among others.
async fn found(keys: DataFrame, others: DataFrame) -> Result<bool> {
    if !are_hashed([&keys, &others]) {
        return Ok(false);
    }
    let reservation = reservation(&others);
    let Some(all) = hashes_of(others, &reservation).await? else {
        return Ok(false);
    };
    let tables = (0..PARTS).map(|part| {
        let (table, _) = table_of(&all, part, &reservation)?;
        Ok(table)
    });
    let tables = Arc::new(tables.collect::<Result<Vec<_>>>()?);
    drop(all);
    let look_up = |rows| are_in(Arc::clone(&tables), rows);
    Ok(each_partition(keys, look_up).await?.is_some())
}

/// What a hash takes in a table that is least full.
const SLOT: usize = 2 * (size_of::<u128>() + 1);

/// Adds a hash; `false` if it is there.
fn add(table: &mut HashTable<u128>, hash: u128) -> bool {
    let own = |hash: &u128| *hash as u64;
    match table.entry(own(&hash), |other| *other == hash, own) {
        Entry::Occupied(_) => false,
        Entry::Vacant(free) => {
            free.insert(hash);
            true
        }
    }
}

/// The hashes of one part, and whether they all differ.
fn table_of(
    all: &[Hashes],
    part: usize,
    reservation: &MemoryReservation,
) -> Result<(HashTable<u128>, bool)> {
    let rows = all.iter().map(|hashes| hashes.parts[part].len()).sum();
    reservation.try_grow(rows * SLOT)?;
    let (mut table, mut differ) = (HashTable::with_capacity(rows), true);
    for hash in all.iter().flat_map(|hashes| &hashes.parts[part]) {
        differ &= add(&mut table, *hash);
    }
    Ok((table, differ))
}

/// The hashes of all keys, partition by partition; `None` if a key is null.
async fn hashes_of(
    keys: DataFrame,
    reservation: &MemoryReservation,
) -> Result<Option<Vec<Hashes>>> {
    each_partition(keys, |rows| hashed(rows, reservation.new_empty())).await
}

/// What `of` says of each partition of `keys`; `None` if it says nothing of one.
async fn each_partition<T, F>(
    keys: DataFrame,
    of: impl Fn(SendableRecordBatchStream) -> F,
) -> Result<Option<Vec<T>>>
where
    T: Send + 'static,
    F: Future<Output = Result<Option<T>>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for rows in keys.execute_stream_partitioned().await? {
        tasks.spawn(of(rows));
    }
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let known = ended.map_err(|e| DataFusionError::External(Box::new(e)))??;
        let Some(known) = known else {
            return Ok(None);
        };
        all.push(known);
    }
    Ok(Some(all))
}

/// The hashes of the keys of one partition.
async fn hashed(
    mut rows: SendableRecordBatchStream,
    reservation: MemoryReservation,
) -> Result<Option<Hashes>> {
    let mut keys = Keys::default();
    let mut all = Hashes {
        parts: vec![Vec::new(); PARTS],
        reservation,
    };
    while let Some(batch) = rows.try_next().await? {
        let Some(hashes) = keys.hashes(&batch)? else {
            return Ok(None);
        };
        for hash in hashes {
            let part = &mut all.parts[part_of(hash)];
            if part.len() == part.capacity() {
                let more = part.len().max(CHUNK);
                all.reservation.try_grow(more * size_of::<u128>())?;
                part.reserve_exact(more);
            }
            part.push(hash);
        }
    }
    Ok(Some(all))
}

/// Whether the keys of one partition are in `tables`.
async fn are_in(
    tables: Arc<Vec<HashTable<u128>>>,
    mut rows: SendableRecordBatchStream,
) -> Result<Option<()>> {
    let mut keys = Keys::default();
    while let Some(batch) = rows.try_next().await? {
        let Some(mut hashes) = keys.hashes(&batch)? else {
            return Ok(None);
        };
        let in_tables = |hash: u128| {
            let same = |other: &u128| *other == hash;
            tables[part_of(hash)].find(hash as u64, same).is_some()
        };
        if !hashes.all(in_tables) {
            return Ok(None);
        }
    }
    Ok(Some(()))
}

#[cfg(test)]
mod tests {
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use serde_json::json;

    use super::*;
    use crate::runner::data_tests::{self, TestInput};

    /// `a`: `id` 1 to 1,000, `twice`, `some` (null in every third row), `ratio`; `b`: its first
    /// 500 rows.
    async fn context(memory: usize) -> SessionContext {
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory, 1.0);
        let runtime = runtime.build_arc().unwrap();
        let config = SessionConfig::new().with_target_partitions(3);
        let context = SessionContext::new_with_config_rt(config, runtime);
        for statement in [
            "create table a as select value as id, value % 999 as twice,
                case when value % 3 > 0 then 'v' || value end as some,
                cast(value as double) as ratio
                from unnest(range(1, 1001)) as t(value)",
            "create table b as select * from a where id <= 500",
        ] {
            context
                .sql(statement)
                .await
                .unwrap()
                .collect()
                .await
                .unwrap();
        }
        context
    }

    async fn proven(memory: usize, sql: &str) -> bool {
        let rows = context(memory).await.sql(sql).await.unwrap();
        let proven = is_empty(&rows).await;
        assert!(!proven || rows.count().await.unwrap() == 0, "{sql}");
        proven
    }

    fn unique(column: &str) -> String {
        let arguments = serde_json::Map::new();
        let input = TestInput {
            relation: "a",
            column: Some(column),
            arguments: &arguments,
        };
        data_tests::sql("unique", &input).unwrap()
    }

    fn relationships(from: &str, column: &str, to: &str, field: &str) -> String {
        let arguments = json!({"to": to, "field": field});
        let input = TestInput {
            relation: from,
            column: Some(column),
            arguments: arguments.as_object().unwrap(),
        };
        data_tests::sql("relationships", &input).unwrap()
    }

    const ENOUGH: usize = 1 << 24;

    #[tokio::test]
    async fn keys_that_differ_are_seen_to() {
        assert!(proven(ENOUGH, &unique("id")).await);
        assert!(proven(ENOUGH, &unique("some")).await);
        assert!(proven(ENOUGH, &unique("id || '-' || twice")).await);
        let both = "select id, some, count(*) as n from a where some is not null
            group by id, some having count(*) > 1";
        assert!(proven(ENOUGH, both).await);
    }

    #[tokio::test]
    async fn keys_that_may_not_differ_are_counted() {
        assert!(!proven(ENOUGH, &unique("twice")).await);
        assert!(
            !proven(ENOUGH, &unique("ratio")).await,
            "what is not hashed"
        );
        assert!(
            !proven(16 << 10, &unique("id")).await,
            "what memory does not hold"
        );
        for sql in [
            "select some, count(*) as n from a group by some having count(*) > 1",
            "select id, count(*) as n from a group by id having count(*) > 2",
            "select id, id as j, count(*) as n from a group by id, j having count(*) > 1",
            "select id, count(*) as n from a group by id having count(*) >= 1",
            "select id, count(some) as n from a group by id having count(some) > 1",
            "select id, count(distinct twice) as n from a group by id
                having count(distinct twice) > 1",
            "select id, count(*) as n, max(twice) as m from a group by id having count(*) > 1",
            "select id, count(*) as n from a group by rollup(id) having count(*) > 1",
        ] {
            assert!(!proven(ENOUGH, sql).await, "{sql}");
        }
    }

    #[tokio::test]
    async fn keys_among_others_are_found() {
        assert!(proven(ENOUGH, &relationships("b", "id", "a", "id")).await);
        assert!(proven(ENOUGH, &relationships("b", "some", "a", "some")).await);
        assert!(!proven(ENOUGH, &relationships("a", "id", "b", "id")).await);
        assert!(!proven(ENOUGH, &relationships("b", "ratio", "a", "ratio")).await);
        assert!(!proven(16 << 10, &relationships("b", "id", "a", "id")).await);
        for sql in [
            "select b.some from b left join a on b.some = a.some where a.some is null",
            "select b.id from b left join a on b.id = a.id where a.some is null",
            "select b.id from b left join a on b.id = a.id and a.id > 7 where a.id is null",
            "select a.id from a full join b on b.id = a.id where b.id is null",
            "select a.id from b right join a on b.id = a.id where b.id is null",
            "select b.id from b left join a on b.id = a.id where b.id is null",
        ] {
            assert!(!proven(ENOUGH, sql).await, "{sql}");
        }
    }
}
