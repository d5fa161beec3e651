use super::*;
use std::collections::BTreeMap;

use crate::runner::compile::{Compiled, IncrementalConfig, NodeConfig};
use crate::runner::error::Location;
use crate::runner::project::{
    ConfigMap, DataTest, Project, Properties, Target, UnitTest, UnitTestRows,
};

#[test]
fn tests_come_right_after_what_they_test_and_hold_up_readers() {
    let dag = dag(vec![
        model("a", &[]),
        test("t_a", "a", &["a"]),
        model("b", &["a"]),
        test("t_b", "b", &["b"]),
        test("t_ab", "b", &["a", "b"]),
        model("c", &["b"]),
    ]);
    let tasks = order(&dag, &dag.nodes);
    assert_eq!(
        lines(&tasks),
        [
            "a after ",
            "t_a after a",
            "b after a t_a",
            "t_b after b",
            "t_ab after a b",
            "c after a b t_a t_b t_ab",
        ]
    );
}

#[test]
fn a_unit_test_runs_before_its_model() {
    let dag = dag(vec![
        model("a", &[]),
        model("b", &["a"]),
        unit_test("u", "b"),
    ]);
    let tasks = order(&dag, &dag.nodes);
    assert_eq!(lines(&tasks), ["a after ", "u after a", "b after a u"]);
}

#[test]
fn readers_wait_for_what_lies_behind_nodes_that_are_no_tasks() {
    let dag = dag(vec![
        model("a", &[]),
        model("e", &["a"]),
        model("b", &["e"]),
    ]);
    let chosen = [Arc::clone(&dag.nodes[0]), Arc::clone(&dag.nodes[2])];
    assert_eq!(lines(&order(&dag, &chosen)), ["a after ", "b after a"]);
}

#[test]
fn tests_alone_wait_for_nothing() {
    let dag = dag(vec![
        model("a", &[]),
        test("t", "a", &["a"]),
        unit_test("u", "a"),
    ]);
    let chosen = [Arc::clone(&dag.nodes[1]), Arc::clone(&dag.nodes[2])];
    assert_eq!(lines(&order(&dag, &chosen)), ["t after ", "u after "]);
}

#[test]
fn each_command_takes_its_own_kinds() {
    let (a, t, u) = (model("a", &[]), test("t", "a", &["a"]), unit_test("u", "a"));
    let takes = |c| [belongs(&a, c), belongs(&t, c), belongs(&u, c)];
    assert_eq!(takes(Command::Build), [true, true, true]);
    assert_eq!(takes(Command::Run), [true, false, false]);
    assert_eq!(takes(Command::Test), [false, true, true]);
    assert_eq!(takes(Command::Seed), [false, false, false]);
    let mut ephemeral = model("e", &[]);
    ephemeral.config.materialized = Materialized::Ephemeral;
    assert!(!belongs(&ephemeral, Command::Build));
}

fn lines(tasks: &[Task]) -> Vec<String> {
    let line = |t: &Task| format!("{} after {}", t.node.id, t.after.join(" "));
    tasks.iter().map(line).collect()
}

fn dag(nodes: Vec<Node>) -> Dag {
    let project = Project {
        name: "p".into(),
        version: None,
        root: "/".into(),
        target_path: "/target".into(),
        clean_targets: Vec::new(),
        vars: serde_json::Map::new(),
        env: BTreeMap::new(),
        target: Target::default(),
        models: Vec::new(),
        seeds: Vec::new(),
        traffic_source_rules: None,
        sources: Vec::new(),
        macros: Vec::new(),
        singular_tests: Vec::new(),
        unit_tests: Vec::new(),
        warnings: Vec::new(),
    };
    Dag {
        project: Arc::new(project),
        nodes: nodes.into_iter().map(Arc::new).collect(),
        logs: Vec::new(),
    }
}

fn model(name: &str, reads: &[&str]) -> Node {
    node(name, NodeKind::Model, reads)
}

fn test(name: &str, attached: &str, reads: &[&str]) -> Node {
    let test = DataTest {
        test: "unique".into(),
        column: None,
        name: None,
        arguments: serde_json::Map::new(),
        config: ConfigMap::default(),
        description: String::new(),
        location: place(),
    };
    let kind = NodeKind::DataTest {
        test: Arc::new(test),
        attached: attached.into(),
    };
    node(name, kind, reads)
}

fn unit_test(name: &str, model: &str) -> Node {
    let test = UnitTest {
        name: name.into(),
        model: model.into(),
        description: String::new(),
        given: Vec::new(),
        expect: UnitTestRows::Dict(Vec::new()),
        vars: serde_json::Map::new(),
        macros: serde_json::Map::new(),
        config: ConfigMap::default(),
        fqn: Vec::new(),
        location: place(),
    };
    let kind = NodeKind::UnitTest {
        test: Arc::new(test),
        model: model.into(),
        given: Vec::new(),
    };
    node(name, kind, &[model])
}

fn place() -> Location {
    Location {
        file: "models/p.yml".into(),
        line: 1,
        column: 1,
        length: 1,
        text: "".into(),
    }
}

fn node(name: &str, kind: NodeKind, reads: &[&str]) -> Node {
    Node {
        id: name.into(),
        name: name.into(),
        kind,
        fqn: Vec::new(),
        file: None,
        config: NodeConfig {
            enabled: true,
            materialized: Materialized::Table,
            tags: Vec::new(),
            unique_key: Vec::new(),
            recompute_by: Vec::new(),
            cluster_by: Vec::new(),
            incremental: IncrementalConfig::default(),
            full_refresh: None,
            location: None,
            format: None,
            partition_by: Vec::new(),
            column_types: BTreeMap::new(),
            delimiter: None,
            where_: None,
            warn_only: false,
            warn_if: None,
            error_if: None,
            limit: None,
            raw: serde_json::Map::new(),
        },
        properties: Properties::default(),
        relation: None,
        raw_code: "".into(),
        compiled: Compiled::default(),
        depends_on: reads.iter().map(|r| NodeId::from(*r)).collect(),
        checksum: String::new(),
    }
}
