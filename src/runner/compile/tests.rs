//! Whole projects, built by hand.

use std::path::PathBuf;

use futures::future::BoxFuture;

use super::*;
use crate::runner::error::{ErrorKind, RunnerError};
use crate::runner::project::{ConfigMap, ModelFile, Target};

struct Columns;

impl SchemaResolver for Columns {
    fn source_columns<'a>(
        &'a self,
        _source: &'a ResolvedSource,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>>> {
        let columns = vec![("id".to_owned(), "BIGINT".to_owned())];
        Box::pin(async move { Ok(columns) })
    }

    fn node_columns<'a>(
        &'a self,
        node: &'a Node,
        _upstream: &'a [Arc<Node>],
    ) -> BoxFuture<'a, Result<Vec<(String, String)>>> {
        let names = ["id", node.name.as_str()];
        let columns = names.map(|n| (n.to_owned(), "VARCHAR".to_owned()));
        Box::pin(async move { Ok(columns.to_vec()) })
    }

    fn table_exists<'a>(&'a self, _node: &'a Node) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { Ok(true) })
    }
}

fn file(path: &str, text: &str) -> TextFile {
    TextFile {
        path: PathBuf::from(path),
        text: Arc::from(text),
    }
}

fn model(name: &str, sql: &str) -> ModelFile {
    ModelFile {
        name: name.to_owned(),
        file: file(&format!("models/web/{name}.sql"), sql),
        fqn: ["shop", "web", name].map(str::to_owned).to_vec(),
        config: ConfigMap::default(),
        properties: Properties::default(),
    }
}

fn project(models: &[(&str, &str)], macros: &str) -> Project {
    Project {
        name: "shop".to_owned(),
        version: None,
        root: PathBuf::from("/shop"),
        target_path: PathBuf::from("/shop/target"),
        clean_targets: Vec::new(),
        vars: serde_json::from_str(r#"{"gap": 1800, "nested": "{{ 1 + var('gap') }}"}"#)
            .unwrap(),
        env: BTreeMap::new(),
        target: Target {
            schema: "main".to_owned(),
            ..Target::default()
        },
        models: models.iter().map(|(n, sql)| model(n, sql)).collect(),
        seeds: Vec::new(),
        traffic_source_rules: None,
        sources: Vec::new(),
        macros: vec![file("macros/m.sql", macros)],
        singular_tests: Vec::new(),
        unit_tests: Vec::new(),
        warnings: Vec::new(),
    }
}

fn compiled(models: &[(&str, &str)], macros: &str) -> Result<Dag> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let options = CompileOptions::default();
    let project = Arc::new(project(models, macros));
    runtime.block_on(compile(project, &options, &Columns))
}

fn sql(text: &str, macros: &str) -> String {
    let dag = compiled(&[("a", "select 1"), ("b", text)], macros).unwrap();
    dag.node("model.shop.b").unwrap().compiled.sql.clone()
}

fn error(text: &str, macros: &str) -> RunnerError {
    compiled(&[("sessions", "select 1"), ("b", text)], macros).unwrap_err()
}

#[test]
fn references_variables_and_helpers_become_sql() {
    assert_eq!(
        sql("select * from {{ ref('a') }}", ""),
        r#"select * from "shop"."web"."a""#
    );
    assert_eq!(
        sql("{{ ref('shop', 'a').identifier }} {{ this.name }}", ""),
        "a b"
    );
    assert_eq!(
        sql("{{ var('gap') }} {{ var('nested') }} {{ var('x', 2) }}", ""),
        "1800 1801 2"
    );
    assert_eq!(
        sql("{{ dbt_utils.star(ref('a'), except=['ID']) }}", ""),
        "\"a\""
    );
    assert_eq!(
        sql(
            "{{ config(materialized='table') }}x{{ is_incremental() }}",
            ""
        ),
        "xFalse"
    );
}

#[test]
fn an_increment_is_compiled_beside_a_full_refresh() {
    let text = |strategy: &str| {
        format!(
            "{{{{ config(materialized='incremental', unique_key='k', \
             incremental_strategy='{strategy}') }}}}{{{{ is_incremental() }}}}"
        )
    };
    for (strategy, sql, full) in [
        ("keys", "False", None),
        ("append", "True", Some("False")),
        ("merge", "True", Some("False")),
        ("delete+insert", "True", Some("False")),
        ("insert_overwrite", "True", Some("False")),
    ] {
        let dag = compiled(&[("m", &text(strategy))], "").unwrap();
        let compiled = &dag.nodes[0].compiled;
        assert_eq!(compiled.sql, sql, "{strategy}");
        assert_eq!(compiled.of_full_refresh.as_deref(), full, "{strategy}");
    }
    let text = text("append").replace("config(", "config(full_refresh=true, ");
    let dag = compiled(&[("m", &text)], "").unwrap();
    assert_eq!(dag.nodes[0].compiled.sql, "False");
}

#[test]
fn macros_are_global_return_values_and_change_maps() {
    let macros = "{% macro pick(d) %}{% do d.update({'k': 7}) %}\
        {{ return(d) }}{% endmacro %}\n\
        {% macro default__outer(x) %}{{ pick({'a': x})['k'] + 1 }}{% endmacro %}\n\
        {% macro outer(x) %}{{ return(adapter.dispatch('outer')(x)) }}{% endmacro %}";
    assert_eq!(
        sql(
            "{{ outer(1) }} {{ shop.outer(x=2) }} {{ pick({})['k'] }}",
            macros
        ),
        "8 8 7"
    );
}

#[test]
fn macros_take_more_than_they_name_and_bodies() {
    let macros = "{% macro va(first) %}{{ first }}|{{ varargs|join(',') }}|\
        {{ kwargs.get('z', 'none') }}{% endmacro %}\
        {% macro wrap(tag) %}<{{ tag }}>{{ caller() }}</{{ tag }}>{% endmacro %}\
        {% macro each(items) %}{% for i in items %}{{ caller(i) }};{% endfor %}{% endmacro %}";
    for (text, expected) in [
        (
            "{{ va(1, 2, 3, z=4) }} {{ va(first=1) }}",
            "1|2,3|4 1||none",
        ),
        (
            "{% call wrap('b') %}{{ ref('a').name }}{% endcall %}",
            "<b>a</b>",
        ),
        (
            "{% call(i) each([1, 2, 1]) %}{{ i * 2 }}{% endcall %}",
            "2;4;2;",
        ),
        (
            "{% call wrap('a') %}{% call wrap('b') %}x{% endcall %}{% endcall %}",
            "<a><b>x</b></a>",
        ),
    ] {
        assert_eq!(sql(text, macros), expected, "{text}");
    }
    let wrong = error("{% call wrap('b') %}{{ ref('z') }}{% endcall %}", macros);
    assert!(wrong.message().contains("refers to `z`"), "{wrong}");
}

#[test]
fn helpers_need_no_prefix_and_the_projects_own_win() {
    assert_eq!(
        sql("{{ type_string() }} {{ length('x') }}", ""),
        "varchar character_length(x)"
    );
    let own = "{% macro length(x) %}own {{ x }}{% endmacro %}";
    assert_eq!(sql("{{ length('x') }}", own), "own x");
    assert_eq!(
        sql("{{ dbt_utils.split_part('x', 'y', 1) }}", ""),
        "split_part(x, y, 1)"
    );
    let zones = "modules.pytz.all_timezones";
    assert_eq!(
        sql(
            &format!(
                "{{{{ 'Europe/Berlin' in {zones} }}}} {{{{ 'Mars/North' in {zones} }}}}"
            ),
            ""
        ),
        "True False"
    );
    assert_eq!(
        sql("{{ var('x', none) is none }}{{ local_md5('a')[:4] }}", ""),
        "True0cc1"
    );
}

#[test]
fn what_dbt_has_and_this_has_not_is_refused_by_name() {
    for (text, name) in [
        ("{{ run_query('select 1') }}", "run_query"),
        (
            "{% call statement('x') %}select 1{% endcall %}",
            "statement",
        ),
        ("{{ graph.nodes }}", "graph"),
        ("{{ modules.datetime.datetime.now() }}", "modules"),
        ("{{ modules.re.match('a', 'b') }}", "modules"),
        ("{{ ref('sessions', v=2) }}", "ref('sessions')"),
        (
            "{{ dbt_utils.surrogate_key(['a']) }}",
            "dbt_utils.surrogate_key",
        ),
        ("{{ config(post_hook='select 1') }}", "post_hook"),
    ] {
        let wrong = error(text, "");
        assert!(wrong.message().contains(&format!("`{name}`")), "{wrong}");
        assert!(wrong.message().contains("not supported"), "{wrong}");
        assert_eq!(wrong.location().unwrap().line, 1, "{text}");
        assert!(wrong.hint().is_some() || text.contains("hook"), "{text}");
    }
}

#[test]
fn what_lays_out_other_databases_is_said_to_change_nothing() {
    let text = "{{ config(materialized='incremental', sort='id', dist='id', \
        partition_by={'field': 'id', 'data_type': 'int'}) }}";
    let dag =
        compiled(&[("a", text), ("b", "{{ config(cluster_by=['x']) }}")], "").unwrap();
    assert_eq!(
        dag.logs,
        [
            "warning: without effect in 2 models: `cluster_by`, `dist`, `partition_by`, \
             `sort` (how other databases lay out tables)"
        ]
    );
}

/// Refuses models whose upstream does not come in order.
struct Ordered;

impl SchemaResolver for Ordered {
    fn source_columns<'a>(
        &'a self,
        _source: &'a ResolvedSource,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>>> {
        Box::pin(async move { Ok(Vec::new()) })
    }

    fn node_columns<'a>(
        &'a self,
        node: &'a Node,
        upstream: &'a [Arc<Node>],
    ) -> BoxFuture<'a, Result<Vec<(String, String)>>> {
        let names: Vec<&str> = upstream.iter().map(|n| n.name.as_str()).collect();
        let column = format!("{}<{}", node.name, names.join("<"));
        Box::pin(async move { Ok(vec![(column, String::new())]) })
    }

    fn table_exists<'a>(&'a self, _node: &'a Node) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { Ok(true) })
    }
}

#[test]
fn columns_are_asked_with_what_lies_upstream_in_order() {
    let models = [
        ("f", "{{ ref('g') }}"),
        ("g", "{{ ref('h') }}"),
        ("h", "select 1"),
        ("other", "select 1"),
        ("star", "{{ dbt_utils.star(ref('f')) }}"),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let project = Arc::new(project(&models, ""));
    let dag = runtime.block_on(compile(project, &CompileOptions::default(), &Ordered));
    let dag = dag.unwrap();
    assert_eq!(
        dag.node("model.shop.star").unwrap().compiled.sql,
        "\"f<h<g\""
    );
}

#[test]
fn errors_stand_where_the_user_wrote() {
    let wrong = error("select 1\r\nfrom {{ ref('session') }}", "");
    let place = wrong.location().unwrap();
    assert_eq!((place.line, place.column), (2, 9), "{wrong}");
    assert_eq!(wrong.kind(), ErrorKind::Graph);
    assert_eq!(wrong.hint(), Some("did you mean `sessions`?"));

    let wrong = error("{{ m(1) }}", "{% macro m(x) %}\n  {{ nme }}{% endmacro %}");
    let place = wrong.location().unwrap();
    assert_eq!(place.file, PathBuf::from("macros/m.sql"));
    assert_eq!((place.line, place.column), (2, 6), "{wrong}");

    assert_eq!(
        error("{{ reff('a') }}", "").hint(),
        Some("did you mean `ref`?")
    );
    assert_eq!(
        error("{{ dbt_utils.pivot('x') }}", "").message(),
        "`dbt_utils.pivot` is not supported"
    );
    let wrong = error("{{ config(materialized='tabel') }}", "");
    assert_eq!(wrong.hint(), Some("did you mean `table`?"));
    assert_eq!(wrong.location().unwrap().line, 1);
    let wrong = error("{% snapshot s %}{% endsnapshot %}", "");
    assert_eq!(wrong.message(), "`{% snapshot %}` is not supported");
}

#[test]
fn endless_macros_and_cycles_end_in_an_error() {
    let wrong = error("{{ m() }}", "{% macro m() %}{{ m() }}{% endmacro %}");
    assert!(wrong.message().contains("too deep"), "{wrong}");
    let models = [("a", "{{ ref('b') }}"), ("b", "{{ ref('a') }}")];
    let wrong = compiled(&models, "").unwrap_err();
    assert_eq!(wrong.message(), "the models form a cycle: `a -> b -> a`");
    let wrong = error("{{ ref('b') }}", "");
    assert_eq!(wrong.message(), "`b` refers to itself");
}

#[test]
fn places_in_compiled_sql_lead_to_the_file() {
    let text = "select {{ var('gap') }} as n,\r\n  wrong_one from {{ ref('a') }}";
    let dag = compiled(&[("a", "select 1"), ("b", text)], "").unwrap();
    let node = dag.node("model.shop.b").unwrap();
    let place = node.locate(2, 3, 9).unwrap();
    assert_eq!((place.line, place.column, place.length), (2, 3, 9));
    let place = node.locate(2, 20, 1).unwrap();
    assert_eq!((place.line, place.column), (2, 21), "{place:?}");
}

#[test]
fn words_select_along_the_graph() {
    let models = [
        ("a", "{{ config(tags=['x']) }}"),
        ("b", "{{ ref('a') }}"),
        ("c", "{{ ref('b') }}{{ config(materialized='table') }}"),
    ];
    let dag = compiled(&models, "").unwrap();
    let names = |select: &str, exclude: &str| {
        let words = |s: &str| s.split_whitespace().map(str::to_owned).collect();
        let selection = Selection {
            select: words(select),
            exclude: words(exclude),
        };
        let nodes = dag.select(&selection);
        nodes.map(|nodes| {
            nodes
                .iter()
                .map(|n| n.name.clone())
                .collect::<Vec<_>>()
                .join("")
        })
    };
    for (select, exclude, expected) in [
        ("", "", "abc"),
        ("b", "", "b"),
        ("+b", "", "ab"),
        ("b+", "", "bc"),
        ("1+c", "", "bc"),
        ("@b", "", "abc"),
        ("tag:x+", "b", "ac"),
        ("a+,+b", "", "ab"),
        ("path:models/web", "c", "ab"),
        ("web config.materialized:table", "a", "bc"),
    ] {
        assert_eq!(names(select, exclude).unwrap(), expected, "{select}");
    }
    let wrong = names("tagg:x", "").unwrap_err();
    assert_eq!(wrong.hint(), Some("did you mean `tag`?"));
    assert_eq!(names("zzz", "").unwrap_err().kind(), ErrorKind::Usage);
}
