//! Sessions that an aggregation by their key is joined to, against DataFusion's join.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Memory, Run, context, events, rows, same_as_standard};

/// Sessions of deduplicated rows, and what `of_visitors` makes of their visitors.
fn joined(of_visitors: &str, columns: &str, on: &str) -> String {
    format!(
        "with kept as (
            select * from (
                select *, row_number() over (partition by number, payload order by t, id) as copy
                from events
            )
            where copy < 40
        ),
        sessions as (
            select visitor as who, session, count(*) as n, min(t) as first_t,
                first_value(id order by t, id) as first_id, max(payload) as greatest
            from (
                select *, session_number(t) over (partition by visitor order by t, id) as session
                from kept
            )
            group by visitor, session
        ),
        of_visitors as ({of_visitors})
        select {columns} from sessions left join of_visitors v on {on}"
    )
}

/// All kinds of values, of which one is not read.
fn all() -> String {
    joined(
        "select last_value(payload order by t, id) filter (where number > 2) as last_payload,
            visitor, first_value(number order by t, id) ignore nulls as first_number,
            last_value(id order by t desc, id desc) as unread,
            first_value(id order by t, id) as first_of_all
        from kept group by visitor",
        "sessions.who || '-' || session as session, n, first_t, first_id, greatest, last_payload,
            v.visitor, first_number + 1 as next, first_of_all",
        "v.visitor = sessions.who",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_keys_are_those_of_a_join() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut draws = ChaCha8Rng::seed_from_u64(7000 + seed);
        let events = events(&mut draws);
        let (plan, _) = same_as_standard(&events, &all(), &mut draws).await;
        assert_eq!(plan.matches("LateAggregateExec").count(), 1, "{plan}");
        assert!(plan.contains("of_keys=["), "{plan}");
        assert!(!plan.contains("JoinExec"), "{plan}");
    }
}

/// Where keys and times do not fit, DataFusion's operators join on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_memory_they_are_joined_on_disk() {
    let mut spilled = 0;
    for seed in 0..12 {
        let mut draws = ChaCha8Rng::seed_from_u64(8000 + seed);
        let events = events(&mut draws);
        let run = |operator, memory| Run {
            operator,
            partitions: 2,
            batch: 100,
            memory,
        };
        let standard = run(false, Memory::Unbounded);
        let (expected, ..) = rows(&context(&events, standard).await, &all()).await;
        let scarce = run(true, Memory::Scarce(1000));
        let (found, plan, bytes) = rows(&context(&events, scarce).await, &all()).await;
        assert!(plan.contains("of_keys=["), "{plan}");
        assert_eq!(found, expected);
        spilled += bytes;
    }
    println!("{spilled} bytes on disk");
}

/// What looks like such a join and is not: other rows, another key, another order, a condition
/// more.
fn others() -> Vec<(String, &'static str)> {
    let last = "select visitor, last_value(payload order by t, id) as p from";
    vec![
        (format!("{last} events group by visitor"), "v.visitor = who"),
        (
            format!("{last} kept where number <> 3 group by visitor"),
            "v.visitor = who",
        ),
        (
            "select payload as visitor, last_value(visitor order by t, id) as p
            from kept group by payload"
                .to_owned(),
            "v.visitor = who",
        ),
        (
            "select visitor, last_value(payload order by number, id) as p
            from kept group by visitor"
                .to_owned(),
            "v.visitor = who",
        ),
        (
            "select visitor, session, last_value(payload order by t, id) as p from (
                select *, session_number(t) over (partition by visitor order by t, id) as session
                from kept
            ) group by visitor, session"
                .to_owned(),
            "v.visitor = who",
        ),
        (
            format!("{last} kept group by visitor"),
            "v.visitor = who and n > 1",
        ),
        (
            format!("{last} kept group by visitor"),
            "v.visitor is not distinct from who",
        ),
        (format!("{last} kept group by visitor"), "v.visitor = 'visitor-' || n"),
        (
            "select visitor, count(*) as p from kept group by visitor".to_owned(),
            "v.visitor = who",
        ),
        // null beside a session of no visitor
        (
            "select visitor, coalesce(last_value(payload order by t, id), 'none') as p
            from kept group by visitor"
                .to_owned(),
            "v.visitor = who",
        ),
        (
            "select visitor, true as p from (
                select visitor, first_value(id order by t, id) from kept group by visitor
            )"
            .to_owned(),
            "v.visitor = who",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_joins_stay() {
    for seed in 0..6 {
        let mut draws = ChaCha8Rng::seed_from_u64(9000 + seed);
        let events = events(&mut draws);
        for (of_visitors, on) in others() {
            let columns = "who, sessions.session, n, first_t, greatest, v.p";
            let sql = joined(&of_visitors, columns, on);
            let (plan, _) = same_as_standard(&events, &sql, &mut draws).await;
            assert!(!plan.contains("of_keys=["), "{sql}\n{plan}");
        }
    }
}

/// Sessions that are numbered among those of one who is known only by the join.
fn numbered(order: &str) -> String {
    let of_visitors =
        "select visitor, first_value(number order by t, id) ignore nulls as number
        from kept group by visitor";
    let columns = "coalesce(number % 3, n) as whose, sessions.*, number";
    format!(
        "select whose + 1 as whose, session, first_t, first_id,
            row_number() over w as number, row_number() over w as again
        from ({}) window w as (partition by whose order by {order})",
        joined(of_visitors, columns, "v.visitor = sessions.who")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_numbered_before_their_rows_are_read() {
    let orders = [
        "first_t, who, session",
        "session desc, n, who nulls first",
        "n, first_t desc nulls last, who, session",
    ];
    for seed in 0..30 {
        println!("seed {seed}");
        let mut draws = ChaCha8Rng::seed_from_u64(10_000 + seed);
        let events = events(&mut draws);
        for order in orders {
            let (plan, _) = same_as_standard(&events, &numbered(order), &mut draws).await;
            assert!(plan.contains("row_number=[partition_by="), "{plan}");
            assert!(!plan.contains("SortExec"), "{plan}");
        }
        let later = numbered("first_id");
        let (plan, _) = same_as_standard(&events, &later, &mut draws).await;
        assert!(plan.contains("row_number=["), "{plan}");
    }
}

/// A value that not every group has a row for is known only once rows are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_depends_on_picked_rows_is_numbered_by_sorting() {
    let sql = "
        select visitor, last_two, i, j, k, row_number() over (partition by last_two order by t, visitor)
        from (
            select visitor, min(t) as t, last_value(payload order by t, id)
                filter (where number = 2) as last_two, first_value(id order by t, id) as i,
                last_value(id order by t, id) as j, last_value(number order by t, id) as k
            from events group by visitor
        )";
    for seed in 0..6 {
        let mut draws = ChaCha8Rng::seed_from_u64(11_000 + seed);
        let events = events(&mut draws);
        let (plan, _) = same_as_standard(&events, sql, &mut draws).await;
        assert!(plan.contains("LateAggregateExec"), "{plan}");
        assert!(!plan.contains("row_number=["), "{plan}");
    }
}

/// A value that is drawn is drawn once: for a visitor, and for a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_drawn_is_drawn_once() {
    let of_visitors = "select visitor, uuid() as p,
        last_value(payload order by t, id) as payload from kept group by visitor";
    let of_one = joined(of_visitors, "who, v.p, v.payload", "v.visitor = who");
    let by_visitor = format!(
        "select who from ({of_one}) where who is not null
        group by who having count(distinct p) <> 1"
    );
    let by_session = "
        select whose from (
            select *, row_number() over (partition by whose order by session, visitor) as number
            from (
                select *, cast(random() * 4 as bigint) as whose from (
                    select visitor, session, count(*) as n from (
                        select *, session_number(t) over (partition by visitor order by t, id)
                            as session
                        from events
                    ) group by visitor, session
                )
            )
        ) group by whose having max(number) <> count(*)";
    for seed in 0..10 {
        let mut draws = ChaCha8Rng::seed_from_u64(12_000 + seed);
        let events = events(&mut draws);
        let run = Run {
            operator: true,
            partitions: 2,
            batch: 100,
            memory: Memory::Unbounded,
        };
        let context = context(&events, run).await;
        for sql in [&by_visitor, by_session] {
            let (found, plan, _) = rows(&context, sql).await;
            assert!(plan.contains("LateAggregateExec"), "{plan}");
            assert_eq!(found, Vec::<String>::new(), "{plan}");
        }
    }
}

/// What fails on rows that a filter drops is not made of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_rows_make_no_values() {
    let queries = [
        "select visitor, session, last_value(id order by t, id) filter (where 10 / number > 2)
        from (
            select *, session_number(t) over (partition by visitor order by t, id) as session
            from events where number <> 0
        ) group by visitor, session",
        "select id, session_number(t) over (partition by 10 / number order by t, id)
        from events where number <> 0",
        "select visitor, first_value(10 / number order by t, id), last_value(id order by t, id),
            last_value(t order by t, id), first_value(10 % number order by t, id)
        from events where number <> 0 group by visitor",
    ];
    for seed in 0..8 {
        let mut draws = ChaCha8Rng::seed_from_u64(13_000 + seed);
        let events = events(&mut draws);
        for sql in queries {
            let (plan, _) = same_as_standard(&events, sql, &mut draws).await;
            assert!(plan.contains("Late"), "{plan}");
        }
    }
}
