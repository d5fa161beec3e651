//! `session_bucket_id` against counting whole widths by hand.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

use super::answers;

/// Division that truncates, and a step down where it truncated upwards.
fn naive(key: Option<&str>, nanos: Option<i128>, width: i128) -> Option<String> {
    let (key, nanos) = (key?, nanos?);
    let mut bucket = nanos / width;
    if bucket * width > nanos {
        bucket -= 1;
    }
    Some(format!("{key}-{bucket}"))
}

fn random_ticks(random: &mut ChaCha8Rng) -> Option<i64> {
    match random.random_range(0..10) {
        0 => None,
        1 => Some([i64::MIN, i64::MAX, -1, 0, 1][random.random_range(0..5)]),
        2 => Some(random.random()),
        _ => Some(random.random_range(-20_000_000_000..20_000_000_000)),
    }
}

#[tokio::test]
async fn buckets_are_those_of_a_loop() {
    for seed in 0..60 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (unit, per_tick) = [
            (TimeUnit::Second, 1_000_000_000),
            (TimeUnit::Millisecond, 1_000_000),
            (TimeUnit::Microsecond, 1_000),
            (TimeUnit::Nanosecond, 1_i128),
        ][random.random_range(0..4)];
        let (width, nanos) = [
            ("NULL", 1_800_000_000_000),
            ("INTERVAL '1 nanosecond'", 1),
            ("INTERVAL '1700 milliseconds'", 1_700_000_000),
            ("'7 days'", 604_800_000_000_000_i128),
        ][random.random_range(0..4)];
        let rows = random.random_range(0..200);
        let ticks: Vec<_> = (0..rows).map(|_| random_ticks(&mut random)).collect();
        let keys: Vec<_> = (0..rows)
            .map(|_| [Some("a"), Some("b-1"), Some(""), None][random.random_range(0..4)])
            .collect();
        let expected: Vec<_> = keys
            .iter()
            .zip(&ticks)
            .map(|(key, t)| naive(*key, t.map(|t| i128::from(t) * per_tick), nanos))
            .collect();
        let times = Int64Array::from(ticks);
        let times = cast(&times, &DataType::Timestamp(unit, None)).unwrap();
        let keys: ArrayRef = Arc::new(StringArray::from(keys));
        let sql = format!("SELECT session_bucket_id(key, t, {width}) FROM rows");
        let size = random.random_range(1..50);
        let batches = answers(&sql, vec![("key", keys), ("t", times)], size).await;
        let found: Vec<_> = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_string::<i32>().iter())
            .map(|id| id.map(str::to_owned))
            .collect();
        assert_eq!(found, expected, "seed {seed}: {unit:?}, {width}");
    }
}
