//! Rows: `show` and `query`.

use std::fs;

use crate::support::{Project, assert_output};

fn built() -> Project {
    let project = Project::small();
    let text = project.run(&["build", "-q"]);
    assert!(text.starts_with("exit: 0"), "{text}");
    project
}

#[test]
fn show() {
    let project = built();
    assert_output!(project.run(&["show", "totals"]), @r#"
    exit: 0
    --- stdout
    +--------+--------+
    | orders | amount |
    +--------+--------+
    | 2      | 50     |
    +--------+--------+
    --- stderr
    "#);
    assert_output!(project.run(&["show", "orders", "--limit", "1"]), @r#"
    exit: 0
    --- stdout
    +----+--------+
    | id | amount |
    +----+--------+
    | 1  | 10     |
    +----+--------+
    --- stderr
    "#);
    assert_output!(project.run(&["show", "-s", "large_orders", "--format", "csv", "--limit", "-1"]), @r#"
    exit: 0
    --- stdout
    id,amount
    2,20
    3,30
    --- stderr
    "#);
    assert_output!(project.run(&["show", "--inline", "select id from {{ ref('orders') }} order by id desc;", "--limit", "2"]), @r#"
    exit: 0
    --- stdout
    +----+
    | id |
    +----+
    | 3  |
    | 2  |
    +----+
    --- stderr
    "#);
}

#[test]
fn query_in_every_form() {
    let project = built();
    let sql = "select id, amount from orders where id < 3 order by id";
    for (format, expected) in [
        ("csv", "id,amount\n1,10\n2,20\n"),
        (
            "json",
            "[{\"id\":1,\"amount\":10},{\"id\":2,\"amount\":20}]\n",
        ),
        (
            "ndjson",
            "{\"id\":1,\"amount\":10}\n{\"id\":2,\"amount\":20}\n",
        ),
    ] {
        let text = project.run(&["query", sql, "--format", format]);
        assert_eq!(text, format!("exit: 0\n--- stdout\n{expected}--- stderr"));
        let file = format!("rows.{format}");
        let text = project.run(&["query", sql, "--format", format, "--output", &file]);
        assert!(text.starts_with("exit: 0"), "{text}");
        let written = fs::read_to_string(project.path(&file)).expect("the file");
        assert_eq!(written, expected);
    }
    assert_output!(project.run(&["query", sql]), @r#"
    exit: 0
    --- stdout
    +----+--------+
    | id | amount |
    +----+--------+
    | 1  | 10     |
    | 2  | 20     |
    +----+--------+
    --- stderr
    "#);
    let text = project.run(&["query", sql, "--format", "parquet", "-o", "rows.parquet"]);
    assert!(text.starts_with("exit: 0"), "{text}");
    let bytes = fs::read(project.path("rows.parquet")).expect("the file");
    assert_eq!(
        (&bytes[..4], &bytes[bytes.len() - 4..]),
        (&b"PAR1"[..], &b"PAR1"[..])
    );
}

#[test]
fn query_reads_a_file_and_sources() {
    let project = built().with(
        "kinds.sql",
        "select kind\nfrom {{ source('raw', 'events') }}\norder by 1\n",
    );
    let text = project.run(&["query", "-f", "kinds.sql", "--format", "csv"]);
    assert_eq!(text, "exit: 0\n--- stdout\nkind\nclick\nview\n--- stderr");
}

#[test]
fn older_versions_are_read_until_a_vacuum() {
    let project = Project::small();
    let run = |arguments: &[&str]| {
        let text = project.run(arguments);
        assert!(text.starts_with("exit: 0"), "{text}");
        text
    };
    run(&["build"]);
    let project = project.with("seeds/orders.csv", "id,amount\n1,10\n2,21\n");
    let run = |arguments: &[&str]| {
        let text = project.run(arguments);
        assert!(text.starts_with("exit: 0"), "{text}");
        text
    };
    run(&["build"]);
    let history = run(&["history", "totals"]);
    let versions: Vec<_> = history.lines().skip(2).take(2).collect();
    assert!(
        versions[0].contains("1  20") && versions[0].contains("1 row"),
        "{history}"
    );
    let amount = |version: &str| {
        let sql = "select amount from totals";
        run(&["query", sql, "--format", "csv", "--version", version])
    };
    assert!(amount("totals=0").contains("amount\n50\n"));
    assert!(amount("1").contains("amount\n21\n"));
    let text = project.run(&["query", "select 1", "--version", "last"]);
    assert!(
        text.contains("expects a version number, found `last`"),
        "{text}"
    );
    let text = project.run(&["query", "select * from totals", "--version", "totals=99"]);
    assert!(
        text.contains("there is no version 99, the newest is 1"),
        "{text}"
    );
    // files that no writer of tables has named are somebody's own
    let notes = project.path("tables/totals/notes.txt");
    fs::write(&notes, "mine").expect("a file");
    let dry = run(&["vacuum", "--retain", "0s", "--dry-run"]);
    assert!(dry.contains("totals: left alone: `notes.txt`"), "{dry}");
    assert!(dry.contains("totals: would remove 1 file"), "{dry}");
    let vacuumed = run(&["vacuum", "--retain", "0s"]);
    assert!(vacuumed.contains("totals: removed 1 file"), "{vacuumed}");
    assert!(notes.exists());
    let again = run(&["vacuum", "--retain", "0s"]);
    assert!(again.contains("nothing to remove"), "{again}");
    // a vacuum changes no row: the next build has nothing to do
    let built = run(&["build", "-s", "totals"]);
    assert!(built.contains("NO-OP"), "{built}");
    let text = project.run(&["history", "large_orders"]);
    assert!(
        text.contains("`large_orders` has no committed table"),
        "{text}"
    );
}

#[test]
fn a_query_that_spills_nothing_needs_no_folder_to_spill_to() {
    let project = Project::small();
    let mut query = project.command(&["query", "select 1 as n", "--format", "csv"]);
    let output = query
        .env("TMPDIR", project.path("missing"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n1\n");
}

/// A disk that is full, and a reader that leaves: neither is a failure of the query.
#[cfg(target_os = "linux")]
#[test]
fn rows_that_cannot_be_written() {
    let project = Project::small();
    for format in ["csv", "parquet"] {
        let arguments = ["query", "select 1 as n", "--format", format];
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let output = project.command(&arguments).stdout(full.unwrap()).output();
        let told = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
        assert!(
            told.starts_with("error: cannot write `stdout`\n"),
            "{format}: {told}"
        );
        assert!(told.contains("no storage space"), "{format}: {told}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = project.command(&arguments).stdout(writer).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{told}");
    }
}
