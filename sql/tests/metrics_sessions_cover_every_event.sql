{{ config(tags=['metrics']) }}

-- Every event is in exactly one session, and every session in exactly one row of its day.
with counted as (
    select
        (select count(*) from {{ ref('metrics_events__sessionized') }}) as events,
        (select coalesce(sum(events), 0) from {{ ref('metrics_sessions') }}) as events_in_sessions,
        (select count(*) from {{ ref('metrics_sessions') }}) as sessions,
        (select coalesce(sum(sessions), 0) from {{ ref('session_metrics_daily') }})
            as sessions_in_days
)

select *
from counted
where events <> events_in_sessions or sessions <> sessions_in_days
