{{ config(
    materialized='incremental',
    unique_key='session_id',
    recompute_by='contact_id'
) }}

{%- set active_days = var('cross_property_active_days') %}

-- The session rule once more, with days for a gap: over a contact's product events, the first
-- of a session has the reason `first`, or `inactivity` after that many days, or none.
with product_events as (
    select
        *,
        session_start_reason(tstamp, gap => interval '{{ active_days }} days') over (
            partition by contact_id order by tstamp, event_id
        ) as reason
    from {{ ref('property_events__sessionized') }}
    where source_type = 'product'
)

select
    session_id,
    contact_id,
    min(session_number) as session_number,
    min(tstamp) as session_start_tstamp,
    max(tstamp) as session_end_tstamp,
    case {{ on_first_event('reason') }}
        when 'first' then 'new'
        when 'inactivity' then 'resurrected'
        else 'active'
    end as session_type,
    {{ on_first_event('led_by_session_id') }} as prompted_by,
    {{ on_first_event('led_by_type') }} as prompted_by_type,
    {{ on_first_event('led_by_source') }} as prompted_by_source
from product_events
group by session_id, contact_id
