//! Functions added to rows as they come from files, against DataFusion's own window operator:
//! random files, orders, ties and nulls, with memory and without.

mod alike;
mod drops;
mod groups;
mod joined;
mod narrowed;
mod scarce;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion_sessionize::{SessionizeExt, SessionizeOptions, SessionizeSqlExt};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use scarce::Scarce;

/// Every function that the operator gives.
const ALL: &str = "
    select id, payload,
        session_number(t) over w, session_id(visitor, t) over w,
        session_event_number(t) over w, is_session_start(t) over w,
        session_start_reason(t) over w, session_start(t) over w,
        session_number(t, interval '1 minute') over w, row_number() over w,
        session_end(t) over w, session_end(t, interval '2 minutes') over w, lag(t) over w, count(*) over w
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
        session_end(t, split_on => payload, start_when => number = 4) over w, lag(t) over w,
        count(*) over w
    from events
    where number > 0
    window w as (partition by visitor order by t, id)";

/// A key of two columns, nulls first.
const TWO_KEYS: &str = "
    select id, row_number() over (
        partition by visitor, payload order by t nulls first, number desc nulls first, id
    )
    from events";

/// Counts of rows that tie, by one order column and by several.
const COUNTS: &str = "
    select visitor, t, number, payload,
        count(*) over (partition by visitor order by t),
        count(1) over (partition by visitor order by number desc, payload),
        session_number(t) over (partition by payload order by t),
        count(*) over (partition by payload order by t)
    from events";

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

/// What a query may hold.
#[derive(Debug, Clone, Copy)]
enum Memory {
    Unbounded,
    /// So many bytes for all operators.
    Shared(usize),
    /// So many for each reservation of ours, see [`Scarce`].
    Scarce(usize),
}

/// How a query is run.
#[derive(Debug, Clone, Copy)]
struct Run {
    operator: bool,
    partitions: usize,
    batch: usize,
    memory: Memory,
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
    let merge = match run.memory {
        // rows of a kilobyte need more for their merge than narrow ones
        Memory::Shared(bytes) if bytes > 8 << 20 => bytes / 32,
        _ => 64 * 1024,
    };
    config.options_mut().execution.sort_spill_reservation_bytes = merge;
    let pool: Option<Arc<dyn MemoryPool>> = match run.memory {
        Memory::Unbounded => None,
        Memory::Shared(bytes) => Some(Arc::new(FairSpillPool::new(bytes))),
        Memory::Scarce(bytes) => Some(Arc::new(Scarce::new(bytes))),
    };
    if let Some(pool) = pool {
        runtime = runtime.with_memory_pool(pool);
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

/// Runs a query on DataFusion's operators and, in a drawn way, on ours: the rows must be the
/// same. Gives our plan, and how many bytes went to disk.
async fn same_as_standard(
    events: &Events,
    sql: &str,
    draws: &mut ChaCha8Rng,
) -> (String, usize) {
    let standard = Run {
        operator: false,
        partitions: 1,
        batch: 8192,
        memory: Memory::Unbounded,
    };
    let (expected, ..) = rows(&context(events, standard).await, sql).await;
    let late = Run {
        operator: true,
        partitions: draws.random_range(1..4),
        batch: [3, 50, 1000, 8192].choose(draws).copied().unwrap_or(1),
        // the first has rows sorted on disk, the second has them read in rounds
        memory: match draws.random_range(0..8) {
            0..3 => Memory::Scarce(100_000),
            3..5 => Memory::Scarce(500_000),
            _ => Memory::Unbounded,
        },
    };
    let (found, plan, bytes) = rows(&context(events, late).await, sql).await;
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{late:?}\n{plan}");
    }
    assert_eq!(found.len(), expected.len(), "{late:?}\n{plan}");
    (plan, bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_those_of_the_standard_operator() {
    let mut on_disk = 0;
    for seed in 0..36 {
        println!("seed {seed}");
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let events = events(&mut draws);
        for (sql, operators) in [
            (ALL, 1),
            (NESTED, 2),
            (RULES, 1),
            (TWO_KEYS, 1),
            (COUNTS, 3),
        ] {
            let (plan, bytes) = same_as_standard(&events, sql, &mut draws).await;
            on_disk += usize::from(bytes > 0);
            let shown = plan.matches("LateSessionizeExec").count();
            assert_eq!(shown, operators, "{plan}");
            assert!(!plan.contains("SortExec"), "{plan}");
        }
    }
    assert!(on_disk > 50, "only {on_disk} runs used the disk");
}

/// Without an order asked for, rows leave in the order of the files; asked for, in that.
#[tokio::test]
async fn rows_leave_as_they_come_unless_an_order_is_asked_for() {
    let events = events(&mut ChaCha8Rng::seed_from_u64(7));
    let run = Run {
        operator: true,
        partitions: 1,
        batch: 100,
        memory: Memory::Unbounded,
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
                memory: Memory::Unbounded,
            };
            let (rows, ..) = self::rows(&context(&events, run).await, sql).await;
            counts.insert(operator, rows);
        }
        counts
    };
    assert_eq!(counts[&true], ["bot|24000|24000", "null|6000|6000"]);
    assert_eq!(counts[&true], counts[&false]);
}
