//! `init`: all packs, some packs, and a project over files that are there.

use std::fs;
use std::path::PathBuf;

use crate::support::{Project, assert_output};

pub(crate) fn folder() -> Project {
    let project = Project::empty();
    for file in ["dbt_project.yml", "profiles.yml"] {
        fs::remove_file(project.path(file)).expect("a file");
    }
    project
}

fn packaged(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    path.display().to_string()
}

/// Runs the binary; what it printed if it ended well.
pub(crate) fn fine(project: &Project, arguments: &[&str]) -> String {
    let printed = project.run(arguments);
    assert!(printed.starts_with("exit: 0"), "{arguments:?}: {printed}");
    printed
}

/// The packs, as `init` without a choice writes them.
fn packs(project: &Project) -> Vec<String> {
    fine(project, &["init", "all"]);
    let folders = fs::read_dir(project.path("all/models")).expect("models");
    let names = folders.map(|f| f.expect("a folder").file_name());
    let mut names: Vec<_> = names.map(|n| n.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_pack_and_every_two_packs_are_a_project() {
    let project = folder();
    let packs = packs(&project);
    assert!(packs.len() > 1);
    for (at, one) in packs.iter().enumerate() {
        for two in &packs[at..] {
            let name = format!("{one}-{two}");
            fine(&project, &["init", &name, "--pack", one, two]);
            let listed = fine(&project, &["ls", "--project-dir", &name]);
            for pack in &packs {
                let any = listed.contains(&format!(".{pack}."));
                let along = project.path(&format!("{name}/models/{pack}")).exists();
                assert_eq!(any, along, "{pack} in {name}: {listed}");
            }
            fine(&project, &["compile", "-q", "--project-dir", &name]);
            let warned = project.run(&["debug", "--project-dir", &name]);
            assert!(!warned.contains("warning"), "{warned}");
        }
    }
}

#[test]
fn every_pack_alone_builds() {
    let project = folder();
    for pack in packs(&project) {
        fine(&project, &["init", "--pack", &pack, &format!("{pack}/")]);
        fine(&project, &["build", "-q", "--project-dir", &pack]);
    }
}

#[test]
fn a_pack_that_is_not_there_is_named() {
    let project = folder();
    let printed = project.run(&["init", "--pack", "segmnt"]);
    assert!(printed.starts_with("exit: 2"), "{printed}");
    assert!(printed.contains("there is no pack `segmnt`"), "{printed}");
    assert!(printed.contains("did you mean `segment`?"), "{printed}");
    assert!(!project.path("dbt_project.yml").exists());
}

const VISITS: &str = "\
visitor,ts,page
v1,2024-03-01 10:00:00,/
v1,2024-03-01 10:05:00,/shop
v2,2024-03-01 10:00:00,/
v1,2024-03-01 11:00:00,/
";

#[test]
fn a_table_with_names_of_its_own_becomes_page_views() {
    let project = folder().with("visits.csv", VISITS);
    let printed = project.run(&["init", "--from", "visits.csv", "shop"]);
    let (proposal, written) = printed.split_once("\nwrote ").expect("both");
    assert!(written.contains("next: sessionize build --project-dir shop"));
    assert_output!(proposal, @r"
    exit: 0
    --- stdout
    found in `visits.csv`:

    column   type       sample               read as       because
    visitor  text       v1                   anonymous_id  its name
    ts       timestamp  2024-03-01T10:00:00  timestamp     its name, and it holds times
    page     text       /                    path          its name

    pack: segment (every row has a page, in `page`)
    ");
    let built = fine(&project, &["build", "--project-dir", "shop"]);
    assert!(built.contains("WARN=0 ERROR=0"), "{built}");
    let sql = "select anonymous_id, page_views, first_page_url_path from sessions order by 1, 2";
    let rows = ["query", sql, "--format", "csv", "--project-dir", "shop"];
    assert_output!(project.run(&rows), @r"
    exit: 0
    --- stdout
    anonymous_id,page_views,first_page_url_path
    v1,1,/
    v1,2,/
    v2,1,/
    --- stderr
    ");
}

/// Builds a project over `from`; its page views or events, and sessions.
pub(crate) fn counted(
    project: &Project,
    from: &str,
    name: &str,
    tables: [&str; 2],
) -> String {
    fine(project, &["init", "--from", from, name]);
    let built = fine(project, &["build", "--project-dir", name]);
    assert!(built.contains("WARN=0 ERROR=0"), "{built}");
    let [events, sessions] = tables;
    let sql = format!(
        "select (select count(*) from {events}) as a, (select count(*) from {sessions}) as b"
    );
    let rows = ["query", &sql, "--format", "csv", "--project-dir", name];
    let printed = fine(project, &rows);
    printed.lines().nth(3).unwrap_or_default().to_owned()
}

const PAGES: [&str; 2] = ["page_views", "sessions"];
const EVENTS: [&str; 2] = ["resolved_events", "user_sessions"];

#[test]
fn samples_are_read_as_they_are() {
    let project = folder();
    let events = counted(&project, &packaged("data/events"), "events", EVENTS);
    assert_eq!(events, "6,4");
    let days = packaged("data/segment/dt=2024-01-1[23]");
    fine(&project, &["init", "--from", &days, "pages"]);
    assert!(
        !project
            .path("pages/models/segment/input_pages.sql")
            .exists()
    );
    assert!(project.path("pages/models/sources.yml").exists());
    fine(&project, &["build", "-q", "--project-dir", "pages"]);
    let by_hand = packaged("tests/fixtures/by_hand/pages.csv");
    assert_eq!(counted(&project, &by_hand, "hand", PAGES), "12,7");
}

/// Writes the rows of a query as a Parquet file.
pub(crate) fn parquet(project: &Project, sql: &str, file: &str) {
    let project_of = ["init", "tool", "--pack", "events"];
    if !project.path("tool").exists() {
        fine(project, &project_of);
    }
    fine(
        project,
        &["query", sql, "--output", file, "--project-dir", "tool"],
    );
}

#[test]
fn names_of_snowplow_become_page_views() {
    let project = folder();
    let sql = "select 'd' || (n % 7) as domain_userid, md5(cast(n as varchar)) as event_id, \
        'https://shop.example/p?utm_source=mail' as page_url, \
        to_timestamp(1709251200 + n * 60) as collector_tstamp, 'web' as platform \
        from (select unnest(range(0, 70)) as n)";
    parquet(&project, sql, "snow.parquet");
    // one every 7 minutes for each of 7 visitors
    assert_eq!(counted(&project, "snow.parquet", "snow", PAGES), "70,7");
    let sql = "select distinct utm_source, page_url_path, page_url_query from page_views";
    let rows = ["query", sql, "--format", "csv", "--project-dir", "snow"];
    let rows = fine(&project, &rows);
    assert!(rows.contains("mail,/p,?utm_source=mail\n"), "{rows}");
}

#[test]
fn names_of_google_analytics_become_events() {
    let project = folder();
    let sql = "select (n % 5) || '.1' as user_pseudo_id, \
        1709280000000000 + n * 600000000 as event_timestamp, \
        case n % 2 when 0 then 'page_view' else 'scroll' end as event_name, \
        named_struct('source', 'google', 'sizes', [n]) as traffic_source, \
        '{' || '{ x }}' as timestamp from (select unnest(range(0, 50)) as n)";
    parquet(&project, sql, "ga/1.parquet");
    // one every 50 minutes for each of 5 visitors: each is a session
    assert_eq!(counted(&project, "ga", "ga-project", EVENTS), "50,50");
    let sql = "select distinct \"traffic_source.source\", source_timestamp, \
        min(tstamp) over () as first from events__sessionized";
    let rows = [
        "query",
        sql,
        "--format",
        "csv",
        "--project-dir",
        "ga-project",
    ];
    let rows = fine(&project, &rows);
    assert!(
        rows.contains("google,{{ x }},2024-03-01T08:00:00"),
        "{rows}"
    );
    // new files are read by key
    let more = sql_of_one_event();
    parquet(&project, &more, "ga/2.parquet");
    let built = fine(&project, &["run", "--project-dir", "ga-project"]);
    assert!(built.contains("updated by key"), "{built}");
    assert!(!built.contains("rebuilt in full"), "{built}");
}

fn sql_of_one_event() -> String {
    "select '0.1' as user_pseudo_id, 1709380000000000 as event_timestamp, \
     'page_view' as event_name, \
     named_struct('source', 'google', 'sizes', [1]) as traffic_source, 'y' as timestamp"
        .to_owned()
}

#[test]
fn files_that_tell_no_time_or_no_key_are_refused() {
    let project = folder()
        .with("a.csv", "visitor,page\nv1,/\n")
        .with("b.csv", "ts,page\n2024-01-01T00:00:00Z,/\n")
        .with("c.ndjson", "{\"ts\": 1}\noops\n");
    assert_output!(project.run(&["init", "--from", "a.csv", "x"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: no column of `a.csv` tells the time of an event; found `visitor` (text: v1), `page` (text: /)
    hint: name it like `timestamp`, `ts` or `event_time`; it must hold timestamps, ISO 8601 texts or seconds (milliseconds, …) since 1970
    ");
    assert_output!(project.run(&["init", "--from", "b.csv", "x"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: no column of `b.csv` tells whose an event is; found `ts` (timestamp: 2024-01-01T00:00:00), `page` (text: /)
    hint: name it like `user_id`, `anonymous_id`, `visitor_id` or `client_id`
    ");
    assert_output!(project.run(&["init", "--from", "c.ndjson", "x"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: cannot read `c.ndjson`: the file `[DIR]/c.ndjson` is not readable: line 2 of the file `[DIR]/c.ndjson` is not JSON: expected value
    ");
    let none = project.run(&["init", "--from", "none/*.csv", "x"]);
    assert!(none.contains("no files match"), "{none}");
    assert!(!project.path("x").exists());
}
