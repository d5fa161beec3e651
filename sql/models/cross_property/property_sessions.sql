{{ config(materialized='table') }}

-- Whether a session is open depends on the newest event of all contacts, which no key of this
-- table leads to: so the costly part is kept by key in `property_sessions__initial`.
select
    sessions.*,
    {{ is_open('sessions.session_end_tstamp', 'newest.tstamp', cross_property_gap()) }} as is_open
from {{ ref('property_sessions__initial') }} as sessions
cross join (
    select max(session_end_tstamp) as tstamp from {{ ref('property_sessions__initial') }}
) as newest
