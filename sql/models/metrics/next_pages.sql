{{ config(materialized='table') }}

with steps as (
    select
        page,
        row_number() over path as path_step,
        lead(page) over path as next_page,
        lead(event_id) over path is null as is_exit
    from {{ ref('metrics_events__sessionized') }}
    where is_page_view
    window path as (partition by session_id order by tstamp, event_id)
),

counted as (
    select path_step, page, next_page, is_exit, count(*) as transitions
    from steps
    where path_step <= {{ var('metrics_path_steps') }}
    group by path_step, page, next_page, is_exit
)

select
    *,
    {{ metrics_ratio('transitions', 'sum(transitions) over (partition by path_step, page)') }}
        as share,
    {{ metrics_ratio('transitions', 'sum(transitions) over (partition by path_step)') }}
        as share_of_step
from counted
