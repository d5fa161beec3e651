{{ config(
    materialized='incremental',
    unique_key=['project_id', 'session_id', 'anonymous_id']
) }}

{%- do check_bucketed_variables() %}
{%- set entry = ['url', 'path', 'referrer', 'utm_source', 'utm_medium', 'utm_campaign',
                 'country', 'user_agent'] %}

with grouped as (
    select
        project_id,
        session_id,
        anonymous_id,
        last_value(user_id order by tstamp, event_id)
            filter (where user_id is not null) as user_id,
        min(tstamp) as started_at,
        max(tstamp) as ended_at,
        {{ whole_seconds_between('min(tstamp)', 'max(tstamp)') }} as duration_s,
        count(*) as event_count,
        count(*) filter (where event in ({{ literals(var('bucketed_pageview_events')) }})) as pageview_count,
        {%- for column in entry %}
        {{ on_first_event(column) }} as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('bucketed_events') }}
    group by project_id, session_id, anonymous_id
),

-- Only a session's first event is looked into, not every event.
classified as (
    select
        *,
        {{ traffic_of('url', 'referrer', 'utm_source', 'utm_medium', 'utm_campaign') }}
            as traffic,
        user_agent(user_agent) as agent
    from grouped
)

select
    * except (url, path, referrer, utm_source, utm_medium, utm_campaign, country,
        user_agent, traffic, agent),
    {%- for field in ['source', 'medium', 'campaign', 'channel', 'rule', 'confidence'] %}
    traffic['{{ field }}'] as entry_{{ field }},
    {%- endfor %}
    url as entry_url,
    path as entry_path,
    referrer as entry_referrer,
    country,
    agent['device_category'] as device_type,
    agent['browser'] as browser,
    agent['os'] as os
from classified
