//! `init --from` over what files of users hold: odd types, names that are alike, no rows, other
//! separators, values that do not fit.

use std::fmt::Write;

use crate::init::{counted, fine, folder, parquet};
use crate::support::{Project, assert_output};

const EVENTS: [&str; 2] = ["resolved_events", "user_sessions"];

/// What `init --from` says on standard error.
fn refused(project: &Project, from: &str) -> String {
    let printed = project.run(&["init", "--from", from, "x"]);
    assert!(printed.starts_with("exit: 2"), "{from}: {printed}");
    assert!(!project.path("x").exists(), "{from}");
    let (_, said) = printed.split_once("--- stderr\n").expect("both");
    said.to_owned()
}

fn rows(project: &Project, name: &str, sql: &str) -> String {
    let query = ["query", sql, "--format", "csv", "--project-dir", name];
    let printed = fine(project, &query);
    let (_, rows) = printed.split_once("--- stdout\n").expect("both");
    rows.split("--- stderr")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn columns_of_every_type_are_kept() {
    let project = folder();
    let sql = "select 'u' || (n % 3) as user_id, \
        to_timestamp(1709287200 + n * 60) as event_time, \
        case n % 2 when 0 then 'click' else 'view' end as event_name, \
        map(['k'], [n]) as map, [named_struct('sku', 'a', 'n', n)] as items, \
        named_struct('a', named_struct('b', n)) as nested, \
        arrow_cast(n, 'Duration(Second)') as took, \
        arrow_cast('01:02:03', 'Time64(Microsecond)') as clock, \
        arrow_cast(n, 'Decimal256(60, 2)') as huge, \
        arrow_cast(18446744073709551615, 'UInt64') as unsigned, \
        arrow_cast(decode('ff00', 'hex'), 'FixedSizeBinary(2)') as fixed, \
        decode('fffe', 'hex') as bytes, arrow_cast('text', 'Binary') as text_as_bytes, \
        arrow_cast('d', 'Dictionary(Int32, Utf8)') as dictionary \
        from (select unnest(range(0, 6)) as n)";
    parquet(&project, sql, "odd.parquet");
    assert_eq!(counted(&project, "odd.parquet", "odd", EVENTS), "6,3");
    let sql = "select map, items, \"nested.a.b\" as nested, took, clock, huge, unsigned, fixed, \
        bytes, text_as_bytes, dictionary from resolved_events order by tstamp limit 1";
    assert_output!(rows(&project, "odd", sql), @r#"
    map,items,nested,took,clock,huge,unsigned,fixed,bytes,text_as_bytes,dictionary
    "{""k"":0}","[{""sku"":""a"",""n"":0}]",0,P0D,01:02:03,0.00,18446744073709551615,ff00,fffe,text,d
    "#);
}

#[test]
fn bytes_may_be_ids_and_pages() {
    let project = folder();
    let sql = "select decode('ff0' || (n % 3), 'hex') as visitor, \
        arrow_cast(1709280000000 + n * 60000, 'UInt64') as ts, arrow_cast('/a', 'Binary') as page \
        from (select unnest(range(0, 6)) as n)";
    parquet(&project, sql, "bytes.parquet");
    let tables = ["page_views", "sessions"];
    assert_eq!(counted(&project, "bytes.parquet", "bytes", tables), "6,3");
    let sql = "select anonymous_id, first_page_url_path from sessions order by 1 limit 1";
    let found = rows(&project, "bytes", sql);
    assert!(found.ends_with("ff00,/a\n"), "{found}");
}

#[test]
fn names_that_differ_by_case_alone_are_kept() {
    let fields = "\"page\":{\"URL\":\"a\",\"url\":\"b\"},\"Page\":{\"url\":\"c\"}";
    let event = |who: &str| {
        format!(
            "{{{who},\"timestamp\":\"2024-03-01T10:00:00Z\",\"type\":\"track\",{fields}}}\n"
        )
    };
    let project = folder()
        .with("direct.ndjson", &event("\"userId\":\"u\",\"UserId\":\"v\""))
        .with("alike.ndjson", &event("\"UserId\":\"u\",\"USERID\":\"v\""))
        .with(
            "other.ndjson",
            &event("\"user_id\":\"u\",\"User_Id\":\"v\""),
        );
    for (name, second) in [
        ("direct", "source_UserId"),
        ("alike", "source_USERID"),
        ("other", "source_User_Id"),
    ] {
        let file = format!("{name}.ndjson");
        assert_eq!(counted(&project, &file, name, EVENTS), "1,1");
        let sql = format!(
            "select user_id, \"{second}\", \"page.URL\", \"source_page.url\", \
             \"source_source_Page.url\" from resolved_events"
        );
        let found = rows(&project, name, &sql);
        assert!(found.ends_with("\nu,v,a,b,c\n"), "{found}");
    }
}

#[test]
fn files_without_rows_are_known_by_their_types() {
    let project = folder()
        .with("header.csv", "visitor,ts,page\n")
        .with("list.json", "[]")
        .with("nulls.ndjson", "{\"user_id\":null,\"ts\":null}\n");
    let none = "select 'u' as user_id, timestamp '2024-03-01 10:00:00' as event_time, 'x' as kind where false";
    parquet(&project, none, "none.parquet");
    assert_eq!(counted(&project, "none.parquet", "none", EVENTS), "0,0");
    assert_output!(refused(&project, "header.csv"), @r#"
    error: no rows in `header.csv`, and its columns alone do not tell the time of an event; found `visitor` (text: no value), `ts` (text: no value), `page` (text: no value)
    hint: columns are known by their values, and times also by their type: name files that hold rows
    "#);
    assert_output!(refused(&project, "list.json"), @r#"
    error: no rows in `list.json`
    hint: columns are known by their values, and times also by their type: name files that hold rows
    "#);
    assert_output!(refused(&project, "nulls.ndjson"), @r#"
    error: no column of `nulls.ndjson` tells the time of an event; found `user_id` (text: no value), `ts` (text: no value)
    hint: name it like `timestamp`, `ts` or `event_time`; it must hold timestamps, ISO 8601 texts or seconds (milliseconds, …) since 1970
    "#);
}

#[test]
fn columns_without_values_yield_to_others_and_users_may_come_late() {
    let project = folder();
    let sql = "select cast(null as timestamp) as timestamp, timestamp '2024-03-01 10:00:00' as event_time, \
        cast(null as varchar) as user_id, 'v' as visitor_id";
    parquet(&project, sql, "late.parquet");
    let printed = fine(&project, &["init", "--from", "late.parquet", "late"]);
    assert_output!(printed, @r#"
    exit: 0
    --- stdout
    found in `late.parquet`:

    column      type       sample               read as           because
    timestamp   timestamp                       source_timestamp  the pack has another column of that name
    event_time  timestamp  2024-03-01T10:00:00  timestamp         its name, and it holds times
    user_id     text                            userId            its name and type (no value in the first 1 row)
    visitor_id  text       v                    anonymousId       its name

    pack: events (no column holds pages)
    wrote 19 files to `late`
    --- stderr
    next: sessionize build --project-dir late
    "#);
    fine(&project, &["build", "-q", "--project-dir", "late"]);
}

#[test]
fn files_that_would_be_misread_are_named() {
    let project = folder()
        .with(
            "twice.csv",
            "visitor,ts,ts\nv1,2024-03-01 10:00:00,2024-03-01 10:00:00\n",
        )
        .with("semicolons.csv", "visitor;ts\nv1;2024-03-01 10:00:00\n")
        .with("events.log", "visitor,ts\nv1,2024-03-01 10:00:00\n")
        .with("logs/a.log", "visitor,ts\nv1,2024-03-01 10:00:00\n")
        .with("mixed/a.csv", "visitor,ts\nv1,2024-03-01 10:00:00\n")
        .with("mixed/b.ndjson", "{}\n")
        .with("pretty.json", "{\n  \"user_id\": \"u\"\n}\n");
    std::fs::write(
        project.path("latin.ndjson"),
        b"{}\n{\"user_id\":\"caf\xe9\"}\n",
    )
    .expect("a file");
    let mut said = String::new();
    for file in [
        "twice.csv",
        "semicolons.csv",
        "events.log",
        "logs",
        "mixed",
        "pretty.json",
        "latin.ndjson",
    ] {
        let _ = writeln!(said, "{}", refused(&project, file));
    }
    assert_output!(said, @r#"
    error: cannot read `twice.csv`: the file `[DIR]/twice.csv` is not readable: the columns 2 and 3 of its header are both called `ts`
    error: cannot read `semicolons.csv`: the file `[DIR]/semicolons.csv` is not readable: its header is one column, `visitor;ts`: the fields seem to be separated by `;`, and `,` is expected; write the file with commas, or with tabs as `.tsv`
    error: cannot read `events.log`: the ending of `[DIR]/events.log` does not tell its format, and it is no Parquet file; expected `.parquet`, `.csv`, `.tsv`, `.json`, `.ndjson` or `.jsonl` (the texts also with `.gz`)
    error: cannot read `logs`: no files match `[DIR]/logs`: `[DIR]/logs/a.log` has another ending; expected `.parquet`, `.csv`, `.tsv`, `.json`, `.ndjson` or `.jsonl` (the texts also with `.gz`)
    error: cannot read `mixed`: `[DIR]/mixed/a.csv` and `[DIR]/mixed/b.ndjson` are of different formats; name the files of one by a glob such as `[DIR]/mixed/*.csv`
    error: cannot read `pretty.json`: the file `[DIR]/pretty.json` is not readable: line 1 of the file `[DIR]/pretty.json` is not JSON: the object that begins here does not end on its line; expected one object a line, or one array of objects: `[{…}, {…}]`
    error: cannot read `latin.ndjson`: the file `[DIR]/latin.ndjson` is not readable: line 2 of the file `[DIR]/latin.ndjson` is not JSON: expected UTF-8, found the byte 0xE9 after `{"user_id":"caf`; write the file as UTF-8
    "#);
}

#[test]
fn fields_may_be_separated_by_tabs() {
    let project = folder()
        .with(
            "visits/a.tsv",
            "visitor\tts\tpage\nv1\t2024-03-01 10:00:00\t/a,b\n",
        )
        .with(
            "visits/b.csv",
            "visitor,ts,page\nv2,2024-03-01 10:00:00,/\n",
        );
    let tables = ["page_views", "sessions"];
    assert_eq!(counted(&project, "visits", "shop", tables), "2,2");
    let found = rows(
        &project,
        "shop",
        "select page_url_path from page_views order by 1",
    );
    assert!(found.ends_with("\n/\n\"/a,b\"\n"), "{found}");
}

/// Events of which one, past those that are looked at, has no time.
fn late(good: &str) -> (String, String) {
    let mut csv = "user_id,event_time\n".to_owned();
    let mut json = String::new();
    for row in 0..1200 {
        let time = if row == 1100 { "yesterday" } else { good };
        let _ = writeln!(csv, "u,{time}");
        let quote = if time.parse::<i64>().is_ok() {
            ""
        } else {
            "\""
        };
        let _ = writeln!(
            json,
            "{{\"user_id\":\"u\",\"event_time\":{quote}{time}{quote}}}"
        );
    }
    (csv, json)
}

#[test]
fn a_time_that_is_none_is_named_when_it_is_read() {
    let (texts_csv, texts_json) = late("2024-03-01T10:00:00Z");
    let (ticks_csv, ticks_json) = late("1709280000");
    let project = folder()
        .with("texts.csv", &texts_csv)
        .with("texts.ndjson", &texts_json)
        .with("ticks.csv", &ticks_csv)
        .with("ticks.ndjson", &ticks_json);
    for file in ["texts.csv", "texts.ndjson", "ticks.csv", "ticks.ndjson"] {
        let name = file.replace('.', "-");
        fine(&project, &["init", "--from", file, &name]);
        let built = project.run(&["build", "-q", "--project-dir", &name]);
        assert!(built.starts_with("exit: 1"), "{built}");
        assert!(
            built.contains("error: column `event_time` cannot be read: "),
            "{built}"
        );
        assert!(built.contains("yesterday"), "{built}");
        assert!(
            built.contains("models/events/events__rejected.sql"),
            "{built}"
        );
    }
}

#[test]
fn packs_may_stand_in_one_list() {
    let project = folder();
    fine(&project, &["init", "one", "--pack", "events,bucketed"]);
    fine(&project, &["init", "--pack", "events,", "bucketed", "two/"]);
    for name in ["one", "two"] {
        for pack in ["events", "bucketed"] {
            let models = project.path(&format!("{name}/models/{pack}"));
            assert!(models.exists(), "{name} {pack}");
        }
        assert!(!project.path(&format!("{name}/models/metrics")).exists());
    }
    let printed = project.run(&["init", "--pack", "events,bucketd"]);
    assert!(printed.contains("did you mean `bucketed`?"), "{printed}");
}
