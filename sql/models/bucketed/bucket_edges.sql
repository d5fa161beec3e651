{{ config(materialized='view') }}

{%- do check_bucketed_variables() %}

-- The same events under both rules, as if no session id had been sent.
with numbered as (
    select
        project_id,
        anonymous_id,
        session_number(tstamp, gap => {{ bucketed_width() }}) over (
            partition by project_id, anonymous_id order by tstamp, event_id
        ) as visit,
        session_bucket_id(anonymous_id, tstamp, {{ bucketed_width() }}) as bucket
    from {{ ref('bucketed_events') }}
),

visits as (
    select
        project_id,
        count(*) as events,
        count(distinct bucket) as buckets
    from numbered
    group by project_id, anonymous_id, visit
)

select
    project_id,
    cast(sum(events) as bigint) as events,
    count(*) as sliding_sessions,
    cast(sum(buckets) as bigint) as bucket_sessions,
    count(*) filter (where buckets > 1) as visits_cut
from visits
group by project_id
