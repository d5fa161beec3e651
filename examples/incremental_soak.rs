//! Incremental = full refresh, for as long as you like: runs seeded schedules of files that
//! come, change and go, with killed runs, and compares every table after every run.
//!
//! `cargo run --release --example incremental_soak -- --schedules 10000 [--seed 0]`
//!
//! The seed of every failure is printed; `--seed N --schedules 1` runs it again.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::clone_on_ref_ptr,
    reason = "an example shows its result; what it shares with the tests fails by panicking"
)]

#[path = "../tests/it/schedules/mod.rs"]
mod schedules;

use std::error::Error;
use std::time::Instant;

use schedules::{Family, all};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut count, mut first) = (200, 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or("a number is missing")?.parse()?;
        match argument.as_str() {
            "--schedules" => count = value,
            "--seed" => first = value,
            other => return Err(format!("unknown argument `{other}`").into()),
        }
    }
    let cores = std::thread::available_parallelism()?.get();
    let mut failed = 0;
    for family in [Family::Pack, Family::UserModels] {
        let started = Instant::now();
        let seeds = first..first + count;
        let tell = |error: &str| println!("FAILED {error}\n");
        let (tally, failures) = all(family, seeds, cores, tell).await;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{family:?}: {count} schedules, {failures} failed, {seconds:.1} s: {tally:?}"
        );
        failed += failures;
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} schedules failed").into()),
    }
}
