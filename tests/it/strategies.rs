//! dbt's incremental strategies and `on_schema_change`: tables worked out by hand, and a
//! naive implementation over seeded random increments.

mod naive;
mod project;
mod schema;

use std::collections::BTreeSet;

use insta::assert_snapshot;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use naive::{Naive, Row, cells, columns, rows};
use project::Project;

const SELECT: &str = "select k, g, v from {{ source('raw', 'new') }}";

/// Schedules of increments a strategy; `SESSIONIZE_SCHEDULES` asks for more.
const SEEDS: u64 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn every_strategy_does_what_the_naive_one_does() {
    let asked = std::env::var("SESSIONIZE_SCHEDULES").ok();
    let seeds = asked.and_then(|n| n.parse().ok()).unwrap_or(SEEDS);
    for naive in Naive::ALL {
        for seed in 0..seeds {
            random_increments(naive, seed).await;
        }
    }
}

async fn random_increments(naive: Naive, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut project = Project::new(naive.config(), SELECT);
    if seed % 2 == 1 {
        // other joins are taken, which can spill
        project = project.memory_limit(100 << 20);
    }
    let mut table: Vec<Row> = Vec::new();
    for step in 0..5 {
        let new = random_rows(&mut random, naive, step == 0);
        project.deliver(columns(&new));
        let versions = if step == 0 { 0 } else { project.log().versions };
        let done = project.run().await;
        let what = format!("{naive:?}, seed {seed}, step {step}: {}", done.message);
        if step > 0 && new.is_empty() {
            assert!(done.message.contains("NO-OP"), "{what}");
            assert_eq!(project.log().versions, versions, "{what}");
        } else {
            assert_eq!(project.log().versions, versions + 1, "{what}");
        }
        match step {
            0 => table.clone_from(&new),
            _ if new.is_empty() => {}
            _ => naive.apply(&mut table, &new),
        }
        assert_eq!(done.rows().await, cells(&table), "{what}");
    }
}

/// Few keys and groups, so that much matches; the first rows may repeat keys.
fn random_rows(random: &mut ChaCha8Rng, naive: Naive, first: bool) -> Vec<Row> {
    let rows = random.random_range(0..12);
    let mut all: Vec<Row> = Vec::new();
    for _ in 0..rows {
        let k = random.random_bool(0.85).then(|| random.random_range(0..8));
        let groups = ["a", "b", "c", ""];
        let g = groups[random.random_range(0..4)];
        let g = random.random_bool(0.85).then(|| g.to_owned());
        let new = (k, g, random.random_range(0..1000));
        let known = all.iter().any(|old| naive.matches(old, &new));
        if first || !naive.needs_unique() || !known {
            all.push(new);
        }
    }
    all
}

/// A table of two increments by hand: what is there, what comes, what must be there then.
async fn by_hand(config: &str, first: &[&str], new: &[&str], then: &[&str]) -> String {
    let project = Project::new(config, SELECT);
    project.deliver(columns(&rows(first)));
    project.run().await;
    project.deliver(columns(&rows(new)));
    let done = project.run().await;
    assert_eq!(done.rows().await, cells(&rows(then)), "{}", done.message);
    done.message
}

#[tokio::test(flavor = "multi_thread")]
async fn append_adds_rows() {
    let said = by_hand(
        "incremental_strategy='append'",
        &["1 a 10", "2 b 20"],
        &["2 b 20", "- - 3"],
        &["1 a 10", "2 b 20", "2 b 20", "- - 3"],
    );
    assert_snapshot!(said.await, @"appended: 2 rows in");
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_updates_and_inserts() {
    let first = ["1 a 10", "2 b 20", "- c 30", "4 d 40", "4 e 41"];
    let new = ["2 x 21", "3 y 31", "- z 32", "- z 33", "4 n 42"];
    let said = by_hand(
        "incremental_strategy='merge', unique_key='K'",
        &first,
        &new,
        &[
            "1 a 10", "2 x 21", "- c 30", "4 n 42", "4 n 42", "3 y 31", "- z 32",
            "- z 33",
        ],
    );
    assert_snapshot!(said.await, @"merged: 3 rows inserted, 2 updated");
    let then = [
        "1 a 10", "2 b 21", "- c 30", "4 d 42", "4 e 42", "3 y 31", "- z 32", "- z 33",
    ];
    for some in ["merge_update_columns=['v']", "merge_exclude_columns='G'"] {
        let config = format!("incremental_strategy='merge', unique_key='k', {some}");
        by_hand(&config, &first, &new, &then).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_and_insert_replaces_all_rows_of_a_key() {
    let said = by_hand(
        "incremental_strategy='delete+insert', unique_key='k'",
        &["1 a 10", "2 b 20", "2 c 21", "- d 30"],
        &["2 x 22", "2 y 23", "- z 32"],
        &["1 a 10", "2 x 22", "2 y 23", "- d 30", "- z 32"],
    );
    assert_snapshot!(said.await, @"replaced by key: 3 rows in, 2 rows out");
}

#[tokio::test(flavor = "multi_thread")]
async fn insert_overwrite_replaces_partitions_or_the_table() {
    let first = ["1 a 10", "2 b 20", "3 b 21", "4 - 30"];
    let new = ["5 b 22", "6 - 31", "7 c 1"];
    let said = by_hand(
        "incremental_strategy='insert_overwrite', partition_by=['g']",
        &first,
        &new,
        &["1 a 10", "5 b 22", "6 - 31", "7 c 1"],
    );
    assert_snapshot!(said.await, @"overwritten by partition: 3 rows in, 3 rows out");
    let said = by_hand(
        "incremental_strategy='insert_overwrite'",
        &first,
        &new,
        &new,
    );
    assert_snapshot!(said.await, @"overwritten: 3 rows in, 4 rows out");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_a_match_keep_their_names() {
    for config in [
        "incremental_strategy='delete+insert', unique_key='k'",
        "incremental_strategy='merge', unique_key='k'",
        "incremental_strategy='insert_overwrite', partition_by='g'",
    ] {
        let project = Project::new(config, SELECT);
        let mut files = Vec::new();
        for (key, group) in [(1, "a"), (2, "b"), (3, "c")] {
            let row = format!("{key} {group} 0");
            project.deliver(columns(&rows(&[&row, "- d 1"])[..1]));
            project.run().await;
            let before: BTreeSet<String> = files.iter().cloned().collect();
            files.extend(project.log().files.difference(&before).cloned());
        }
        assert_eq!(files.len(), 3, "{config}");
        project.deliver(columns(&rows(&["2 b 5", "9 x 5"])));
        let done = project.run().await;
        let then = cells(&rows(&["1 a 0", "2 b 5", "3 c 0", "9 x 5"]));
        assert_eq!(done.rows().await, then, "{config}");
        let now = project.log().files;
        assert!(
            now.contains(&files[0]) && now.contains(&files[2]),
            "{config}"
        );
        assert!(!now.contains(&files[1]), "{config}");
    }
}

const SELF: &str = "select k, g, v from {{ source('raw', 'new') }}
    {% if is_incremental() %} where k > (select max(k) from {{ this }}) {% endif %}";

#[tokio::test(flavor = "multi_thread")]
async fn a_model_may_read_itself() {
    let project = Project::new("incremental_strategy='append'", SELF);
    let all = rows(&["1 a 10", "2 b 20", "3 c 30"]);
    project.deliver(columns(&all[..2]));
    let first = project.run().await;
    assert_eq!(first.rows().await, cells(&all[..2]));
    assert_snapshot!(project.run().await.message, @"NO-OP: nothing new");
    project.deliver(columns(&all));
    let third = project.run().await;
    assert_snapshot!(third.message, @"appended: 1 row in");
    assert_eq!(third.rows().await, cells(&all));
    assert_eq!(project.log().versions, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_increment_of_an_older_version_is_not_committed() {
    let project = Project::new("incremental_strategy='append'", SELF);
    let all = rows(&["1 a 10", "2 b 20"]);
    project.deliver(columns(&all[..1]));
    project.run().await;
    project.deliver(columns(&all));
    let slow = project.prepare().await.unwrap();
    let node = slow.1.nodes.iter().find(|n| n.name == "m").unwrap();
    slow.0.plan(node).await.unwrap();
    assert_eq!(project.run().await.rows().await, cells(&all));
    let lost = project.run_prepared(slow).await.err().unwrap();
    assert_snapshot!(lost, @r"
    `m`: another run committed first
    hint: run it again, one run at a time
    ");
    assert_eq!(project.log().versions, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_that_was_compiled_for_no_table_is_not_added_to_one() {
    let project = Project::new("incremental_strategy='append'", SELF);
    project.deliver(columns(&rows(&["1 a 10"])));
    let slow = project.prepare().await.unwrap();
    project.run().await;
    let lost = project.run_prepared(slow).await.err().unwrap();
    assert_snapshot!(lost, @r"
    `m`: its table has come or gone since it was compiled
    hint: run it again, one run at a time
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_refresh_builds_anew() {
    let project = Project::new("incremental_strategy='append'", SELF);
    project.deliver(columns(&rows(&["1 a 10", "2 b 20"])));
    project.run().await;
    project.deliver(columns(&rows(&["1 a 11"])));
    let project = project.full_refresh(true);
    let done = project.run().await;
    assert_eq!(done.rows().await, cells(&rows(&["1 a 11"])));
    // a model that is shielded from it stays as it is
    project.model("incremental_strategy='append', full_refresh=false", SELF);
    assert_snapshot!(project.run().await.message, @"NO-OP: nothing new");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_key_it_is_never_incremental() {
    let select = "select k, g, v, {{ is_incremental() }} as i
        from {{ source('raw', 'new') }}";
    let project = Project::new("unique_key='k'", select);
    project.deliver(columns(&rows(&["1 a 10"])));
    project.run().await;
    project.deliver(columns(&rows(&["2 b 20"])));
    let cells = project.run().await.rows().await;
    assert_eq!(cells[0][3].as_deref(), Some("false"));
    assert_eq!(cells[0][0].as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_is_named_until_it_is_rebuilt() {
    let select = "select k, g, v * {{ var('times', 1) }} as v
        from {{ source('raw', 'new') }}
        {% if is_incremental() %} where v < {{ var('below', 100) }} {% endif %}";
    let mut project = Project::new("incremental_strategy='append'", select);
    project.deliver(columns(&rows(&["1 a 10"])));
    project.run().await;
    // what only an increment uses leads to the same table when it is rebuilt
    project.var("below", json!(50));
    assert_snapshot!(project.run().await.message, @"appended: 1 row in");
    project.var("times", json!(2));
    let changed =
        "its SQL or a variable has changed since version 0: `--full-refresh` rebuilds it";
    for _ in 0..2 {
        let said = project.run().await.message;
        assert_eq!(said, format!("appended: 1 row in; {changed}"));
    }
    project.deliver(columns(&rows(&[])));
    let said = project.run().await.message;
    assert_eq!(said, format!("NO-OP: nothing new; {changed}"));
    project.deliver(columns(&rows(&["1 a 10"])));
    project = project.full_refresh(true);
    project.run().await;
    project = project.full_refresh(false);
    assert_snapshot!(project.run().await.message, @"appended: 1 row in");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_another_strategy_keys_rebuilds() {
    let project = Project::new("incremental_strategy='append', unique_key='k'", SELECT);
    project.deliver(columns(&rows(&["1 a 10"])));
    project.run().await;
    project.run().await;
    project.model("unique_key='k'", SELECT);
    let done = project.run().await;
    assert_snapshot!(done.message, @"rebuilt in full: its last run used the strategy `append`");
    assert_eq!(done.rows().await, cells(&rows(&["1 a 10"])));
    assert_snapshot!(project.run().await.message, @"NO-OP: nothing new");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded() {
    let rows: Vec<Row> = (0..200_000)
        .map(|k| (Some(k), Some(format!("{}", k % 100)), k))
        .collect();
    for config in [
        "incremental_strategy='delete+insert', unique_key='k'",
        "incremental_strategy='merge', unique_key='k'",
    ] {
        let project = Project::new(config, SELECT).memory_limit(100 << 20);
        project.deliver(columns(&rows));
        project.run().await;
        let done = project.run().await;
        assert_eq!(done.rows().await.len(), rows.len(), "{}", done.message);
        let project = project.memory_limit(64 << 10);
        let error = project.try_run().await.err().unwrap();
        assert!(error.contains("memory"), "{error}");
    }
}

async fn refused(config: &str, new: &[&str]) -> String {
    let project = Project::new(config, SELECT);
    project.deliver(columns(&rows(&["1 a 10"])));
    if let Err(error) = project.try_run().await {
        return error;
    }
    let before = project.log();
    project.deliver(columns(&rows(new)));
    let error = project.try_run().await.err().unwrap();
    assert_eq!(project.log(), before, "a failed run changes nothing");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said() {
    let twice = [
        "3 a 1", "2 a 1", "3 b 2", "- b 2", "- c 3", "2 c 3", "2 c 4",
    ];
    let merge = "incremental_strategy='merge', unique_key='k'";
    assert_snapshot!(refused(merge, &twice).await, @r"
    the `unique_key` of `m` is not unique among its new rows: 3 have `k` = `2`
    hint: `merge` needs one row a key: leave one in the SQL, or take `delete+insert`
    ");
    let merge = "incremental_strategy='merge', unique_key=['k', 'g']";
    assert_snapshot!(refused(merge, &twice).await, @r"
    the `unique_key` of `m` is not unique among its new rows: 2 have `k` = `2`, `g` = `c`
    hint: `merge` needs one row a key: leave one in the SQL, or take `delete+insert`
    ");
    let config = "incremental_strategy='merge', unique_key='key'";
    assert_snapshot!(refused(config, &twice).await, @r"
    `unique_key` names `key`, which is no column of `m`
    hint: its columns: `k`, `g`, `v`
    ");
    let config = "incremental_strategy='insert_overwrite', partition_by='day'";
    assert_snapshot!(refused(config, &twice).await, @r"
    `partition_by` names `day`, which is no column of `m`
    hint: its columns: `k`, `g`, `v`
    ");
    let config =
        "incremental_strategy='merge', unique_key='k', merge_exclude_columns='w'";
    assert_snapshot!(refused(config, &["1 a 1"]).await, @r"
    `merge_exclude_columns` names `w`, which is no column of `m`
    hint: its columns: `k`, `g`, `v`
    ");
    assert_snapshot!(refused("incremental_strategy='microbatch'", &[]).await, @r"
    unknown value for `incremental_strategy`: `microbatch`
    hint: supported: `keys`, `append`, `merge`, `delete+insert`, `insert_overwrite`
    ");
    assert_snapshot!(refused("incremental_strategy='delete+insert'", &[]).await, @r"
    `m` has the strategy `delete+insert` and no `unique_key`
    hint: name the columns by which rows are replaced; `append` adds rows alone
    ");
    let config = "incremental_strategy='merge', unique_key='k', \
                  incremental_predicates=['v > 1']";
    assert_snapshot!(refused(config, &[]).await, @"configuration `incremental_predicates` is not supported");
}
