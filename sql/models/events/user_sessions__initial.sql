{{ config(
    materialized='incremental',
    unique_key='session_id',
    recompute_by='resolved_user'
) }}

select
    session_id,
    resolved_user,
    session_number,
    min(tstamp) as session_start_tstamp,
    max(tstamp) as session_end_tstamp,
    count(*) as events,
    {{ on_first_event('"type"') }} as first_type,
    {{ on_first_event('"event"') }} as first_event,
    {{ on_last_event('"type"') }} as last_type,
    {{ on_last_event('"event"') }} as last_event,
    (
        arrow_cast(max(tstamp), 'Int64') - arrow_cast(min(tstamp), 'Int64')
    ) / 1000000.0 as duration_in_s
from {{ ref('events__sessionized') }}
group by session_id, resolved_user, session_number
