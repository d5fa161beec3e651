{{ config(materialized='table') }}

{%- do check_metrics_variables() %}

with viewed as (
    select
        session_id,
        page,
        row_number() over path as path_step,
        lead(page) over path as next_page,
        lead(event_id) over path is null as is_exit
    from {{ ref('metrics_events__sessionized') }}
    where is_page_view
    window path as (partition by session_id order by tstamp, event_id)
),

counted as (
    select
        {{ metrics_split() }}
        path_step,
        page,
        next_page,
        is_exit,
        count(*) as transitions
    from viewed
    inner join {{ ref('metrics_sessions') }} as sessions
        on sessions.session_id = viewed.session_id
    where path_step <= {{ var('metrics_path_steps') }}
    group by {{ metrics_split() }} path_step, page, next_page, is_exit
)

select
    *,
    {{ metrics_share('transitions', ['path_step', 'page']) }} as share,
    {{ metrics_share('transitions', ['path_step']) }} as share_of_step
from counted
