//! The wide pass reads what the plan around it asks for, and no key or order beside it.

use super::*;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::config::ConfigOptions;
use datafusion::physical_plan::execution_plan::reset_plan_states;

/// What is asked for, and the columns of the files that are not.
const QUERIES: [(&str, &[&str]); 4] = [
    ("select count(*) from ({})", &["visitor", "t", "payload", "id", "number"]),
    ("select count(*), sum(copy) from ({})", &["visitor", "t", "payload", "id", "number"]),
    ("select max(payload), sum(number) from ({})", &["visitor", "t", "id"]),
    (
        "select payload, session_number(t) over (partition by visitor order by t, id) as n
         from ({})",
        &["id", "number"],
    ),
];

const DEDUPLICATED: &str = "
    select * from (
        select *, row_number() over (partition by number, visitor order by t desc, payload, id)
            as copy
        from events
    )
    where copy = 1";

fn all(plan: &Arc<dyn ExecutionPlan>, found: &mut Vec<Arc<dyn ExecutionPlan>>) {
    found.push(Arc::clone(plan));
    plan.children()
        .into_iter()
        .for_each(|child| all(child, found));
}

/// Rows as text, in no order.
fn shown(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let mut rows: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn no_column_is_read_that_nobody_asks_for() {
    for (seed, (sql, unread)) in QUERIES.into_iter().enumerate() {
        let mut draws = ChaCha8Rng::seed_from_u64(seed as u64);
        let events = events(&mut draws);
        let sql = sql.replace("{}", DEDUPLICATED);
        let (plan, _) = same_as_standard(&events, &sql, &mut draws).await;
        let scan = plan
            .lines()
            .find(|line| line.contains("DataSourceExec"))
            .unwrap();
        println!("{plan}");
        // none are shown where none are read
        let columns = scan
            .split_once("projection=[")
            .map_or("", |(_, columns)| columns);
        let read: Vec<_> = columns.split(']').next().unwrap().split(", ").collect();
        let needless: Vec<_> = unread.iter().filter(|c| read.contains(c)).collect();
        assert!(needless.is_empty(), "{needless:?} of {read:?}\n{plan}");
    }
}

/// A plan that was narrowed runs again, as the recursive part of a query does, and its
/// metrics are those of one run.
#[tokio::test]
async fn a_narrow_plan_runs_again() {
    let events = events(&mut ChaCha8Rng::seed_from_u64(3));
    let run = Run {
        operator: true,
        partitions: 2,
        batch: 100,
        memory: Memory::Unbounded,
    };
    let context = context(&events, run).await;
    for (sql, _) in QUERIES {
        let sql = sql.replace("{}", DEDUPLICATED);
        let (expected, ..) = rows(&context, &sql).await;
        let plan = context
            .sql(&sql)
            .await
            .unwrap()
            .create_physical_plan()
            .await
            .unwrap();
        let first = collect(Arc::clone(&plan), context.task_ctx())
            .await
            .unwrap();
        let again = reset_plan_states(Arc::clone(&plan)).unwrap();
        // as a planner does that sends plans through the rules once more
        let mut twice = Arc::clone(&plan);
        for rule in context.state().physical_optimizers() {
            if rule.name() == "finish_late_operators" {
                twice = rule.optimize(twice, &ConfigOptions::default()).unwrap();
            }
        }
        assert!(!Arc::ptr_eq(&twice, &plan));
        for plan in [&again, &twice] {
            let batches = collect(Arc::clone(plan), context.task_ctx()).await.unwrap();
            let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(found, expected.len());
            assert_eq!(shown(&batches), shown(&first));
            let mut nodes = Vec::new();
            all(plan, &mut nodes);
            for node in nodes
                .iter()
                .filter(|node| node.name() == "LateSessionizeExec")
            {
                let metrics = node.metrics().unwrap();
                let read = metrics.sum_by_name("narrow_reads").unwrap().as_usize();
                assert_eq!(read, 1, "{metrics}");
                assert!(metrics.output_rows().unwrap() > 0, "{metrics}");
            }
        }
    }
}

/// Plans of all kinds around rows that are narrowed.
const AROUND: [&str; 12] = [
    "select count(*) from ({}) where number > 1 and payload = 'x'",
    "select upper(payload), copy + 1 from ({}) where id % 3 = 0",
    "select payload || payload, payload from ({})",
    "select a.payload, count(*) from ({}) a join ({}) b on a.id = b.id group by a.payload",
    "select payload from ({}) union all select visitor from ({})",
    "select count(*) from events where id in (select id from ({}))",
    "select payload from ({}) order by t, id limit 7",
    "select n, count(*) from (select row_number() over (partition by payload order by t, id)
        as n, visitor from ({})) group by n",
    "select session_id(visitor, t) over (partition by visitor order by t, id) as s from ({})
        where number is not null",
    "select max(copies) from (select visitor, count(*) as copies from ({}) group by visitor)",
    "select payload, last_value(number order by t, id) from ({}) group by payload",
    "with d as ({}) select (select count(*) from d), (select max(payload) from d)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_around_narrow_rows_give_the_same() {
    for seed in 0..5 {
        println!("seed {seed}");
        let mut draws = ChaCha8Rng::seed_from_u64(500 + seed);
        let events = events(&mut draws);
        for sql in AROUND {
            let sql = sql.replace("{}", DEDUPLICATED);
            let (plan, _) = same_as_standard(&events, &sql, &mut draws).await;
            assert!(plan.contains("LateSessionizeExec"), "{plan}");
        }
    }
}
