{{ config(materialized='table') }}

-- Of every page: how often it was viewed, and how often it was the last of its session.
with viewed as (
    select
        page,
        row_number() over (
            partition by session_id order by tstamp desc, event_id desc
        ) = 1 as is_exit
    from {{ ref('metrics_events__sessionized') }}
    where is_page_view
),

counted as (
    select
        page,
        count(*) as page_views,
        count(*) filter (where is_exit) as exits
    from viewed
    group by page
)

select
    *,
    {{ metrics_ratio('exits', 'sum(exits) over ()') }} as share,
    {{ metrics_ratio('exits', 'page_views') }} as exit_rate
from counted
