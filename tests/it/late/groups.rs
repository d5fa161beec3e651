//! First and last rows of groups, and sessions as groups, against DataFusion's aggregation.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::physical_plan::{ExecutionPlan, collect};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::{Events, Memory, Run, context, events, same_as_standard, write};

/// First and last rows of visitors, by one order and by its reverse.
pub(super) const GROUPS: &str = "
    select visitor, payload = 'x' as is_x, count(*), count(number), min(t), max(t), sum(number),
        min(payload), first_value(payload order by t, id), last_value(payload order by t, id),
        first_value(number order by t, id), last_value(id order by t, id),
        first_value(id order by t desc, id desc), last_value(t order by t desc, id desc),
        last_value(number order by t, id) filter (where number > 2),
        last_value(payload order by t, id) filter (where number = 9),
        first_value(number order by t, id) ignore nulls, sum(id) filter (where number = 1)
    from events group by visitor, payload = 'x'";

/// Groups by an order that ties often, nulls first.
const TIED: &str = "
    select number, first_value(id order by number nulls first, payload, id desc),
        last_value(id order by number nulls first, payload, id desc),
        first_value(t order by number nulls first, payload, id desc),
        last_value(visitor order by number nulls first, payload, id desc)
    from events group by number";

/// A single value, as of the pack's visitors.
const ONE: &str = "
    select visitor, last_value(payload order by t, id) filter (where number is not null),
        min(t), max(t), count(distinct number)
    from events where payload <> 'yy' group by visitor";

/// Sessions of rows that a window numbers.
pub(super) const SESSIONS: &str = "
    select visitor, session, count(*), min(t), max(t), sum(number), max(payload),
        first_value(payload order by t, number, payload), last_value(id order by t, number, payload, id)
            filter (where number is not null),
        first_value(id order by t, number, payload, id), avg(id)
    from (
        select *, session_number(t) over (
            partition by visitor order by t, number, payload, id
        ) as session
        from events
    )
    group by visitor, session";

/// By id, over a deduplication, without most of the columns.
const SESSION_IDS: &str = "
    select session, n, last - first, last_page from (
        select session, visitor, count(*) as n, arrow_cast(max(t), 'Int64') as last,
            arrow_cast(min(t), 'Int64') as first,
            last_value(payload order by t, id) as last_page
        from (
            select *, session_id(visitor, t, interval '2 minutes') over (
                partition by visitor order by t, id
            ) as session
            from (
                select *, row_number() over (partition by number, payload order by t, id) as copy
                from events
            )
            where copy < 40
        )
        group by session, visitor
    )";

/// Nothing but how many there are.
const COUNTED: &str = "
    select count(*), max(n) from (
        select visitor, session, count(*) as n from (
            select visitor, session_number(t) over (partition by visitor order by t) as session
            from events
        ) group by visitor, session
    )";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_those_of_the_standard_operator() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut draws = ChaCha8Rng::seed_from_u64(1000 + seed);
        let events = events(&mut draws);
        for sql in [GROUPS, TIED, ONE, SESSIONS, SESSION_IDS, COUNTED] {
            let (plan, _) = same_as_standard(&events, sql, &mut draws).await;
            assert_eq!(plan.matches("LateAggregateExec").count(), 1, "{plan}");
            let sessions = [SESSIONS, SESSION_IDS, COUNTED].contains(&sql);
            assert_eq!(plan.contains("groups=sessions"), sessions, "{plan}");
        }
    }
}

/// Where a key has many rows and one value is picked of them, rows are not sorted by it.
#[tokio::test]
async fn few_groups_are_not_sorted() {
    for (visitors, sorted) in [(1, false), (30, false), (2000, true), (9000, true)] {
        let rows = 9000;
        let columns: [(&str, ArrayRef); 4] = [
            (
                "visitor",
                Arc::new(Int64Array::from_iter_values(
                    (0..rows).map(|row| row % visitors),
                )),
            ),
            (
                "t",
                Arc::new(TimestampMillisecondArray::from_iter_values(
                    (0..rows).map(|row| (row * 7919) % rows),
                )),
            ),
            ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
            ("payload", Arc::new(Int64Array::from_iter_values(0..rows))),
        ];
        let folder = TempDir::new().unwrap();
        for file in 0..3 {
            let batch = RecordBatch::try_from_iter(columns.clone()).unwrap();
            write(&folder.path().join(format!("{file}.parquet")), &batch);
        }
        let events = Events { folder };
        for (values, sorted) in [
            ("last_value(id order by t, payload), count(*)", sorted),
            (
                "last_value(id order by t), first_value(id order by t),
                 last_value(payload order by t), first_value(payload order by t)",
                true,
            ),
        ] {
            let sql = format!("select visitor, {values} from events group by visitor");
            let (operator, batch, memory) = (true, 1000, Memory::Unbounded);
            let run = Run {
                operator,
                partitions: 2,
                batch,
                memory,
            };
            let context = context(&events, run).await;
            let frame = context.sql(&sql).await.unwrap();
            let plan = frame.create_physical_plan().await.unwrap();
            let found = collect(Arc::clone(&plan), context.task_ctx())
                .await
                .unwrap();
            let groups: usize = found.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(groups, usize::try_from(visitors).unwrap());
            let late = late_aggregate(&plan).unwrap();
            let reads = late.metrics().unwrap().sum_by_name("narrow_reads");
            let reads = reads.map_or(0, |reads| reads.as_usize());
            assert_eq!(reads, usize::from(sorted), "{visitors} visitors: {sql}");
        }
    }
}

fn late_aggregate(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    match plan.name() {
        "LateAggregateExec" => Some(Arc::clone(plan)),
        _ => plan.children().into_iter().find_map(late_aggregate),
    }
}

/// Picked rows that find no room are put together on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wide_rows_wait_on_disk() {
    let folder = TempDir::new().unwrap();
    let rows = 12_000;
    let visitors =
        (0..rows).map(|row| (row % 7 != 0).then(|| format!("visitor-{}", row % 4001)));
    let times = (0..rows).map(|row| (row * 7919) % rows * 1000);
    let texts = (0..rows).map(|row| format!("{row}-{}", "text".repeat(1000)));
    let columns: [(&str, ArrayRef); 4] = [
        ("visitor", Arc::new(visitors.collect::<StringArray>())),
        (
            "t",
            Arc::new(TimestampMillisecondArray::from_iter_values(times)),
        ),
        ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("payload", Arc::new(StringArray::from_iter_values(texts))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write(&folder.path().join("0.parquet"), &batch);
    let events = Events { folder };
    let all =
        "select visitor, first_value(payload order by t), last_value(payload order by t),
        first_value(id order by t), last_value(id order by t), min(payload),
        last_value(payload order by t) filter (where id % 3 = 0), count(*)
        from events group by visitor";
    // most groups have no such row
    let some = "select first, last, first_id, last_id from (
        select visitor, first_value(payload order by t) filter (where id % 2 = 0) as first,
            last_value(payload order by t) filter (where id % 2 = 0) as last,
            first_value(id order by t) filter (where id % 9 = 0) as first_id,
            last_value(id order by t) filter (where id % 9 = 0) as last_id
        from events group by visitor)";
    for (sql, limit) in [(all, 48 << 20), (some, 14 << 20)] {
        let mut found = Vec::new();
        for (operator, memory) in [
            (false, Memory::Unbounded),
            (true, Memory::Unbounded),
            (true, Memory::Shared(limit)),
        ] {
            let run = Run {
                operator,
                partitions: 1,
                batch: 1000,
                memory,
            };
            let (rows, plan, bytes) =
                super::rows(&context(&events, run).await, sql).await;
            assert_eq!(plan.contains("LateAggregateExec"), operator, "{plan}");
            assert_eq!(
                bytes > 0,
                matches!(memory, Memory::Shared(_)),
                "{bytes} bytes on disk, {memory:?}"
            );
            found.push(rows);
        }
        assert_eq!(found[0].len(), 4002);
        assert_eq!(found[0], found[1]);
        assert_eq!(found[1], found[2]);
    }
}
