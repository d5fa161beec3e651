{{ config(
    materialized='incremental',
    unique_key='session_id',
    recompute_by='anonymous_id'
) }}

-- A session belongs to the user that its visitor turned out to be, else to the visitor.
select
    sessions.*,
    coalesce(users.user_id, sessions.anonymous_id) as blended_user_id
from {{ ref('sessions__initial') }} as sessions
left join {{ ref('user_stitching') }} as users
    on users.anonymous_id = sessions.anonymous_id
