{{ config(materialized='incremental', unique_key='anonymous_id') }}

-- Who a visitor turned out to be: the user of the latest page view that names one.
select
    anonymous_id,
    last_value(user_id order by tstamp, page_view_id)
        filter (where user_id is not null) as user_id,
    min(tstamp) as first_seen_at,
    max(tstamp) as last_seen_at
from {{ ref('page_views__sessionized') }}
group by anonymous_id
