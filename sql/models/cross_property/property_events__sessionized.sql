{{ config(
    materialized='incremental',
    unique_key='event_id',
    recompute_by='contact_id'
) }}

{%- do check_cross_property_variables() %}
{%- set gap = cross_property_gap() %}

with sessionized as (
    select
        *,
        session_id(source_type || '-' || contact_id, tstamp, gap => {{ gap }})
            over within_type as session_id,
        session_number(tstamp, gap => {{ gap }}) over within_type as session_number,
        session_id(contact_id, tstamp, gap => {{ gap }})
            over any_type as cross_property_session_id,
        session_number(tstamp, gap => {{ gap }})
            over any_type as cross_property_session_number
    from {{ ref('property_events') }}
    window
        within_type as (partition by contact_id, source_type order by tstamp, event_id),
        any_type as (partition by contact_id order by tstamp, event_id)
)

select
    *,
    {{ cross_property_led_by('session_id') }} as led_by_session_id,
    {{ cross_property_led_by('source_type') }} as led_by_type,
    {{ cross_property_led_by('source') }} as led_by_source
from sessionized
