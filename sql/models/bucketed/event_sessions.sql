{{ config(
    materialized='incremental',
    unique_key=['project_id', 'session_id', 'anonymous_id']
) }}

select
    project_id,
    session_id,
    anonymous_id,
    user_id,
    started_at,
    ended_at,
    duration_s,
    event_count,
    pageview_count,
    entry_source,
    entry_medium,
    entry_campaign,
    entry_url,
    entry_path,
    entry_referrer,
    country,
    device_type,
    browser,
    os
from {{ ref('event_sessions__initial') }}
