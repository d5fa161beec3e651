//! `connected_component` against a naive walk: random links, any batch size and order, with
//! memory and without, so that rows, then links go to disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Int64Type, UInt64Type};
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_sessionize::{SessionizeExt, SessionizeOptions};
use md5::{Digest, Md5};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

type Link = (Option<String>, Option<String>);

const SQL: &str =
    "select number, connected_component(id, other_id) over () as component from links";

/// Random links: chains, stars, loners, doubles, loops and nulls.
fn links(draws: &mut ChaCha8Rng, rows: usize) -> Vec<Link> {
    let ids = draws.random_range(1..=rows.max(1) * 2);
    let id = |number: usize| (number > 0).then(|| format!("id-{number}"));
    let reach = [2, 20, ids].choose(draws).copied().unwrap_or(2);
    let mut links: Vec<Link> = (0..rows)
        .map(|_| {
            let one = draws.random_range(0..=ids);
            let other = match draws.random_range(0..4) {
                0 => draws.random_range(0..=ids),
                1 => one,
                _ => (one + draws.random_range(0..reach)).min(ids),
            };
            (id(one), id(other))
        })
        .collect();
    links.shuffle(draws);
    links
}

fn key(id: &str) -> String {
    let digest: [u8; 16] = Md5::digest(id.as_bytes()).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The labels by walking from id to id until no new one is met.
fn walked(links: &[Link]) -> Vec<Option<String>> {
    let mut next: HashMap<&str, Vec<&str>> = HashMap::new();
    for (id, other) in links {
        for (from, to) in [(id, other), (other, id)] {
            if let Some(from) = from {
                next.entry(from).or_default().extend(to.as_deref());
            }
        }
    }
    let mut labels: HashMap<&str, String> = HashMap::new();
    for start in next.keys() {
        if labels.contains_key(start) {
            continue;
        }
        let mut met = vec![*start];
        let mut seen: HashSet<&str> = met.iter().copied().collect();
        let mut at = 0;
        while at < met.len() {
            met.extend(next[met[at]].iter().filter(|to| seen.insert(to)));
            at += 1;
        }
        let label = met.iter().map(|id| key(id)).min().unwrap();
        labels.extend(met.into_iter().map(|id| (id, label.clone())));
    }
    let label = |(id, _): &Link| id.as_deref().map(|id| labels[id].clone());
    links.iter().map(label).collect()
}

fn context(
    links: &[Link],
    batch: usize,
    memory: Option<(usize, usize)>,
    operator: bool,
) -> SessionContext {
    let mut options = SessionizeOptions::default();
    options.enable_operator = operator;
    let mut config = SessionConfig::new()
        .with_batch_size(batch)
        .with_target_partitions(2)
        .with_option_extension(options);
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some((bytes, for_merges)) = memory {
        config.options_mut().execution.sort_spill_reservation_bytes = for_merges;
        runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(bytes)));
    }
    let runtime = Arc::new(runtime.build().unwrap());
    let context = SessionContext::new_with_config_rt(config, runtime).with_sessionize();
    let batches = links
        .chunks(batch.max(1))
        .enumerate()
        .map(|(chunk, links)| {
            let first = (chunk * batch) as i64;
            let numbers = first..first + links.len() as i64;
            let ids = links.iter().map(|(id, _)| id.as_deref());
            let others = links.iter().map(|(_, other)| other.as_deref());
            RecordBatch::try_from_iter_with_nullable([
                (
                    "number",
                    Arc::new(Int64Array::from_iter_values(numbers)) as ArrayRef,
                    false,
                ),
                (
                    "id",
                    Arc::new(StringArray::from_iter(ids)) as ArrayRef,
                    true,
                ),
                (
                    "other_id",
                    Arc::new(StringArray::from_iter(others)) as ArrayRef,
                    true,
                ),
            ])
            .unwrap()
        });
    let batches: Vec<_> = batches.collect();
    let table = match batches.first() {
        Some(first) => MemTable::try_new(first.schema(), vec![batches]).unwrap(),
        None => panic!("no links"),
    };
    context.register_table("links", Arc::new(table)).unwrap();
    context
}

/// Labels by row number, and how many bytes went to disk.
async fn found(context: &SessionContext) -> (Vec<Option<String>>, usize) {
    let frame = context.sql(SQL).await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    let batches = collect(Arc::clone(&plan), context.task_ctx())
        .await
        .unwrap();
    let mut labels = BTreeMap::new();
    for batch in batches {
        let numbers = batch.column(0).as_primitive::<Int64Type>().clone();
        let texts = batch.column(1).as_string::<i32>().clone();
        for (number, text) in numbers.values().iter().zip(texts.iter()) {
            labels.insert(*number, text.map(str::to_owned));
        }
    }
    (labels.into_values().collect(), spilled(&plan))
}

/// What the operator wrote to disk.
fn spilled(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = (plan.name() == "ConnectedComponentsExec")
        .then(|| plan.metrics().and_then(|m| m.spilled_bytes()))
        .flatten()
        .unwrap_or_default();
    own + plan.children().into_iter().map(spilled).sum::<usize>()
}

#[tokio::test]
async fn labels_are_those_of_a_walk() {
    for seed in 0..40 {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let rows = [1, 2, 30, 300, 3_000].choose(&mut draws).copied().unwrap();
        let links = links(&mut draws, rows);
        let expected = walked(&links);
        for batch in [1, 7, 8_192] {
            for operator in [true, false] {
                let context = context(&links, batch, None, operator);
                let (labels, _) = found(&context).await;
                assert_eq!(labels, expected, "seed {seed}, batch {batch}, {operator}");
            }
        }
    }
}

#[tokio::test]
async fn an_order_that_a_plan_relies_on_is_kept() {
    let links: Vec<Link> = (0..60_000)
        .map(|n| (Some(format!("id-{n}")), Some(format!("user-{}", n / 3))))
        .collect();
    let context = context(&links, 512, Some((12 << 20, 3 << 20)), true);
    let sql = "select n, connected_component(id, other_id) over () as component from (
        select *, row_number() over (order by number) as n from links) order by number";
    let plan = context.sql(sql).await.unwrap();
    let plan = plan.create_physical_plan().await.unwrap();
    let batches = collect(Arc::clone(&plan), context.task_ctx())
        .await
        .unwrap();
    let mut last = 0;
    for batch in batches {
        for number in batch.column(0).as_primitive::<UInt64Type>().values() {
            assert_eq!(*number, last + 1);
            last = *number;
        }
    }
    assert_eq!(last, 60_000);
    assert!(spilled(&plan) > 0);
}

#[tokio::test]
async fn labels_are_the_same_without_memory() {
    let mut on_disk = 0;
    for seed in [103] {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let rows = draws.random_range(80_000..100_000);
        let links = links(&mut draws, rows);
        let expected = walked(&links);
        // enough for all links, for some, and for a sort at a time
        for memory in [7 << 20, 6 << 20, 5 << 20] {
            let context = context(&links, 512, Some((memory, memory / 2)), true);
            let (labels, spilled) = found(&context).await;
            assert!(labels == expected, "seed {seed}, {memory} bytes");
            on_disk += usize::from(spilled > 0);
            assert_eq!(context.runtime_env().memory_pool.reserved(), 0);
        }
    }
    assert!(on_disk >= 2, "{on_disk}");
}
