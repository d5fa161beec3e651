{{ config(
    materialized='incremental',
    unique_key='session_id',
    recompute_by='contact_id'
) }}

select
    session_id,
    contact_id,
    source_type,
    min(session_number) as session_number,
    min(tstamp) as session_start_tstamp,
    max(tstamp) as session_end_tstamp,
    {{ whole_seconds_between('min(tstamp)', 'max(tstamp)') }} as duration_in_s,
    count(*) as events,
    {{ on_first_event('source') }} as first_source,
    {{ on_first_event('url') }} as first_url,
    min(cross_property_session_id) as cross_property_session_id,
    min(cross_property_session_number) as cross_property_session_number,
    {%- for target, origin in [('prompted_by', 'led_by_session_id'),
                               ('prompted_by_type', 'led_by_type'),
                               ('prompted_by_source', 'led_by_source')] %}
    case when source_type = 'product' then {{ on_first_event(origin) }} end
        as {{ target }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ ref('property_events__sessionized') }}
group by session_id, contact_id, source_type
