{{ config(materialized='incremental') }}

-- Page views that belong to nobody or to no time. They are kept here, not dropped.
select
    id,
    {%- for column in segment_event_columns() %}
    "{{ column }}",
    {%- endfor %}
    case
        when id is null then 'id is null'
        when anonymous_id is null then 'anonymous_id is null'
        else 'timestamp is null'
    end as reason
from {{ source('segment', 'pages') }}
where id is null or anonymous_id is null or "timestamp" is null
