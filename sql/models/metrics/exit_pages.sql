{{ config(materialized='table') }}

{%- do check_metrics_variables() %}

-- Of every page: how often it was viewed, and how often it was the last of its session.
with viewed as (
    select
        session_id,
        page,
        row_number() over (
            partition by session_id order by tstamp desc, event_id desc
        ) = 1 as is_exit
    from {{ ref('metrics_events__sessionized') }}
    where is_page_view
),

counted as (
    select
        {{ metrics_split() }}
        page,
        count(*) as page_views,
        count(*) filter (where is_exit) as exits
    from viewed
    inner join {{ ref('metrics_sessions') }} as sessions
        on sessions.session_id = viewed.session_id
    group by {{ metrics_split() }} page
)

select
    *,
    {{ metrics_share('exits') }} as share,
    {{ metrics_ratio('exits', 'page_views') }} as exit_rate
from counted
