//! What analytics engineers write: helpers of dbt, tests of their own, exports, sources.

use crate::support::{Project, command};

/// The values of one row of CSV that `sql` gives.
fn row(project: &Project, sql: &str) -> String {
    let run = project.run(&["query", "--format", "csv", sql]);
    let lines = run.lines().skip_while(|l| *l != "--- stdout").skip(2);
    lines.take(1).next().expect(&run).to_owned()
}

/// Results as dbt documents them.
#[test]
fn helpers_give_what_dbt_gives() {
    let project = Project::empty();
    for (helper, expected) in [
        (
            r#"dbt.datediff("'2018-01-01 23:59:59.9'", "'2018-01-02'", "day")"#,
            "1",
        ),
        (
            r#"dbt.datediff("'2018-12-31'", "'2019-01-01'", "year")"#,
            "1",
        ),
        (
            r#"dbt.datediff("'2018-12-31'", "'2019-04-01'", "quarter")"#,
            "2",
        ),
        (
            r#"dbt.datediff("'1969-12-31 23:59:59.5'", "'1970-01-01'", "second")"#,
            "1",
        ),
        (
            r#"dbt.dateadd("month", 1, "date '2018-01-31'")"#,
            "2018-02-28",
        ),
        (
            r#"dbt.dateadd("quarter", 1, "date '2018-11-30'")"#,
            "2019-02-28",
        ),
        (
            r#"dbt.dateadd("hour", -1, "'2018-01-01'")"#,
            "2017-12-31T23:00:00",
        ),
        (
            r#"dbt.dateadd("minute", "1 + 1", "date '2018-01-01'")"#,
            "2018-01-01T00:02:00",
        ),
        (
            r#"dbt.last_day("date '2020-02-10'", "quarter")"#,
            "2020-03-31",
        ),
        (r#"dbt.split_part("'a|b|c'", "'|'", -1)"#, "c"),
        (r#"dbt.safe_cast("'x'", "int")"#, "\"\""),
        (r#"dbt.concat(["'a'", "'b'"])"#, "ab"),
        (r#"dbt.length("'héé'")"#, "3"),
        (r#"dbt.equals("null", "null")"#, "true"),
        (
            r#"dbt.array_append(dbt.array_construct(["1", "2"]), 3) ~ "[3]""#,
            "3",
        ),
        (
            r#"dbt_utils.datediff("'2018-01-01'", "'2018-01-03'", "day")"#,
            "2",
        ),
        (
            r#"dbt_utils.generate_surrogate_key(["'a'", "null"])"#,
            "6231b1e7ffe3b9d15edc44e40e6f694c",
        ),
    ] {
        let sql = format!("select {{{{ {helper} }}}} as v");
        assert_eq!(row(&project, &sql), expected, "{helper}");
    }
}

#[test]
fn helpers_of_many_rows_give_what_dbt_gives() {
    let project = Project::empty();
    let listed = r#"select {{ dbt.listagg("x", "'-'", "order by x desc", 2) }} as v
        from (values ('a'), ('b'), ('c')) t(x)"#;
    assert_eq!(row(&project, listed), "c-b");
    let spine = r#"select count(*) as n, max(date_day) as v from
        ({{ dbt_utils.date_spine("day", "'2024-02-27'", "'2024-03-02'") }}) s"#;
    assert_eq!(row(&project, spine), "4,2024-03-01T00:00:00");
}

#[test]
fn exports_keep_nulls_in_partitions() {
    let project = Project::empty()
        .with(
            "models/parts.sql",
            "{{ config(materialized='external', location='out/parts', partition_by=['g', 'n']) }}
             select 1 as id, 'a' as g, 1 as n union all select 2, null, null
             union all select 3, '', 3",
        )
        .with(
            "models/back.sql",
            "select count(*) as rows, count(g) as g, sum(n) as n, max(id) as id
             from {{ ref('parts') }}",
        );
    let built = project.run(&["build"]);
    assert!(built.contains("PASS=2 "), "{built}");
    assert_eq!(row(&project, "select * from {{ ref('back') }}"), "3,2,4,3");
}

#[test]
fn exports_that_make_no_sense_are_refused() {
    for (config, message) in [
        (
            "location='out/x.txt'",
            "the location ends in `.txt`, which names no format",
        ),
        (
            "partition_by='gg', location='out'",
            "`partition_by` names `gg`, which is no column of it",
        ),
        (
            "format='csv', delimiter=';'",
            "`delimiter` is not supported",
        ),
        ("codec='zstd'", "configuration `codec` is not supported"),
    ] {
        let text = format!(
            "{{{{ config(materialized='external', {config}) }}}} select 1 as id, 'a' as g"
        );
        let run = Project::empty().with("models/o.sql", &text).run(&["run"]);
        assert!(run.contains(message) && !run.contains("exit: 0"), "{run}");
    }
}

#[test]
fn tests_of_the_project_configure_themselves() {
    let project = Project::empty()
        .with("models/limits.sql", "select 2 as lowest")
        .with("models/orders.sql", "select 1 as id union all select 5")
        .with(
            "tests/generic/above.sql",
            "{% test above(model, column_name, by=0) %}
             {{ config(severity='warn') }}
             select * from {{ model }}
             where {{ column_name }} < (select max(lowest) + {{ by }} from {{ ref('limits') }})
             {% endtest %}",
        )
        .with(
            "models/schema.yml",
            "models:
  - name: orders
    columns:
      - name: id
        data_tests:
          - above
          - above: {name: strict, arguments: {by: 1}, config: {severity: error}}
          - above: {name: narrow, config: {where: id > 4}}
",
        );
    let built = project.run(&["build", "--no-color"]);
    assert!(built.contains("WARN  test above_orders_id"), "{built}");
    assert!(built.contains("FAIL  test strict"), "{built}");
    assert!(built.contains("PASS  test narrow"), "{built}");
}

#[test]
fn sources_may_say_what_other_databases_need() {
    let project = Project::empty()
        .with("data/pages.csv", "id\n1\n2\n")
        .with(
            "models/m.sql",
            "select count(*) as n from {{ source('web', 'pages') }}",
        )
        .with(
            "models/sources.yml",
            "sources:
  - name: web
    database: raw
    schema: segment
    loader: fivetran
    loaded_at_field: received_at
    meta: {external_location: 'data/{name}.csv', owner: me}
    tables:
      - name: pages
        loaded_at_field: sent_at
        description: all
        columns: [{name: id, data_tests: [unique, not_null]}]
",
        );
    let built = project.run(&["build"]);
    assert!(built.contains("PASS=3 "), "{built}");
}

#[test]
fn unit_tests_override_macros() {
    let with = |overrides: &str| {
        let rows = "rows: [{id: 1, v: 7, k: x, n: 5}]";
        let test = format!(
            "unit_tests:
  - name: fixed
    model: m
    overrides: {{macros: {{{overrides}}}}}
    given: []
    expect: {{{rows}}}
"
        );
        Project::empty()
            .with("macros/m.sql", "{% macro today() %}now(){% endmacro %}")
            .with(
                "models/m.sql",
                "select 1 as id, {{ today() }} as v, {{ dbt_utils.safe_add(['1']) }} as n,
                 cast('x' as {{ dbt.type_string() }}) as k",
            )
            .with("models/u.yml", &test)
            .run(&["test"])
    };
    let run = with("today: 7, dbt_utils.safe_add: '5'");
    assert!(run.contains("PASS=1 "), "{run}");
    let run = with("todai: 7");
    assert!(
        run.contains("overrides macro `todai`, which does not exist"),
        "{run}"
    );
    assert!(run.contains("did you mean `today`?"), "{run}");
}

#[test]
fn column_types_of_seeds_are_checked() {
    let seeded = |types: &str| {
        let text =
            format!("seeds:\n  - name: s\n    config: {{column_types: {{{types}}}}}\n");
        Project::empty()
            .with("seeds/s.csv", "id,code\n1,007\n")
            .with("seeds/s.yml", &text)
            .run(&["seed"])
    };
    let run = seeded("code: varchar, cod: int");
    assert!(
        run.contains("`column_types` names `cod`, no column of it"),
        "{run}"
    );
    let run = seeded("code: strng");
    let message = "seed `seeds/s.csv`, `column_types` of `code`: `strng` is not a type";
    assert!(run.contains(message), "{run}");
}

/// A variable means the same in `--vars` and in `dbt_project.yml`, wherever one stands.
#[test]
fn paths_in_variables_start_at_the_project() {
    let project = Project::small().with(
        "models/schema.yml",
        "sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n\
         \x20         external_location: \"{{ var('lake', 'data/events.csv') }}\"\n",
    );
    let sql = "select count(*) as n from {{ source('raw', 'events') }}";
    // the second value only begins like the path
    for vars in ["{lake: data/events.csv}", "{letter: d}"] {
        let arguments = [
            "query",
            "--project-dir",
            "..",
            "--vars",
            vars,
            "--format",
            "csv",
        ];
        let mut command = command(&project.path("data"), &arguments);
        let output = command.arg(sql).output().expect("the binary runs");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(printed, "n\n2\n", "{vars}: {output:?}");
    }
}
