{{ config(materialized='table', enabled=var('stitching') == 'graph') }}

-- Who is behind each id: all ids that can be reached from one another over edges are one
-- person. Ids go by `segment_name_of`: a visitor and a user that are spelled alike are two.
with ends as (
    select left_type as id_type, left_id as id, first_seen_at, last_seen_at
    from {{ ref('identity_edges') }}
    union all
    select right_type, right_id, first_seen_at, last_seen_at
    from {{ ref('identity_edges') }}
    union all
    select 'anonymous_id', anonymous_id, first_seen_at, last_seen_at
    from {{ ref('user_stitching') }}
),

-- An id of its own first, so that it has a row even if nothing joins it.
links as (
    select id_type, id, {{ segment_name_of('id_type', 'id') }} as name,
        cast(null as varchar) as other, min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from ends
    group by id_type, id
    union all
    select left_type, left_id, {{ segment_name_of('left_type', 'left_id') }},
        {{ segment_name_of('right_type', 'right_id') }}, null, null
    from {{ ref('identity_edges') }} as edges
    where {{ segment_joins('left') }} and {{ segment_joins('right') }}
),

components as (
    select *, connected_component(name, other) over () as component
    from links
),

-- A person is named after the first user that was seen, else after the first visitor.
people as (
    select
        component,
        first_value(name order by id_type <> 'user_id', id_type <> 'anonymous_id',
            first_seen_at, id) as canonical_id,
        count(*) as ids
    from components
    where other is null
    group by component
)

select id_type, id, canonical_id, ids, first_seen_at, last_seen_at
from components
join people using (component)
where other is null
