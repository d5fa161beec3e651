{{ config(
    materialized='incremental',
    unique_key='session_id',
    recompute_by='anonymous_id'
) }}

{%- do check_segment_variables() %}

-- A session belongs to the user that its visitor turned out to be, else to the visitor.
with users as (
    {%- if var('stitching') == 'graph' %}
    select id as anonymous_id, canonical_id as user_id
    from {{ ref('identities') }}
    where id_type = 'anonymous_id'
    {%- else %}
    select anonymous_id, user_id
    from {{ ref('user_stitching') }}
    {%- endif %}
)

select
    sessions.*,
    coalesce(users.user_id, sessions.anonymous_id) as blended_user_id
from {{ ref('sessions__initial') }} as sessions
left join users
    on users.anonymous_id = sessions.anonymous_id
