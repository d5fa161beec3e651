//! The functions against a loop that only a reader of the contract could have written:
//! random rules, random events, any input order, batch size and number of partitions,
//! in one pass (`SessionizeExec`), row by row (`BoundedWindowAggExec`) and a partition at
//! once (`WindowAggExec`).

mod naive;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_sessionize::{SessionizeExt, SessionizeSqlExt};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

use naive::{Answer, Case, batch_type, expected, nanos, random_case, random_rows, table};

const REASONS: [&str; 6] = [
    "first",
    "inactivity",
    "max_duration",
    "calendar_day",
    "value_change",
    "forced",
];

/// What the functions say; with the whole partition at once if `ends` are asked for.
async fn found(
    context: &SessionContext,
    case: &Case,
    ends: bool,
) -> BTreeMap<i64, Option<Answer>> {
    let arguments = case.arguments();
    let end = if ends { "session_end" } else { "session_start" };
    let sql = format!(
        "SELECT id, session_number({arguments}) OVER w, session_event_number({arguments}) \
         OVER w, session_start({arguments}) OVER w, {end}({arguments}) OVER w AS last, \
         session_start_reason({arguments}) OVER w, is_session_start({arguments}) OVER w, \
         session_id(k, {arguments}) OVER w, \
         surrogate_key(k, session_number({arguments}) OVER w) \
         FROM events WINDOW w AS (PARTITION BY k ORDER BY t, id)"
    );
    let frame = context.sessionize_sql(&sql).await.unwrap();
    let batches = frame.collect().await.unwrap();
    let mut answers = BTreeMap::new();
    for batch in batches {
        let number = |column: usize| batch.column(column).as_primitive::<Int64Type>();
        let time = |column: usize, row: usize| {
            let expected = batch_type(case);
            assert_eq!(batch.column(column).data_type(), &expected);
            let ticks = cast(batch.column(column), &DataType::Int64).unwrap();
            ticks.as_primitive::<Int64Type>().value(row) * nanos(case.unit)
        };
        let text = |column: usize| batch.column(column).as_string::<i32>();
        let starts = batch.column(6).as_boolean();
        for row in 0..batch.num_rows() {
            let answer = number(1).is_valid(row).then(|| Answer {
                number: number(1).value(row),
                event: number(2).value(row),
                start: time(3, row),
                end: time(4, row),
                reason: text(5).is_valid(row).then(|| {
                    let found = |name: &&&str| **name == text(5).value(row);
                    *REASONS.iter().find(found).unwrap()
                }),
            });
            match &answer {
                Some(answer) => {
                    assert_eq!(starts.value(row), answer.reason.is_some());
                    assert_eq!(starts.value(row), answer.event == 1);
                    assert_eq!(text(7).value(row), text(8).value(row));
                }
                None => {
                    for column in 2..8 {
                        assert!(batch.column(column).is_null(row), "column {column}");
                    }
                }
            }
            answers.insert(number(0).value(row), answer);
        }
    }
    answers
}

#[tokio::test]
async fn functions_equal_the_naive_loop() {
    for seed in 0..100 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let case = random_case(&mut rng);
        let rows = random_rows(&mut rng, &case);
        if rows.is_empty() {
            continue;
        }
        let config = SessionConfig::new()
            .with_batch_size([1, 2, 7, 64, 8192][rng.random_range(0..5)])
            .with_target_partitions(rng.random_range(1..5));
        let context = SessionContext::new_with_config(config).with_sessionize();
        let table = table(&mut rng, &case, &rows);
        context.register_table("events", Arc::new(table)).unwrap();

        let expected = expected(&case, &rows);
        let at_once = found(&context, &case, true).await;
        assert_eq!(at_once, expected, "seed {seed}, at once, {case:?}");

        // the same functions without the ends, which are not known there
        for (settings, how) in [
            (
                ["enable_operator = true", "late_materialization = true"],
                "late",
            ),
            (
                ["enable_operator = true", "late_materialization = false"],
                "in one pass",
            ),
            (
                ["enable_operator = false", "late_materialization = true"],
                "row by row",
            ),
        ] {
            for setting in settings {
                let setting = format!("SET sessionize.{setting}");
                context.sql(&setting).await.unwrap();
            }
            let mut passing = found(&context, &case, false).await;
            for (id, answer) in &mut passing {
                if let (Some(answer), Some(expected)) = (answer, &expected[id]) {
                    answer.end = expected.end;
                }
            }
            assert_eq!(passing, expected, "seed {seed}, {how}, {case:?}");
        }
    }
}

#[tokio::test]
async fn causal_functions_run_in_bounded_memory() {
    let context = SessionContext::new().with_sessionize();
    let plan = |function: &'static str| {
        let context = context.clone();
        async move {
            let sql = format!(
                "SELECT {function}(t) OVER (PARTITION BY k ORDER BY t) FROM \
                 (VALUES ('a', TIMESTAMP '2026-01-01 09:00:00')) AS events(k, t)"
            );
            let frame = context.sessionize_sql(&sql).await.unwrap();
            let plan = frame.create_physical_plan().await.unwrap();
            datafusion::physical_plan::displayable(plan.as_ref())
                .indent(false)
                .to_string()
        }
    };
    let one_pass = plan("session_number").await;
    assert!(one_pass.contains("SessionizeExec"), "{one_pass}");
    let off = "SET sessionize.enable_operator = false";
    context.sql(off).await.unwrap();
    let bounded = plan("session_number").await;
    assert!(bounded.contains("BoundedWindowAggExec"), "{bounded}");
    let whole = plan("session_end").await;
    assert!(
        whole.contains("WindowAggExec") && !whole.contains("Bounded"),
        "{whole}"
    );
}
