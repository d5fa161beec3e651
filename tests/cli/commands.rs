//! Every command on a small project.

use std::fs;
use std::process::Stdio;

use crate::support::{Project, assert_output};

#[test]
fn version() {
    assert_output!(Project::empty().run(&["--version"]), @r#"
    exit: 0
    --- stdout
    sessionize [VERSION]
    --- stderr
    "#);
}

#[test]
fn help_names_every_command() {
    assert_output!(Project::empty().run(&["--help"]), @r#"
    exit: 0
    --- stdout
    Turns event lakes into sessions: runs dbt-shaped projects of SQL models over Parquet files

    Usage: sessionize [OPTIONS] <COMMAND>

    Commands:
      init         Write a new project with the model packs and sample data, ready to build
      build        Build seeds and models and test them, in the order of the graph
      run          Build models
      test         Run data tests and unit tests
      seed         Load seeds
      ls           List the nodes of the project, or draw its graph [alias: list]
      compile      Compile models and print their SQL
      show         Print rows of a model's table, or of a query given inline
      query        Run SQL over the built tables and the sources
      history      Print the commits of a model's table, newest first
      vacuum       Remove files that no version of a table needs any more
      optimize     Join the small files of tables into larger ones, sorted by key
      debug        Check the installation, the project, its target and its sources
      clean        Remove what runs left in the project's folder
      generate     Write synthetic page views as Parquet files, partitioned by day
      completions  Print the completion script of a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
          --project-dir <DIR>
              Folder that holds `dbt_project.yml` [default: the current folder]

          --profiles-dir <DIR>
              Folder that holds `profiles.yml` [default: `DBT_PROFILES_DIR`, the project's folder, `~/.dbt`]

      -t, --target <NAME>
              Target of the profile

          --vars <MAPPING>
              Variables of the project, as a YAML or JSON mapping; paths in them start at the project

          --location <URL>
              Where tables are written: a folder or a URL; wins over the profile

          --threads <N>
              How many models run at once; wins over the profile

          --memory-limit <SIZE>
              Memory for queries (256MB, 1GiB); what needs more is spilled to disk

          --log-format <FORMAT>
              Form of progress and errors

              Possible values:
              - text: For people
              - json: One JSON object a line
              
              [default: text]

      -q, --quiet
              Print results and errors only

          --no-color
              No colours (also: the environment variable NO_COLOR)
              
              [alias: --no-use-colors]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    --- stderr
    "#);
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    assert_output!(Project::empty().run(&["biuld"]), @r#"
    exit: 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'biuld'

      tip: a similar subcommand exists: 'build'

    Usage: sessionize [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
}

#[test]
fn completions() {
    let text = Project::empty().run(&["completions", "bash"]);
    assert!(text.starts_with("exit: 0"), "{text}");
    assert!(text.contains("--full-refresh"), "{text}");
}

#[test]
fn generate_writes_days_of_parquet() {
    let project = Project::empty();
    let arguments = [
        "generate",
        "--visitors",
        "5",
        "--days",
        "2",
        "--output",
        "lake",
    ];
    let text = project.run(&arguments);
    assert!(text.starts_with("exit: 0"), "{text}");
    assert!(
        fs::read_dir(project.path("lake"))
            .expect("the lake")
            .count()
            >= 2
    );
    let text = project.run(&[&arguments[..], &["--late", "2"]].concat());
    assert!(text.starts_with("exit: 2"), "{text}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project = Project::small();
    let mut child = project
        .command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_reader_of_rows_that_goes_away_is_no_error() {
    let project = Project::small();
    for format in ["csv", "json", "ndjson", "parquet", "table"] {
        let sql = "select * from generate_series(1, 100000)";
        let mut child = project
            .command(&["query", sql, "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
        assert_eq!(output.status.code(), Some(0), "{format}");
    }
}

#[test]
fn the_ending_of_a_file_tells_the_form_of_its_rows() {
    let project = Project::small();
    let query = |more: &[&str]| {
        let arguments = [&["query", "-q", "select 1 as a, 'x' as b"], more].concat();
        let output = project.run(&arguments);
        assert!(output.starts_with("exit: 0"), "{output}");
    };
    let text = |name: &str| fs::read_to_string(project.path(name)).expect("a file");
    query(&["--output", "rows.csv"]);
    assert_eq!(text("rows.csv"), "a,b\n1,x\n");
    query(&["--output", "rows.jsonl"]);
    assert_eq!(text("rows.jsonl"), "{\"a\":1,\"b\":\"x\"}\n");
    query(&["--output", "rows.json", "--format", "csv"]);
    assert_eq!(text("rows.json"), "a,b\n1,x\n");
    query(&["--output", "rows.txt"]);
    assert!(text("rows.txt").starts_with("+--"));
}

#[test]
fn sql_comes_from_the_standard_input() {
    let project = Project::small();
    let mut child = project
        .command(&["query", "-f", "-", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"select 7 as n").expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n7\n");
}

#[test]
fn a_selection_brings_the_seeds_it_reads_once() {
    let project = Project::small();
    let build = |select: &str| {
        let output = project.run(&["build", "--select", select]);
        assert!(output.starts_with("exit: 0"), "{output}");
        output.contains("`orders` is built too")
    };
    // `totals` reads the seed through a view
    assert!(build("totals"), "the seed has no table");
    assert!(!build("totals"), "its table is up to date");
    let project = project.with("seeds/orders.csv", "id,amount\n1,10\n2,21\n");
    let output = project.run(&["build", "--select", "totals"]);
    assert!(output.contains("`orders` is built too"), "{output}");
    let output = project.run(&["query", "select amount from totals", "--format", "csv"]);
    assert!(output.contains("amount\n21\n"), "{output}");
}

#[test]
fn a_seed_that_is_left_out_is_not_built() {
    let project = Project::small();
    let output = project.run(&["build", "--select", "totals", "--exclude", "orders"]);
    assert!(!output.contains("built too"), "{output}");
    assert!(output.starts_with("exit: 1"), "{output}");
}
