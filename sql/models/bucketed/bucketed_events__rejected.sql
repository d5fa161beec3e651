{{ config(materialized='table') }}

-- Events that belong to no project, to nobody or to no time. They are kept here, not dropped.
select
    project_id,
    id,
    {%- for column in bucketed_event_columns() %}
    "{{ column }}",
    {%- endfor %}
    case
        when project_id is null then 'project_id is null'
        when id is null then 'id is null'
        when anonymous_id is null then 'anonymous_id is null'
        else 'timestamp is null'
    end as reason
from {{ source('bucketed', 'events') }}
where project_id is null
    or id is null
    or anonymous_id is null
    or "timestamp" is null
