{{ config(materialized='incremental', unique_key='session_id') }}

with grouped as (
    select
        session_id,
        min(visitor_id) as visitor_id,
        min(tstamp) as session_start_tstamp,
        max(tstamp) as session_end_tstamp,
        arrow_cast(max(tstamp) - min(tstamp), 'Int64') / 1000 as duration_in_ms,
        {{ on_last_event('gap_in_s') }} as gap_in_s,
        count(*) as events,
        {%- for name in ['page_view', 'conversion', 'impression', 'click'] %}
        count(*) filter (where is_{{ name }}) as {{ name }}s,
        {%- endfor %}
        {{ on_first_event('page') }} filter (where is_page_view) as entry_page,
        {{ on_last_event('page') }} filter (where is_page_view) as exit_page,
        {%- for column in ['platform', 'url', 'referrer', 'utm_source', 'utm_medium',
                           'utm_campaign', 'user_agent', 'channel', 'device_category'] %}
        {{ on_first_event(column) }} as first_{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('metrics_events__sessionized') }}
    group by session_id
),

-- Each function is called once a session.
known as (
    select
        *,
        {{ traffic_of('first_url', 'first_referrer', 'first_utm_source',
                      'first_utm_medium', 'first_utm_campaign') }} as traffic,
        user_agent(first_user_agent) as agent
    from grouped
)

select
    * except (traffic, agent, first_platform, first_channel, first_device_category),
    first_platform as platform,
    traffic['source'] as source,
    traffic['medium'] as medium,
    traffic['campaign'] as campaign,
    coalesce(first_channel, traffic['channel'], 'Unassigned') as channel,
    coalesce(first_device_category, agent['device_category'], 'other') as device_category
from known
