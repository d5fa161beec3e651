{{ config(materialized='table') }}

{%- do check_events_variables() %}

-- Whether a session is open depends on the newest event of any user, which no key of this
-- table leads to: the costly part is kept by key in `user_sessions__initial`.
select
    sessions.*,
    {{ is_open('sessions.session_end_tstamp', 'newest.tstamp', events_gap()) }} as is_open
from {{ ref('user_sessions__initial') }} as sessions
cross join (
    select max(session_end_tstamp) as tstamp from {{ ref('user_sessions__initial') }}
) as newest
