{{ config(materialized='table') }}

-- Events that belong to nobody, to no time or to no type of source. They are kept here, not
-- dropped: a new source is found here until `source_types` gets a line for it.
select
    events.id,
    {%- for column in cross_property_event_columns() %}
    events."{{ column }}",
    {%- endfor %}
    case
        when events.id is null then 'id is null'
        when events.contact_id is null then 'contact_id is null'
        when events."timestamp" is null then 'timestamp is null'
        when events.source is null then 'source is null'
        else 'source is not in source_types'
    end as reason
from {{ source('cross_property', 'events') }} as events
left join {{ ref('source_types') }} as types on types.source = events.source
where events.id is null
    or events.contact_id is null
    or events."timestamp" is null
    or types.source is null
