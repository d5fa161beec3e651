//! `user_agent` on one core: a million rows of 1,000 distinct strings, in batches of 8,192.
//!
//! Parsing one string tries some hundreds of patterns, so the layouts stress what keeps that
//! off the rows: `plain` finds the distinct strings by hash, `dictionary` has them already,
//! and `no_two_alike` is the worst case, where every row of every batch is parsed.
//!
//! `cargo bench --bench user_agent`

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datafusion_sessionize::functions::scalar_functions;

const ROWS: usize = 1_000_000;
const BATCH: usize = 8_192;
const DISTINCT: usize = 1_000;

/// One of `DISTINCT` strings of usual length: five kinds of browser, 200 versions each.
fn text(number: usize) -> String {
    let version = number / 5;
    match number % 5 {
        0 => format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
             Gecko) Chrome/{version}.0.0.0 Safari/537.36"
        ),
        1 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{version} like Mac OS X) \
             AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.{version} Mobile/15E148 \
             Safari/604.1"
        ),
        2 => format!(
            "Mozilla/5.0 (Linux; Android 13; SM-G{version}B) AppleWebKit/537.36 (KHTML, \
             like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36"
        ),
        3 => format!(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:{version}.0) \
             Gecko/20100101 Firefox/{version}.0"
        ),
        _ => format!(
            "Mozilla/5.0 (compatible; Examplebot/{version}.1; +http://bot.example/info)"
        ),
    }
}

/// Batches of `rows` rows, whose strings are picked by `of`.
fn batches(rows: usize, of: impl Fn(usize) -> usize) -> Vec<ArrayRef> {
    let starts = (0..rows).step_by(BATCH);
    let batch = |start: usize| -> ArrayRef {
        let texts = (start..rows.min(start + BATCH)).map(|row| text(of(row)));
        Arc::new(StringArray::from_iter_values(texts))
    };
    starts.map(batch).collect()
}

fn run(function: &ScalarUDF, batches: &[ArrayRef]) -> Result<()> {
    for batch in batches {
        let field = Field::new("ua", batch.data_type().clone(), true);
        let returns = function.return_type(&[batch.data_type().clone()])?;
        let result = function.invoke_with_args(ScalarFunctionArgs {
            args: vec![ColumnarValue::Array(Arc::clone(batch))],
            arg_fields: vec![Arc::new(field)],
            number_rows: batch.len(),
            return_field: Arc::new(Field::new("agent", returns, true)),
            config_options: Arc::new(ConfigOptions::default()),
        })?;
        black_box(result);
    }
    Ok(())
}

fn user_agent(criterion: &mut Criterion) {
    let functions = scalar_functions();
    let Some(function) = functions.iter().find(|f| f.name() == "user_agent") else {
        return;
    };
    let mut group = criterion.benchmark_group("user_agent");
    group.sample_size(10);
    // a step that visits all strings in an order far from sorted
    let plain = batches(ROWS, |row| row.wrapping_mul(611) % DISTINCT);
    let dictionary =
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let dictionaries: Vec<_> = plain
        .iter()
        .filter_map(|batch| cast(batch, &dictionary).ok())
        .collect();
    for (name, layout) in [("plain", &plain), ("dictionary", &dictionaries)] {
        group.throughput(Throughput::Elements(ROWS as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| run(function, layout));
        });
    }
    let mut round = 0;
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("no_two_alike", |bencher| {
        let next = || {
            round += BATCH;
            batches(BATCH, |row| round + row)
        };
        bencher.iter_batched(
            next,
            |batch| run(function, &batch),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    user_agent(&mut criterion);
    criterion.final_summary();
}
