{{ config(materialized='view') }}

{%- do check_bucketed_variables() %}
{%- set columns = bucketed_event_columns() %}

with usable as (
    select
        {%- for column in columns %}
        "{{ column }}",
        {%- endfor %}
        project_id,
        id
    from {{ source('bucketed', 'events') }}
    where project_id is not null
        and id is not null
        and anonymous_id is not null
        and "timestamp" is not null
),

-- One row an id of a project: the earliest received.
deduplicated as (
    select * replace ({{ utc('"timestamp"') }} as "timestamp")
    from usable
    {{ first_of_each('project_id, id', columns) }}
)

select
    project_id,
    id as event_id,
    coalesce(
        nullif(session_id, ''),
        session_bucket_id(anonymous_id, "timestamp", {{ bucketed_width() }})
    ) as session_id,
    anonymous_id,
    nullif(user_id, '') as user_id,
    "timestamp" as tstamp,
    event,
    url,
    coalesce(path, url_path(url)) as path,
    {%- for column in ['referrer', 'utm_source', 'utm_medium', 'utm_campaign', 'country'] %}
    {{ column }},
    {%- endfor %}
    user_agent
from deduplicated
