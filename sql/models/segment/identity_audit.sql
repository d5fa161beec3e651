{{ config(materialized='table', enabled=var('stitching') == 'graph') }}

-- Ids that too many users share (a library's computer, a placeholder): they join nobody.
select
    left_type as id_type,
    left_id as id,
    count(*) as users,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    cast({{ var('segment_identity_max_users') }} as bigint) as max_users
from {{ ref('identity_edges') }}
where right_type = 'user_id'
group by left_type, left_id
having count(*) > {{ var('segment_identity_max_users') }}
