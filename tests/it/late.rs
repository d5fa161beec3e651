//! Functions added to rows as they come from files, against DataFusion's own window operator:
//! random files, orders, ties and nulls, with memory and without.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion_sessionize::{SessionizeExt, SessionizeOptions, SessionizeSqlExt};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

/// Every function that the operator gives.
const ALL: &str = "
    select id, payload,
        session_number(t) over w, session_id(visitor, t) over w,
        session_event_number(t) over w, is_session_start(t) over w,
        session_start_reason(t) over w, session_start(t) over w,
        session_number(t, interval '1 minute') over w, row_number() over w,
        session_end(t) over w, session_end(t, interval '2 minutes') over w, lag(t) over w
    from events
    window w as (partition by visitor order by t, number, payload, id)";

/// A deduplication below sessions, as the packs have it.
const NESTED: &str = "
    select id, payload, session_id(visitor, t) over (partition by visitor order by t, id) as s
    from (
        select *, row_number() over (partition by number, visitor order by t desc, id) as copy
        from events
        where number > 1 and visitor is not null
    )
    where copy = 1";

/// Rules that read more than the time.
const RULES: &str = "
    select id, session_number(t, split_on => payload, start_when => number = 4) over w,
        session_id(visitor, t, end_after => number = 0) over w, row_number() over w,
        session_start(t, gap => arrow_cast(number, 'Duration(Second)'), split_on => number) over w,
        session_end(t, split_on => payload, start_when => number = 4) over w, lag(t) over w
    from events
    where number > 0
    window w as (partition by visitor order by t, id)";

/// A key of two columns, nulls first.
const TWO_KEYS: &str = "
    select id, row_number() over (
        partition by visitor, payload order by t nulls first, number desc nulls first, id
    )
    from events";

/// First and last rows of visitors, by one order and by its reverse.
const GROUPS: &str = "
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

/// Sessions of rows that a window numbers.
const SESSIONS: &str = "
    select visitor, session, count(*), min(t), max(t), sum(number), max(payload),
        first_value(payload order by t, number), last_value(id order by t, number, payload, id)
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

struct Events {
    folder: TempDir,
}

/// Files of random events; `number` and `payload` tie often, `id` never.
fn events(draws: &mut ChaCha8Rng) -> Events {
    let folder = TempDir::new().unwrap();
    let visitors = [1, 3, 40, 4000].choose(draws).copied().unwrap_or(1);
    let span = [10, 4_000_000, 400_000_000]
        .choose(draws)
        .copied()
        .unwrap_or(1);
    let nulls = [0.0, 0.2].choose(draws).copied().unwrap_or_default();
    let ordered = draws.random_bool(0.5);
    let mut id = 0;
    for file in 0..draws.random_range(1..6) {
        let rows = [0, 1, 100, 1500].choose(draws).copied().unwrap_or(1);
        let mut times: Vec<i64> =
            (0..rows).map(|_| draws.random_range(-span..span)).collect();
        if ordered {
            times.sort_unstable();
        }
        let mut some = |p: f64| !draws.random_bool(p);
        let kept: Vec<[bool; 3]> = (0..rows)
            .map(|_| [some(nulls), some(nulls), some(nulls)])
            .collect();
        let visitor = |keep: &[bool; 3]| {
            let visitor = draws.random_range(0..visitors);
            keep[0].then(|| format!("visitor-{visitor}"))
        };
        let visitors: StringArray = kept.iter().map(visitor).collect();
        let times = times.into_iter().zip(&kept);
        let times: TimestampMillisecondArray =
            times.map(|(time, keep)| keep[1].then_some(time)).collect();
        let numbers = kept
            .iter()
            .map(|keep| keep[2].then(|| draws.random_range(0..5)));
        let numbers: Int64Array = numbers.collect();
        let payloads: StringArray = (0..rows)
            .map(|_| Some(["x", "yy", ""].choose(draws).copied().unwrap_or_default()))
            .collect();
        let ids = Int64Array::from_iter_values(id..id + rows);
        id += rows;
        let columns: [(&str, ArrayRef, bool); 5] = [
            ("visitor", Arc::new(visitors), true),
            ("t", Arc::new(times), true),
            ("number", Arc::new(numbers), true),
            ("payload", Arc::new(payloads), true),
            ("id", Arc::new(ids), false),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        write(&folder.path().join(format!("{file}.parquet")), &batch);
    }
    Events { folder }
}

fn write(path: &Path, batch: &RecordBatch) {
    let file = std::fs::File::create(path).unwrap();
    let groups = WriterProperties::builder()
        .set_max_row_group_row_count(Some(400))
        .build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(groups)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// How a query is run.
#[derive(Debug, Clone, Copy)]
struct Run {
    operator: bool,
    partitions: usize,
    batch: usize,
    memory: Option<usize>,
}

async fn context(events: &Events, run: Run) -> SessionContext {
    context_in(events, run, &std::env::temp_dir()).await
}

/// The same, with what it spills in a folder.
async fn context_in(events: &Events, run: Run, spill: &Path) -> SessionContext {
    let mut options = SessionizeOptions::default();
    options.enable_operator = run.operator;
    options.row_number = true;
    let mut config = SessionConfig::new()
        .with_batch_size(run.batch)
        .with_target_partitions(run.partitions)
        .with_option_extension(options);
    config.options_mut().optimizer.repartition_file_min_size = 1;
    let folders = DiskManagerMode::Directories(vec![spill.to_owned()]);
    let disk = DiskManagerBuilder::default().with_mode(folders);
    let mut runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
    if let Some(bytes) = run.memory {
        // rows of a kilobyte need more for their merge than narrow ones
        let merge = if bytes > 8 << 20 {
            bytes / 32
        } else {
            64 * 1024
        };
        config.options_mut().execution.sort_spill_reservation_bytes = merge;
        runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(bytes)));
    }
    let runtime = Arc::new(runtime.build().unwrap());
    let context = SessionContext::new_with_config_rt(config, runtime).with_sessionize();
    let folder = events.folder.path().display().to_string();
    let files = ParquetReadOptions::default();
    context
        .register_parquet("events", folder, files)
        .await
        .unwrap();
    context
}

/// The rows as text, ordered; the plan; and how many bytes went to disk.
async fn rows(context: &SessionContext, sql: &str) -> (Vec<String>, String, usize) {
    let frame = context.sessionize_sql(sql).await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    let batches = collect(Arc::clone(&plan), context.task_ctx())
        .await
        .unwrap();
    let options = FormatOptions::default().with_null("null");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns = batch.columns().iter();
        let columns: Vec<_> = columns
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| column.value(row).to_string());
            rows.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    rows.sort_unstable();
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    (rows, shown, spilled(&plan))
}

fn spilled(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spilled_bytes());
    let below: usize = plan.children().into_iter().map(spilled).sum();
    own.unwrap_or_default() + below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_those_of_the_standard_operator() {
    let mut on_disk = 0;
    for seed in 0..30 {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let events = events(&mut draws);
        for (sql, operators) in [(ALL, 1), (NESTED, 2), (RULES, 1), (TWO_KEYS, 1)] {
            let standard = Run {
                operator: false,
                partitions: 1,
                batch: 8192,
                memory: None,
            };
            let (expected, ..) = rows(&context(&events, standard).await, sql).await;
            let late = Run {
                operator: true,
                partitions: draws.random_range(1..4),
                batch: [3, 50, 1000, 8192].choose(&mut draws).copied().unwrap_or(1),
                memory: draws.random_bool(0.4).then_some(4 << 20),
            };
            let context = context(&events, late).await;
            let (found, plan, bytes) = rows(&context, sql).await;
            on_disk += usize::from(bytes > 0);
            let shown = plan.matches("LateSessionizeExec").count();
            assert_eq!(shown, operators, "{plan}");
            assert!(!plan.contains("SortExec"), "{plan}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "seed {seed}, {late:?}\n{plan}");
            }
            assert_eq!(found.len(), expected.len(), "seed {seed}, {late:?}");
        }
    }
    assert!(on_disk > 5, "only {on_disk} runs used the disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_those_of_the_standard_operator() {
    for seed in 0..30 {
        let mut draws = ChaCha8Rng::seed_from_u64(1000 + seed);
        let events = events(&mut draws);
        for sql in [GROUPS, TIED, SESSIONS, SESSION_IDS, COUNTED] {
            let standard = Run {
                operator: false,
                partitions: 1,
                batch: 8192,
                memory: None,
            };
            let (expected, ..) = rows(&context(&events, standard).await, sql).await;
            let late = Run {
                operator: true,
                partitions: draws.random_range(1..4),
                batch: [3, 50, 1000, 8192].choose(&mut draws).copied().unwrap_or(1),
                memory: draws.random_bool(0.4).then_some(4 << 20),
            };
            let context = context(&events, late).await;
            let (found, plan, _) = rows(&context, sql).await;
            assert_eq!(plan.matches("LateAggregateExec").count(), 1, "{plan}");
            let sessions = [SESSIONS, SESSION_IDS, COUNTED].contains(&sql);
            assert_eq!(plan.contains("groups=sessions"), sessions, "{plan}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "seed {seed}, {late:?}\n{plan}");
            }
            assert_eq!(found.len(), expected.len(), "seed {seed}, {late:?}");
        }
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
        for (operator, memory) in [(false, None), (true, None), (true, Some(limit))] {
            let run = Run {
                operator,
                partitions: 1,
                batch: 1000,
                memory,
            };
            let (rows, plan, bytes) = self::rows(&context(&events, run).await, sql).await;
            assert_eq!(plan.contains("LateAggregateExec"), operator, "{plan}");
            assert_eq!(
                bytes > 0,
                memory.is_some(),
                "{bytes} bytes on disk, {memory:?}"
            );
            found.push(rows);
        }
        assert_eq!(found[0].len(), 4002);
        assert_eq!(found[0], found[1]);
        assert_eq!(found[1], found[2]);
    }
}

/// Without an order asked for, rows leave in the order of the files; asked for, in that.
#[tokio::test]
async fn rows_leave_as_they_come_unless_an_order_is_asked_for() {
    let events = events(&mut ChaCha8Rng::seed_from_u64(7));
    let run = Run {
        operator: true,
        partitions: 1,
        batch: 100,
        memory: None,
    };
    let context = context(&events, run).await;
    let sql =
        "select id, session_number(t) over (partition by visitor order by t, id) as n
               from events";
    for (sql, sorts) in [(sql.to_owned(), 0), (format!("{sql} order by n, id"), 1)] {
        let frame = context.sql(&sql).await.unwrap();
        let plan = frame.create_physical_plan().await.unwrap();
        let plan = displayable(plan.as_ref()).indent(false).to_string();
        assert_eq!(plan.matches("SortExec").count(), sorts, "{plan}");
        assert_eq!(plan.matches("LateSessionizeExec").count(), 1, "{plan}");
    }
}

/// Windows that look alike in a plan's words and are not: their narrow pass is not shared.
/// And an id that is not of the key is not the same throughout a session.
#[tokio::test]
async fn windows_that_look_alike_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let texts = |texts: [&str; 4]| Arc::new(StringArray::from_iter_values(texts));
    let minutes = [0, 50, 20, 90].map(|minute: i64| minute * 60_000);
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(1..5))),
        ("k", texts(["z"; 4])),
        ("a", texts(["x", "x", "y", "y"])),
        ("b", texts(["p", "q", "p", "q"])),
        ("v", texts(["a", "a, b", "b, c", "c"])),
        (
            "t",
            Arc::new(TimestampMillisecondArray::from_iter_values(minutes)),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write(&folder.path().join("0.parquet"), &batch);
    let events = Events { folder };
    let first_of = |key: &str, order: &str| {
        format!(
            "select id, session_number(t) over (partition by k order by t) as n from (
                select *, row_number() over (partition by visitor order by o) as copy
                from (select id, {key} as visitor, k, t, {order} as o from events)
            ) where copy = 1"
        )
    };
    let where_ = |condition: &str| {
        format!(
            "select id, session_number(t) over (partition by k order by t) as n from events
             where {condition}"
        )
    };
    let pairs = [
        (first_of("a", "t"), first_of("b", "t")),
        (first_of("a", "id"), first_of("a", "-id")),
        (
            where_("v || '' in ('a', 'b, c', 'x')"),
            where_("v || '' in ('a, b', 'c', 'x')"),
        ),
        (
            where_("(lower(a) <> a) = (id in (1, 3))"),
            where_("(lower(a) <> 'a@2') = (id in (1, 3))"),
        ),
    ];
    let pairs = pairs.map(|(a, b)| {
        format!("select 'a' as w, * from ({a}) union all select 'b' as w, * from ({b})")
    });
    let other_id = "select k, s, count(*) from (
        select k, session_id(v, t) over (partition by k order by t) as s from events
    ) group by k, s";
    for sql in pairs.iter().map(String::as_str).chain([other_id]) {
        let [standard, late] = [false, true].map(|operator| Run {
            operator,
            partitions: 1,
            batch: 1000,
            memory: None,
        });
        let (expected, ..) = rows(&context(&events, standard).await, sql).await;
        let (found, plan, _) = rows(&context(&events, late).await, sql).await;
        assert!(plan.contains("LateSessionizeExec"), "{plan}");
        assert_eq!(found, expected, "{sql}\n{plan}");
    }
}

/// How many files are below a folder.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

/// A query that is dropped, at whatever point, holds nothing a second later: no memory, no
/// file, no task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_query_lets_go_of_everything() {
    let events = many_events();
    let spill = TempDir::new().unwrap();
    let mut spilled = 0;
    for sql in [ALL, GROUPS, SESSIONS, RULES] {
        for (memory, wait) in [
            (1 << 30, 0),
            (1 << 30, 60),
            (1 << 30, 300),
            (8 << 20, 100),
            (8 << 20, 700),
        ] {
            let run = Run {
                operator: true,
                partitions: 2,
                batch: 1000,
                memory: Some(memory),
            };
            let context = context_in(&events, run, spill.path()).await;
            let frame = context.sessionize_sql(sql).await.unwrap();
            let plan = frame.create_physical_plan().await.unwrap();
            let task = context.task_ctx();
            let all = collect(Arc::clone(&plan), Arc::clone(&task));
            let wait = std::time::Duration::from_millis(wait);
            drop(tokio::time::timeout(wait, all).await);
            spilled += usize::from(self::spilled(&plan) > 0);
            let pool = Arc::clone(task.memory_pool());
            let second = std::time::Instant::now() + std::time::Duration::from_secs(1);
            let metrics = tokio::runtime::Handle::current().metrics();
            let held = || {
                (
                    pool.reserved(),
                    files(spill.path()),
                    metrics.num_alive_tasks(),
                )
            };
            while held() != (0, 0, 0) {
                let left = std::time::Instant::now() < second;
                assert!(left, "{:?} after a second of {sql}", held());
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    }
    assert!(spilled > 0, "no query was dropped while rows were on disk");
}

/// Many events in one file, in no order.
fn many_events() -> Events {
    let folder = TempDir::new().unwrap();
    let rows = 60_000;
    let columns: [(&str, ArrayRef); 5] = [
        (
            "visitor",
            Arc::new(StringArray::from_iter_values(
                (0..rows).map(|row| format!("v{}", row % 7001)),
            )),
        ),
        (
            "t",
            Arc::new(TimestampMillisecondArray::from_iter_values(
                (0..rows).map(|row| (row * 7919) % rows * 1000),
            )),
        ),
        (
            "number",
            Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row % 5))),
        ),
        (
            "payload",
            Arc::new(StringArray::from_iter_values(
                (0..rows).map(|row| "x".repeat(1 + (row % 3) as usize)),
            )),
        ),
        ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write(&folder.path().join("0.parquet"), &batch);
    Events { folder }
}

/// A key that holds most rows is one key like any other.
#[tokio::test]
async fn one_bot_does_not_matter() {
    let folder = TempDir::new().unwrap();
    let rows = 30_000;
    let visitors = (0..rows).map(|row| (row % 5 != 0).then_some("bot"));
    let times = (0..rows).map(|row| (row * 7919) % rows * 1000);
    let columns: [(&str, ArrayRef); 3] = [
        ("visitor", Arc::new(visitors.collect::<StringArray>())),
        (
            "t",
            Arc::new(TimestampMillisecondArray::from_iter_values(times)),
        ),
        ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    write(&folder.path().join("0.parquet"), &batch);
    let events = Events { folder };
    let sql = "select visitor, max(n), count(*) from (
                   select visitor, row_number() over (partition by visitor order by t, id) as n
                   from events
               ) group by visitor";
    let counts: BTreeMap<bool, Vec<String>> = {
        let mut counts = BTreeMap::new();
        for operator in [false, true] {
            let run = Run {
                operator,
                partitions: 3,
                batch: 1000,
                memory: None,
            };
            let (rows, ..) = self::rows(&context(&events, run).await, sql).await;
            counts.insert(operator, rows);
        }
        counts
    };
    assert_eq!(counts[&true], ["bot|24000|24000", "null|6000|6000"]);
    assert_eq!(counts[&true], counts[&false]);
}
