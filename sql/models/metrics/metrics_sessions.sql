{{ config(materialized='table') }}

{%- do check_metrics_variables() %}

with newest as (
    select max(session_end_tstamp) as newest_tstamp
    from {{ ref('metrics_sessions__initial') }}
),

judged as (
    select
        sessions.*,
        {{ local_day('session_start_tstamp', var('metrics_time_zone')) }} as session_date,
        {{ is_open('session_end_tstamp', 'newest_tstamp', metrics_gap()) }} as is_open,
        conversions > 0 as is_converted,
        duration_in_ms >= {{ var('metrics_engaged_seconds') * 1000 }}
        or page_views >= {{ var('metrics_engaged_page_views') }}
        or conversions > 0 as is_engaged
    from {{ ref('metrics_sessions__initial') }} as sessions
    cross join newest
)

select *, not is_engaged as is_bounce from judged
