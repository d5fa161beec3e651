//! Updates of models over models, against a full refresh: rows of the input that go, keys that
//! are unique by chance, and nulls that move.

use crate::support::Project;

const SOURCES: &str = "
sources:
  - name: raw
    tables:
      - {name: events, config: {external_location: 'lake/events/*.csv'}}
      - {name: people, config: {external_location: 'lake/people/*.csv'}}
";

const MODELS: &[(&str, &str, &str)] = &[
    (
        "pages",
        "unique_key='id', recompute_by='k'",
        "select *, row_number() over (partition by k order by at, id) as place,
             session_number(at, gap => '30 minutes')
                 over (partition by k order by at, id) as session
         from {{ source('raw', 'events') }}",
    ),
    (
        "names",
        "unique_key='k'",
        "select k, max(n) as n, last_value(nullif(name, '-') order by n) as name,
             last_value(nullif(nick, '-') order by n) as nick
         from {{ source('raw', 'people') }} group by k
         having last_value(name order by n) is distinct from 'gone'",
    ),
    // a session has one such row, and others that go when a late one comes
    (
        "landings",
        "unique_key='sid', recompute_by='k'",
        "select *, concat(k, '-', cast(session as varchar)) as sid
         from {{ ref('pages') }} where v = 1",
    ),
    (
        "joined",
        "unique_key='id', recompute_by='k'",
        "select p.*, q.name, q.nick from {{ ref('pages') }} p
         left join {{ ref('names') }} q on q.k = p.k",
    ),
    (
        "numbered",
        "unique_key='id', recompute_by='k'",
        "select id, k, at, name, nick, row_number() over (partition by k order by at, id) as n
         from {{ ref('joined') }}",
    ),
    // the key passes from one visitor's row to another's
    (
        "of_tag",
        "unique_key='g', recompute_by='k'",
        "select p.k, p.g, p.tag, q.nick from {{ ref('pages') }} p
         join {{ ref('names') }} q on q.k = p.k where p.g > 0",
    ),
];

fn project() -> Project {
    let project = Project::empty().with("models/sources.yml", SOURCES);
    MODELS.iter().fold(project, |project, (name, config, sql)| {
        let sql =
            format!("{{{{ config(materialized='incremental', {config}) }}}}\n{sql}");
        project.with(&format!("models/{name}.sql"), &sql)
    })
}

/// The rows of each model.
fn rows(project: &Project) -> Vec<String> {
    let of = |(name, ..): &(&str, &str, &str)| {
        let query = format!("select * from {name} order by 1, 2, 3");
        project.run(&["query", "--format", "csv", &query])
    };
    MODELS.iter().map(of).collect()
}

#[test]
fn rows_that_go_take_no_others_with_them() {
    let mut events = "id,k,at,v,g,tag\n\
        1,k1,2024-01-01T00:00:00Z,1,0,t\n\
        2,k1,2024-01-01T00:20:00Z,3,0,t\n\
        3,k1,2024-01-01T00:30:00Z,4,0,t\n\
        4,a,2024-01-01T00:00:00Z,2,1,t\n\
        5,b,2024-01-01T00:00:00Z,2,1,u\n"
        .to_owned();
    for id in 10..60 {
        let row = format!(
            "{id},k{},2024-01-02T00:{id}:00Z,{},0,t\n",
            id % 4 + 2,
            id % 5
        );
        events.push_str(&row);
    }
    let people =
        "k,n,name,nick\nk2,1,-,y\nk3,1,-,y\na,1,-,x\nc,1,n,m\nd,1,n,m\ne,1,n,m\n";
    let project = project()
        .with("lake/events/0.csv", &events)
        .with("lake/people/0.csv", people);
    project.run(&["run"]);
    let steps = [
        // a name moves to the column beside it
        ("", "k2,2,y,-\n"),
        // a late page view; a name that moves, and a key that passes on, beside a new row
        ("6,k1,2024-01-01T00:10:00Z,2,0,t\n", "k3,2,y,-\n"),
        ("7,k9,2024-01-01T00:10:00Z,2,0,t\n", "a,2,gone,x\nb,2,-,x\n"),
    ];
    steps
        .iter()
        .enumerate()
        .fold(project, |project, (step, (events, people))| {
            let header = "id,k,at,v,g,tag\n";
            let project = match *events {
                "" => project,
                _ => project.with(
                    &format!("lake/events/{}.csv", step + 1),
                    &format!("{header}{events}"),
                ),
            };
            let people = format!("k,n,name,nick\n{people}");
            let project = project.with(&format!("lake/people/{}.csv", step + 1), &people);
            let said = project.run(&["run"]);
            assert!(
                said.starts_with("exit: 0") && !said.contains("rebuilt"),
                "{said}"
            );
            let updated = rows(&project);
            project.run(&["run", "--full-refresh"]);
            assert_eq!(updated, rows(&project), "step {step}");
            assert!(updated.iter().all(|rows| rows.starts_with("exit: 0")));
            project
        });
}
