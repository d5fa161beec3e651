{{ config(materialized='table', enabled=var('stitching') == 'graph') }}

-- Ids that join nobody: too many users share them (a library's computer), or, if it is a user,
-- too many visitors have it (a guest account, a placeholder).
with shared as (
    select left_type as id_type, left_id as id, 'users' as seen_with, first_seen_at,
        last_seen_at
    from {{ ref('identity_edges') }}
    where right_type = 'user_id'
    union all
    select right_type, right_id, 'visitors', first_seen_at, last_seen_at
    from {{ ref('identity_edges') }}
    where right_type = 'user_id' and left_type = 'anonymous_id'
)

select
    id_type,
    id,
    seen_with,
    count(*) as others,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at
from shared
group by id_type, id, seen_with
having count(*) > case seen_with
    when 'users' then {{ var('segment_identity_max_users') }}
    else {{ var('segment_identity_max_visitors') }}
end
