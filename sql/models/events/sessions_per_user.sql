{{ config(materialized='incremental', unique_key='resolved_user') }}

select
    resolved_user,
    count(*) as sessions,
    sum(events) as events,
    min(session_start_tstamp) as first_seen_at,
    max(session_end_tstamp) as last_seen_at
from {{ ref('user_sessions__initial') }}
group by resolved_user
