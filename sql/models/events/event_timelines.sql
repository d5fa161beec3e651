{{ config(materialized='view') }}

-- What each user did, step by step: read it ordered by user and `event_number`.
select
    resolved_user,
    row_number() over (
        partition by resolved_user order by tstamp, event_id
    ) as event_number,
    session_number,
    row_number() over (
        partition by session_id order by tstamp, event_id
    ) as session_event_number,
    "type",
    "event",
    tstamp,
    session_id,
    event_id
from {{ ref('events__sessionized') }}
