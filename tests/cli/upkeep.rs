//! `optimize`, and what comes before and after it.

use crate::support::{Project, assert_output};

/// Two incremental models, one over the other, after four runs over a growing lake.
fn grown() -> Project {
    let mut project = Project::empty()
        .with(
            "models/sources.yml",
            "sources:\n- name: raw\n  tables:\n  - name: visits\n    config: {external_location: lake}\n",
        )
        .with(
            "models/visits.sql",
            "{{ config(materialized='incremental', unique_key='id', recompute_by='visitor') }}\n\
             select id, visitor,\n\
             row_number() over (partition by visitor order by id) as number\n\
             from {{ source('raw', 'visits') }}\n",
        )
        .with(
            "models/counts.sql",
            "{{ config(materialized='incremental', unique_key='visitor', \
             cluster_by=['Visits']) }}\n\
             select visitor, count(*) as visits from {{ ref('visits') }} group by visitor\n",
        );
    for (name, rows) in [
        ("a", "1,x\n2,y\n3,y\n"),
        ("b", "4,x\n5,z\n"),
        ("c", "6,w\n"),
        ("d", "7,x\n8,v\n"),
    ] {
        project =
            project.with(&format!("lake/{name}.csv"), &format!("id,visitor\n{rows}"));
        ok(&project, &["build"]);
    }
    project
}

fn ok(project: &Project, arguments: &[&str]) -> String {
    let text = project.run(arguments);
    assert!(text.starts_with("exit: 0"), "{arguments:?}: {text}");
    text
}

#[test]
fn small_files_are_joined_and_no_row_changes() {
    let project = grown();
    let rows = |more: &[&str]| {
        let query = [
            "query",
            "--format",
            "csv",
            "select * from visits order by id",
        ];
        ok(&project, &[&query, more].concat())
    };
    let before = rows(&[]);
    let optimized = ok(&project, &["optimize"]);
    for table in ["visits: 4 files (", "counts: 4 files ("] {
        assert!(optimized.contains(table), "{optimized}");
    }
    assert_eq!(optimized.matches(") -> 1 file (").count(), 2, "{optimized}");
    let again = ok(&project, &["optimize", "visits", "--target-size", "1GB"]);
    assert!(again.contains("visits: nothing to do, 1 file ("), "{again}");
    assert!(!again.contains("counts"), "{again}");

    assert_eq!(rows(&[]), before);
    assert_eq!(rows(&["--version", "visits=3"]), before);
    let history = ok(&project, &["history", "visits", "--limit", "1"]);
    assert!(
        history.contains("     4  20")
            && history.contains("OPTIMIZE  1 file in, 4 out, 8 rows"),
        "{history}"
    );
    // neither the table nor what reads it has anything to do
    let built = ok(&project, &["build"]);
    assert_eq!(built.matches("NO-OP").count(), 2, "{built}");
}

#[test]
fn rows_of_a_key_lie_near_each_other() {
    let project = grown();
    ok(&project, &["optimize", "--select", "visits+"]);
    let visits = ok(
        &project,
        &["query", "select visitor from visits", "--format", "csv"],
    );
    assert!(
        visits.contains("visitor\nv\nw\nx\nx\nx\ny\ny\nz\n"),
        "{visits}"
    );
    // `cluster_by` goes before the key, whatever its case
    let counts = ok(
        &project,
        &["query", "select visits from counts", "--format", "csv"],
    );
    assert!(counts.contains("visits\n1\n1\n1\n2\n3\n"), "{counts}");
}

#[test]
fn runs_go_on_after_an_optimize_and_a_vacuum() {
    let project = grown();
    ok(&project, &["optimize"]);
    ok(&project, &["vacuum", "--retain", "0s"]);
    let built = ok(&project, &["build"]);
    assert_eq!(built.matches("NO-OP").count(), 2, "{built}");
    // the rows that `counts` has read are in other files by now: it need not read them again
    let project = project.with("lake/e.csv", "id,visitor\n9,v\n");
    let built = ok(&project, &["build"]);
    assert!(built.contains("1 keys, 1 rows in, 0 rows out"), "{built}");
    assert!(built.contains("1 keys, 1 rows in, 1 rows out"), "{built}");
    let counts = ok(
        &project,
        &[
            "query",
            "select * from counts order by 1",
            "--format",
            "csv",
        ],
    );
    assert!(counts.contains("v,2\nw,1\nx,3\ny,2\nz,1\n"), "{counts}");
}

#[test]
fn a_vacuum_between_two_runs_leads_to_a_rebuild() {
    let project = grown().with("lake/e.csv", "id,visitor\n0,y\n");
    ok(&project, &["run", "--select", "visits"]);
    ok(&project, &["vacuum", "--retain", "0s"]);
    let built = ok(&project, &["run"]);
    assert!(
        built.contains("rebuilt in full: version 3 of `visits` is gone"),
        "{built}"
    );
    let counts = ok(
        &project,
        &[
            "query",
            "select * from counts order by 1",
            "--format",
            "csv",
        ],
    );
    assert!(counts.contains("v,1\nw,1\nx,3\ny,3\nz,1\n"), "{counts}");
}

#[test]
fn what_cannot_be_optimized_is_said() {
    let project = Project::small();
    assert_output!(project.run(&["optimize", "totals"]), @r#"
    exit: 0
    --- stdout
    totals: not built yet
    --- stderr
    "#);
    assert_output!(project.run(&["optimize", "large_orders"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: nothing that is selected has a committed table
    hint: tables, incremental models and seeds have one
    "#);
    assert_output!(project.run(&["optimize", "--target-size", "big"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `big` is not a size
    hint: write a number of bytes or a unit: `256MB`, `512MiB`, `1GB`, `1.5GiB`
    "#);
    let project = project.with(
        "models/totals.sql",
        "{{ config(materialized='table', cluster_by=['orderz']) }}\nselect 1 as orders",
    );
    ok(&project, &["run", "--select", "totals"]);
    assert_output!(project.run(&["optimize", "-s", "totals"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `cluster_by` of `totals` names `orderz`, which is no column of its table
    hint: did you mean `orders`?
    "#);
}
