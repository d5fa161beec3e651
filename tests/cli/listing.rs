//! Listing: which nodes, in which form, in which order.

use crate::support::{Project, assert_output};

#[test]
fn ls_in_every_form() {
    let project = Project::small();
    assert_output!(project.run(&["ls"]), @r#"
    exit: 0
    --- stdout
    source:shop.raw.events
    shop.orders
    shop.large_orders
    shop.totals
    shop.unique_large_orders_id
    --- stderr
    "#);
    assert_output!(project.run(&["ls", "--output", "name"]), @r#"
    exit: 0
    --- stdout
    events
    orders
    large_orders
    totals
    unique_large_orders_id
    --- stderr
    "#);
    assert_output!(project.run(&["ls", "--output", "path"]), @r#"
    exit: 0
    --- stdout
    models/schema.yml
    seeds/orders.csv
    models/large_orders.sql
    models/totals.sql
    models/schema.yml
    --- stderr
    "#);
    assert_output!(project.run(&["ls", "--output", "json", "-s", "totals"]), @r#"
    exit: 0
    --- stdout
    {"name":"totals","resource_type":"model","unique_id":"model.shop.totals","original_file_path":"models/totals.sql","alias":"totals","schema":"main","tags":[],"config":{"enabled":true,"materialized":"table"},"depends_on":{"nodes":["model.shop.large_orders"]}}
    --- stderr
    "#);
    assert_output!(project.run(&["ls", "--resource-type", "source", "test"]), @r#"
    exit: 0
    --- stdout
    source:shop.raw.events
    shop.unique_large_orders_id
    --- stderr
    "#);
}

#[test]
fn the_graph() {
    let project = Project::small();
    assert_output!(project.run(&["ls", "--graph"]), @r#"
    exit: 0
    --- stdout
    source:raw.events
    seed:orders
    └── large_orders
        └── totals
    --- stderr
    "#);
    assert_output!(project.run(&["ls", "--graph", "--format", "mermaid"]), @r#"
    exit: 0
    --- stdout
    flowchart LR
      n0["source:raw.events"]
      n1["seed:orders"]
      n2["large_orders"]
      n3["totals"]
      n1 --> n2
      n2 --> n3
    --- stderr
    "#);
}

#[test]
fn selections() {
    let project = Project::small()
        .with(
            "models/mart/top.sql",
            "{{ config(tags=['nightly']) }}\nselect *\nfrom {{ ref('totals') }}\n",
        )
        .with(
            "models/mart/seen.sql",
            "select *\nfrom {{ source('raw', 'events') }}\n",
        );
    let names = |arguments: &[&str]| {
        let common = ["ls", "--output", "name", "--resource-type", "model", "seed"];
        let text = project.run(&[&common[..], arguments].concat());
        let text = text
            .strip_prefix("exit: 0\n--- stdout\n")
            .expect("it selects");
        let (names, _) = text.split_once("--- stderr").expect("both streams");
        names.lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["-s", "totals"]), "totals");
    assert_eq!(names(&["-s", "t*"]), "totals top");
    assert_eq!(names(&["-s", "+totals"]), "orders large_orders totals");
    assert_eq!(names(&["-s", "1+totals"]), "large_orders totals");
    assert_eq!(names(&["-s", "large_orders+"]), "large_orders totals top");
    assert_eq!(names(&["-s", "large_orders+1"]), "large_orders totals");
    assert_eq!(names(&["-s", "1+totals+1"]), "large_orders totals top");
    assert_eq!(names(&["-s", "@orders"]), "orders large_orders totals top");
    assert_eq!(names(&["-s", "@top"]), "orders large_orders totals top");
    assert_eq!(names(&["-s", "tag:nightly"]), "top");
    assert_eq!(names(&["-s", "path:models/mart"]), "seen top");
    assert_eq!(names(&["-s", "shop.mart"]), "seen top");
    assert_eq!(names(&["-s", "source:raw.events+"]), "seen");
    assert_eq!(names(&["-s", "source:raw+"]), "seen");
    assert_eq!(names(&["-s", "totals", "seen"]), "seen totals");
    assert_eq!(
        names(&["-s", "+totals,+large_orders"]),
        "orders large_orders"
    );
    assert_eq!(
        names(&["-s", "+top", "--exclude", "tag:nightly", "orders"]),
        "large_orders totals"
    );
    assert_eq!(
        names(&["--exclude", "path:models/mart"]),
        "orders large_orders totals"
    );
}
