{{ config(materialized='view') }}

{%- do check_cross_property_variables() %}
{%- set columns = cross_property_event_columns() %}

with usable as (
    select
        {%- for column in columns %}
        "{{ column }}",
        {%- endfor %}
        id
    from {{ source('cross_property', 'events') }}
    where id is not null
        and contact_id is not null
        and "timestamp" is not null
        and source is not null
),

-- One row an id: the earliest received.
deduplicated as (
    select *
    from usable
    {{ first_of_each('id', columns) }}
)

-- The types are joined last: below the window above they would make every run a full rebuild.
select
    events.id as event_id,
    events.contact_id,
    {{ utc('events."timestamp"') }} as tstamp,
    events.source,
    types.type as source_type,
    events.event,
    events.url
from deduplicated as events
inner join {{ ref('source_types') }} as types on types.source = events.source
