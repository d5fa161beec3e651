//! Mistakes in data: sources, seeds, tables that are not there, folders that cannot be written.

use std::fs;
use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::parquet::arrow::ArrowWriter;

use crate::support::{Project, assert_output};

#[test]
fn a_source_file_that_is_not_there() {
    let project = Project::small()
        .with("models/schema.yml", "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n          external_location: data/event.csv\n")
        .with("models/x.sql", "{{ config(materialized='table') }}\nselect *\nfrom {{ source('raw', 'events') }}\n");
    assert_output!(project.run(&["run", "-q", "-s", "x"]), @r#"
    exit: 1
    --- stdout
    [1/1] ERROR table main.x: [TIME]
    PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    error: no files match `[DIR]/data/event.csv`
     ,-[models/x.sql:3:9]
     2 | select *
     3 | from {{ source('raw', 'events') }}
     :         ^^^^^^^^^^^^^^^^^^^^^^^
     `----
    "#);
}

#[test]
fn a_parquet_file_that_is_none() {
    let project = Project::small()
        .with("models/schema.yml", "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n          external_location: data/events\n")
        .with("models/x.sql", "{{ config(materialized='table') }}\nselect *\nfrom {{ source('raw', 'events') }}\n")
        .with("data/events/broken.parquet", "not at all");
    assert_output!(project.run(&["run", "-q", "-s", "x"]), @r#"
    exit: 1
    --- stdout
    [1/1] ERROR table main.x: [TIME]
    PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    error: the file `[DIR]/data/events/broken.parquet` is not readable: invalid Parquet file. Corrupt footer
     ,-[models/x.sql:3:9]
     2 | select *
     3 | from {{ source('raw', 'events') }}
     :         ^^^^^^^^^^^^^^^^^^^^^^^
     `----
    "#);
    assert_output!(project.run(&["query", "select * from raw.events"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: there is no table `shop.raw.events`
     ,-[<inline>:1:15]
     1 | select * from raw.events
     :               ^^^^^^^^^^
     `----
    hint: did you mean `source.raw.events`?
    "#);
}

/// A Parquet file whose rows are damaged while its footer is whole.
fn damaged(project: &Project) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..2000));
    let kinds: Vec<String> = (0..2000).map(|i| format!("kind {}", i * 7919)).collect();
    let kinds: ArrayRef = Arc::new(StringArray::from(kinds));
    let batch = RecordBatch::try_from_iter([("id", ids), ("kind", kinds)]);
    let batch = batch.expect("two columns of one length");
    for name in ["data/events/good.parquet", "data/events/worse.parquet"] {
        let file = File::create(project.path(name)).expect("a file");
        let mut writer =
            ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("rows");
        writer.close().expect("a footer");
    }
    let path = project.path("data/events/worse.parquet");
    let mut bytes = fs::read(&path).expect("the file");
    bytes[4..4000].fill(0x5a);
    fs::write(&path, bytes).expect("the file");
}

#[test]
fn a_damaged_parquet_file_is_named() {
    let project = Project::small()
        .with("models/schema.yml", "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n          external_location: data/events\n")
        .with("models/x.sql", "{{ config(materialized='table') }}\nselect *\nfrom {{ source('raw', 'events') }}\n")
        .with("data/events/.keep", "");
    damaged(&project);
    let text = project.run(&["run", "-q", "-s", "x"]);
    assert!(text.starts_with("exit: 1"), "{text}");
    let named = "error: the file `[DIR]/data/events/worse.parquet` is not readable: ";
    assert!(text.contains(named), "{text}");
    assert!(text.contains("models/x.sql:"), "{text}");
}

#[test]
fn a_required_column_that_is_not_there() {
    let project = Project::small()
        .with("models/schema.yml", "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n          external_location: data/events.csv\n        columns:\n          - name: user_id\n            meta: {required: true}\n")
        .with("models/x.sql", "{{ config(materialized='table') }}\nselect *\nfrom {{ source('raw', 'events') }}\n");
    assert_output!(project.run(&["run", "-q", "-s", "x"]), @r#"
    exit: 1
    --- stdout
    [1/1] ERROR table main.x: [TIME]
    PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    error: the required column `user_id` is missing; the file `[DIR]/data/events.csv` has the columns `id`, `kind`
     ,-[models/x.sql:3:9]
     2 | select *
     3 | from {{ source('raw', 'events') }}
     :         ^^^^^^^^^^^^^^^^^^^^^^^
     `----
    "#);
}

#[test]
fn a_seed_with_a_field_too_many() {
    let project = Project::small().with("seeds/orders.csv", "id,amount\n1,2\n3,4,5\n");
    assert_output!(project.run(&["seed", "-q"]), @r#"
    exit: 1
    --- stdout
    [1/1] ERROR seed main.orders: [TIME]
    PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    error: seed `seeds/orders.csv`, line 3: expected 2 fields as in the header, found 3
     ,-[seeds/orders.csv:3:1]
     2 | 1,2
     3 | 3,4,5
     : ^^^^^
     `----
    "#);
}

#[test]
fn tables_that_are_not_built() {
    let project = Project::small();
    assert_output!(project.run(&["show", "totals"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `main.totals` has not been built yet: there is no table at `file://[DIR]/tables/totals`
    hint: build it first: `sessionize build --select +totals`
    "#);
    assert_output!(project.run(&["query", "select * from totals"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `main.totals` has not been built yet: there is no table at `file://[DIR]/tables/totals`
     ,-[<inline>:1:15]
     1 | select * from totals
     :               ^^^^^^
     `----
    hint: build it first: `sessionize build --select +totals`
    "#);
    assert_output!(project.run(&["query", "select * from total"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: there is no table `shop.public.total`
     ,-[<inline>:1:15]
     1 | select * from total
     :               ^^^^^
     `----
    hint: did you mean `totals`?
    "#);
    assert_output!(project.run(&["show", "totls"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `totls` selects nothing
    hint: did you mean `totals`?
    "#);
    assert_output!(project.run(&["show", "--inline", "select *
from {{ ref('totls') }}"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `inline_query` refers to `totls`, which is no model or seed
     ,-[<inline>:2:9]
     1 | select *
     2 | from {{ ref('totls') }}
     :         ^^^^^^^^^^^^
     `----
    hint: did you mean `totals`?
    "#);
}

#[test]
fn a_query_that_is_wrong() {
    let project =
        Project::small().with("wrong.sql", "select id,\n  nope\nfrom raw.events\n");
    assert_output!(project.run(&["query", "-f", "wrong.sql"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: there is no table `shop.raw.events`
     ,-[wrong.sql:3:6]
     2 |   nope
     3 | from raw.events
     :      ^^^^^^^^^^
     `----
    hint: did you mean `source.raw.events`?
    "#);
    assert_output!(project.run(&["query", "-f", "nowhere.sql"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: cannot read `nowhere.sql`
    `-> No such file or directory (os error 2)
    "#);
    assert_output!(project.run(&["query", "drop table totals"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: expected a `select`, `explain` or `describe` statement, found `drop`: queries only read
     ,-[<inline>:1:1]
     1 | drop table totals
     : ^^^^
     `----
    "#);
    let explained = project.run(&["show", "--inline", "explain select 1"]);
    assert!(explained.contains("exit: 0"), "{explained}");
    assert!(explained.contains("EmptyRelation: rows=1"), "{explained}");
    assert_output!(project.run(&["query", "select 1 as a; select 2 as a"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: expected one `select` statement, found 2
    "#);
    assert_output!(project.run(&["query", "select 1 as a", "--format", "csv", "--output", "data"]), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: cannot write `data`
    `-> a folder of that name is there
    "#);
}

#[test]
fn a_place_that_cannot_be_written() {
    let project = Project::small().with("taken", "");
    assert_output!(project.run(&["seed", "-q", "--location", "taken"]), @r#"
    exit: 1
    --- stdout
    [1/1] ERROR seed main.orders: [TIME]
    PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1 in [TIME]
    --- stderr
    error: table `file://[DIR]/taken/orders`: cannot read its log
    `-> Failed to read delta log object: Generic LocalFileSystem error: Unable to walk dir: IO error for operation on [DIR]/taken/orders/_delta_log: Not a directory (os error 20)
    hint: check that the target's `location` (or `--location`) is a folder that can be written to and has room
    "#);
    assert_output!(project.run(&["seed", "-q", "--location", "ftp://host/tables"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: `location` of target `dev`: no store for `ftp://host/tables`: the scheme `ftp` is not one of `file://`, `memory://`, `s3://`, `s3a://`, `gs://`, `gcs://`, `az://`, `abfss://`, `abfs://`, `azure://`, `https://`, `http://` (or a path)
    `-> Error during planning: no store for `ftp://host/tables`: the scheme `ftp` is not one of `file://`, `memory://`, `s3://`, `s3a://`, `gs://`, `gcs://`, `az://`, `abfss://`, `abfs://`, `azure://`, `https://`, `http://` (or a path)
    "#);
}

/// What a source is taken for must not hang on the words of its file's name.
#[test]
fn an_unreadable_file_is_no_missing_one_whatever_its_name() {
    let project = Project::small()
        .with("data/no files match.parquet", "this is no Parquet file")
        .with(
            "models/schema.yml",
            "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n\
             \x20         external_location: data/no files match.parquet\n",
        )
        .with(
            "models/columns.sql",
            "select {{ adapter.get_columns_in_relation(source('raw', 'events')) | length }} as n\n",
        );
    let printed = project.run(&["compile", "--select", "columns"]);
    assert!(printed.starts_with("exit: 2"), "{printed}");
    assert!(printed.contains("is not readable"), "{printed}");
}
