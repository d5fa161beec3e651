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

-- One row an id of a project: the earliest received. All other columns break ties, so that
-- the choice depends on the rows alone and not on the order in which they are read.
deduplicated as (
    select * replace ({{ utc('"timestamp"') }} as "timestamp")
    from usable
    qualify row_number() over (
        partition by project_id, id
        order by
            {%- for column in columns %}
            "{{ column }}" asc nulls last{{ ',' if not loop.last }}
            {%- endfor %}
    ) = 1
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
