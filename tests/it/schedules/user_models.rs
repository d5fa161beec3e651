//! Schedules of models as users write them: a way through the plan each.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion_sessionize::runner::compile::Dag;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Map;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::driver::Driver;
use super::world::{LAKE, compiled};

/// The project, compiled when first asked for.
static COMPILED: OnceCell<(TempDir, Arc<Dag>)> = OnceCell::const_new();

const PROJECT: &str = "
name: user_models
version: '1.0'
models:
  user_models:
    +materialized: incremental
    +recompute_by: k
";

/// Events with a time, as those models begin that number them.
const TIMED: &str = "
{%- macro timed() -%}
with timed as (
    select id, k, to_timestamp_micros(t * 600000000) as at, v, tag
    from {{ source('raw', 'events') }} where t is not null
)
{%- endmacro %}
";

/// Events have no key that is unique: rows may be equal in every column.
const MODELS: &[(&str, &str)] = &[
    (
        "filtered",
        "select id, k, t, v from {{ source('raw', 'events') }} where v > 3 or v is null",
    ),
    (
        "renamed",
        "{{ config(recompute_by=['owner']) }}
         select upper(tag) as tag, k as owner, v * 2 as twice from {{ source('raw', 'events') }}",
    ),
    (
        "inner_joined",
        "select e.k, e.id, p.name from {{ source('raw', 'events') }} e
         join {{ source('raw', 'people') }} p on p.k = e.k",
    ),
    (
        "left_joined",
        "select e.k, e.id, p.name, p.rank from {{ source('raw', 'events') }} e
         left join {{ source('raw', 'people') }} p on e.k = p.k and p.rank > 1",
    ),
    (
        "without_people",
        "select k, id, v from {{ source('raw', 'events') }} e
         where not exists (select 1 from {{ source('raw', 'people') }} p where p.k = e.k)",
    ),
    (
        "united",
        "select k, v as n, 'event' as kind from {{ source('raw', 'events') }}
         union all select k, rank, name from {{ source('raw', 'people') }}",
    ),
    ("distinct_tags", "select distinct k, tag from {{ source('raw', 'events') }}"),
    (
        "grouped",
        "{{ config(unique_key='k') }}
         select k, count(*) as n, sum(v) as v, min(t) as first, max(tag) as tag
         from {{ source('raw', 'events') }} group by k",
    ),
    (
        "windowed",
        "select *, row_number() over (partition by k order by t, id, v, tag) as place,
             lag(v) over (partition by k order by t, id, v, tag) as before
         from {{ source('raw', 'events') }}",
    ),
    (
        "deduplicated",
        "with one as (
             select * from {{ source('raw', 'events') }}
             qualify row_number() over (partition by id order by t, k, v, tag) = 1
         )
         select *, sum(v) over (
             partition by k order by t, id rows unbounded preceding) as so_far
         from one",
    ),
    (
        "best_of_tag",
        "select k, id, v, max(v) over (partition by tag) as best
         from {{ source('raw', 'events') }}",
    ),
    (
        "of_two",
        "select w.k, w.id, w.place, g.n, g.tag from {{ ref('windowed') }} w
         left join {{ ref('grouped') }} g on g.k = w.k",
    ),
    (
        "totals",
        "select k, sum(n) as n from (
             select k, n from {{ ref('grouped') }}
             union all select k, place from {{ ref('of_two') }}) as both
         group by k having sum(n) > 2",
    ),
    (
        "by_name",
        "{{ config(recompute_by='name') }}
         select p.name, count(*) as n from {{ source('raw', 'people') }} p
         join {{ source('raw', 'events') }} e on p.k = e.k group by p.name",
    ),
    (
        "numbered",
        "{{ config(unique_key='id', recompute_by=[]) }}
         select id, row_number() over (order by t, id, k, v, tag) as number
         from {{ source('raw', 'events') }}",
    ),
    (
        "everyone",
        "select coalesce(e.k, p.k) as k, e.id, p.name from {{ source('raw', 'events') }} e
         full join {{ source('raw', 'people') }} p on p.k = e.k",
    ),
    (
        "sessions_of_events",
        "{{ config(unique_key='id') }}
         {{ timed() }}
         select *, row_number() over (partition by k order by at, id, v, tag) as place,
             session_number(at, gap => interval '15 minutes')
                 over (partition by k order by at, id, v, tag) as session,
             session_id(k, at, gap => interval '15 minutes')
                 over (partition by k order by at, id, v, tag) as session_id
         from timed",
    ),
    (
        "sessions_of_first",
        "{{ config(unique_key='id') }}
         {{ timed() }},
         one as (
             select * from timed
             qualify row_number() over (partition by id order by v, at, k, tag) = 1
         )
         select id, tag, k, at as happened_at,
             session_id(k, at, gap => '10 minutes', boundary => 'more_than')
                 over (partition by k order by at, id) as session_id
         from one",
    ),
    (
        "renumbered",
        "{{ config(unique_key='id') }}
         select id, k, happened_at, session_id,
             row_number() over (partition by k order by happened_at, id, session_id) as place
         from {{ ref('sessions_of_first') }}",
    ),
    (
        "two_gaps",
        "{{ config(unique_key='id') }}
         {{ timed() }}
         select *, session_number(at, gap => '5 minutes')
                 over (partition by k order by at, id, v, tag) as short,
             session_number(at, gap => '1 hour')
                 over (partition by k order by at, id, v, tag) as long
         from timed",
    ),
    (
        "sessions_named_otherwise",
        "{{ config(unique_key='id') }}
         {{ timed() }}
         select *, session_id(v, at)
                 over (partition by k order by at, id, v, tag) as session_id
         from timed",
    ),
    (
        "some_without_time",
        "{{ config(unique_key='id') }}
         with timed as (
             select id, k, to_timestamp_micros(t * 600000000) as at, v, tag
             from {{ source('raw', 'events') }} where v > 6
         )
         select *, session_number(at) over (partition by k order by at, id, v, tag) as session
         from timed",
    ),
    (
        "by_signed_zero",
        "{{ config(unique_key='id', recompute_by='zero') }}
         with timed as (
             select id, to_timestamp_micros(t * 600000000) as at, v, tag,
                 cast(0 as double) * case when v > 4 then -1 else 1 end as zero
             from {{ source('raw', 'events') }} where t is not null
         )
         select *, row_number() over (partition by zero order by at, id, v, tag) as place
         from timed",
    ),
    (
        "zero_before",
        "select *, lag(zero) over (partition by k order by t, id, v, tag) as before
         from (
             select *, cast(0 as double) * case when v > 4 then -1 else 1 end as zero
             from {{ source('raw', 'events') }}
         ) as signed",
    ),
    (
        "long_ago",
        "select id, k, to_timestamp_nanos(-1000 * coalesce(id, 0) - v) as at
         from {{ source('raw', 'events') }}",
    ),
    (
        "first_at",
        "select k, min(at) as first, count(*) as n
         from (
             select k, to_timestamp_micros(t * 600000000) as at
             from {{ source('raw', 'events') }}
         ) as timed
         group by k",
    ),
    (
        "keys_turned",
        "{{ config(recompute_by=['k', 'tag']) }}
         select tag, k, max(v) as v, last_value(id order by t, id, v) as id
         from {{ source('raw', 'events') }} group by tag, k",
    ),
    (
        "latest",
        "select k, max(t) as last, min(v) as least,
             last_value(tag order by t, id, v, tag) filter (where tag is not null) as tag
         from {{ source('raw', 'events') }} group by k",
    ),
    (
        "latest_of_windowed",
        "select k, min(n) as fewest, max(n) as most,
             last_value(v order by t, id, v, tag) as v
         from (
             select *, count(*) over (partition by k) as n
             from {{ source('raw', 'events') }}
         ) as counted
         group by k",
    ),
    (
        "latest_of_counted",
        "select k, min(n) as fewest, last_value(n order by t) as n
         from (
             select k, t, count(*) as n from {{ source('raw', 'events') }} group by k, t
         ) as counted
         group by k",
    ),
    (
        "latest_by_code",
        "select k, last_value(v order by code, id, t, v) as v, min(code) as code
         from (
             select *, cast(v * 7 as varchar) as code from {{ source('raw', 'events') }}
         ) as coded
         group by k",
    ),
    (
        "after_the_first",
        "select k, min(t) as first, sum(place) as places
         from (
             select k, t, row_number() over (partition by k order by t, id, v, tag) as place
             from {{ source('raw', 'events') }}
         ) as placed
         where place > 1
         group by k",
    ),
    (
        "first_code",
        "select k, min(code) as first, count(*) as n
         from (
             select k, cast(v * 7 as varchar) as code from {{ source('raw', 'events') }}
         ) as coded
         group by k",
    ),
    (
        "some_of_all",
        "select late.k, late.first, every.n
         from (
             select k, min(t) as first from {{ source('raw', 'events') }}
             where v > 4 group by k
         ) as late
         left join (
             select k, count(*) as n from {{ source('raw', 'events') }} group by k
         ) as every on every.k = late.k",
    ),
    (
        "fanned_out",
        "{{ config(unique_key='id') }}
         select e.k, e.id, e.v, p.name, p.rank from {{ source('raw', 'events') }} e
         left join {{ source('raw', 'people') }} p on e.k = p.k",
    ),
    (
        "hours_of_first",
        "{{ config(unique_key='id') }}
         with hours as (
             select id, tag, session_id, k, date_trunc('hour', happened_at) as hour
             from {{ ref('sessions_of_first') }}
         )
         select *, session_number(hour, gap => '1 hour')
             over (partition by k order by hour) as session
         from hours",
    ),
    (
        "first_with_latest",
        "{{ config(unique_key='id') }}
         select f.*, l.tag as latest_tag, l.least, coalesce(l.tag, f.tag) as any_tag
         from {{ ref('sessions_of_first') }} f left join {{ ref('latest') }} l on l.k = f.k
         where l.last is null or l.last > 1",
    ),
    (
        "tags_with_latest",
        "{{ config(unique_key='tag') }}
         select f.*, l.least
         from {{ ref('sessions_of_first') }} f left join {{ ref('latest') }} l on l.k = f.k",
    ),
    (
        "people_now",
        "{{ config(unique_key='k') }}
         select k, max(rank) as rank, last_value(name order by rank, name, nick) as name,
             last_value(nick order by rank, name, nick) as nick
         from {{ source('raw', 'people') }} group by k",
    ),
    (
        "first_with_names",
        "{{ config(unique_key='id') }}
         select f.id, f.k, f.happened_at, f.session_id, p.name, p.nick
         from {{ ref('sessions_of_first') }} f left join {{ ref('people_now') }} p on p.k = f.k",
    ),
    (
        "placed_with_names",
        "{{ config(unique_key='id') }}
         select id, k, happened_at, name, nick,
             row_number() over (partition by k order by happened_at, id) as place
         from {{ ref('first_with_names') }}",
    ),
    (
        "one_of_session",
        "{{ config(unique_key='session_id') }}
         select * from {{ ref('renumbered') }} where place % 3 = 1",
    ),
    (
        "one_of_tag",
        "{{ config(unique_key='tag') }}
         select f.tag, f.k, f.id, p.nick from {{ ref('sessions_of_first') }} f
         join {{ ref('people_now') }} p on p.k = f.k and p.rank > 1 and f.id < 20",
    ),
    (
        "first_of_people",
        "{{ config(unique_key='id') }}
         select f.*, p.name, p.rank
         from {{ ref('sessions_of_first') }} f join {{ source('raw', 'people') }} p on p.k = f.k",
    ),
    (
        "as_table",
        "{{ config(materialized='table') }}
         select k, count(*) as n, max(so_far) as most from {{ ref('deduplicated') }} group by k",
    ),
];

/// The schedule of that seed.
pub(crate) async fn schedule(seed: u64) -> Result<Driver, String> {
    let (_, dag) = COMPILED.get_or_try_init(project).await?;
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5e1f_0de1);
    let folders = vec![
        ("events", events(&mut random)),
        ("people", people(&mut random)),
    ];
    Ok(Driver::new(seed, Arc::clone(dag), folders))
}

async fn project() -> Result<(TempDir, Arc<Dag>), String> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let dag = compiled(folder.path(), Map::new()).await?;
    Ok((folder, dag))
}

fn write(folder: &Path) {
    let models = folder.join("models");
    fs::create_dir(&models).unwrap();
    fs::write(folder.join("dbt_project.yml"), PROJECT).unwrap();
    let macros = folder.join("macros");
    fs::create_dir(&macros).unwrap();
    fs::write(macros.join("timed.sql"), TIMED).unwrap();
    let sources = format!(
        "sources:
  - name: raw
    tables:
      - {{name: events, config: {{external_location: '{LAKE}events'}}}}
      - {{name: people, config: {{external_location: '{LAKE}people'}}}}
"
    );
    fs::write(models.join("sources.yml"), sources).unwrap();
    for (name, sql) in MODELS {
        fs::write(models.join(format!("{name}.sql")), sql).unwrap();
    }
}

/// A few keys, a null among them.
fn key(random: &mut ChaCha8Rng) -> Option<String> {
    let number = random.random_range(0..8);
    (number > 0).then(|| format!("k{number}"))
}

fn number(random: &mut ChaCha8Rng, most: i64) -> Option<i64> {
    random
        .random_bool(0.8)
        .then(|| random.random_range(0..=most))
}

fn events(random: &mut ChaCha8Rng) -> RecordBatch {
    let rows = random.random_range(1..=40);
    let all = 0..rows;
    let id: Int64Array = all.clone().map(|_| number(random, 30)).collect();
    let k: StringArray = all.clone().map(|_| key(random)).collect();
    let t: Int64Array = all.clone().map(|_| number(random, 5)).collect();
    let v: Int64Array = all.clone().map(|_| number(random, 9)).collect();
    let tag = |random: &mut ChaCha8Rng| number(random, 4).map(|n| format!("tag {n}"));
    let tag: StringArray = all.map(|_| tag(random)).collect();
    table(vec![
        ("id", Arc::new(id)),
        ("k", Arc::new(k)),
        ("t", Arc::new(t)),
        ("v", Arc::new(v)),
        ("tag", Arc::new(tag)),
    ])
}

fn people(random: &mut ChaCha8Rng) -> RecordBatch {
    let all = 0..random.random_range(1..=8);
    let k: StringArray = all.clone().map(|_| key(random)).collect();
    let name = |random: &mut ChaCha8Rng| number(random, 3).map(|n| format!("name {n}"));
    let name: StringArray = all.clone().map(|_| name(random)).collect();
    let rank: Int64Array = all.clone().map(|_| number(random, 3)).collect();
    let nick = |random: &mut ChaCha8Rng| {
        let number = random.random_range(0..3);
        (number > 0).then(|| format!("name {number}"))
    };
    let nick: StringArray = all.map(|_| nick(random)).collect();
    table(vec![
        ("k", Arc::new(k)),
        ("name", Arc::new(name)),
        ("nick", Arc::new(nick)),
        ("rank", Arc::new(rank)),
    ])
}

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}
