//! What must not be taken for one.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use tempfile::TempDir;

use super::{Events, Memory, Run, context, rows, write};

/// Windows that look alike in a plan's words and are not: their narrow pass is not shared.
/// And an id that is not of the key is not the same throughout a session.
#[tokio::test]
async fn windows_that_look_alike_are_told_apart() {
    let events = four_events();
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
            memory: Memory::Unbounded,
        });
        let (expected, ..) = rows(&context(&events, standard).await, sql).await;
        let (found, plan, _) = rows(&context(&events, late).await, sql).await;
        assert!(plan.contains("LateSessionizeExec"), "{plan}");
        assert_eq!(found, expected, "{sql}\n{plan}");
    }
}

fn four_events() -> Events {
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
    Events { folder }
}
