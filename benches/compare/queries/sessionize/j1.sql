-- J1: as a user would write it.
select
    * except (dt),
    session_number("timestamp") over visitor as session_number,
    anonymous_id || '-' || session_number("timestamp") over visitor as session_id
from {{ source('lake', 'pages') }}
window visitor as (partition by anonymous_id order by "timestamp")
