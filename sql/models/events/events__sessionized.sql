{{ config(
    materialized='incremental',
    unique_key='event_id',
    recompute_by='resolved_user'
) }}

{%- do check_events_variables() %}

-- The session columns stand first: the fields of the input follow, as many as there are.
select
    {{ events_session('session_id(resolved_user,') }} as session_id,
    {{ events_session('session_number(') }} as session_number,
    {{ events_session('is_session_start(') }} as new_session,
    lag(tstamp) over (
        partition by resolved_user order by tstamp, event_id
    ) as previous_tstamp,
    (
        arrow_cast(tstamp, 'Int64') - lag(arrow_cast(tstamp, 'Int64')) over (
            partition by resolved_user order by tstamp, event_id
        )
    ) / 1000000.0 as time_since_last_event,
    *
from {{ ref('resolved_events') }}
