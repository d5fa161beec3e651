{{ config(
    materialized='incremental',
    unique_key=['project_id', 'source', 'medium'],
    recompute_by=['project_id', 'source']
) }}

with counted as (
    select
        project_id,
        entry_source as source,
        entry_medium as medium,
        count(*) as sessions,
        cast(sum(event_count) as bigint) as events,
        count(distinct anonymous_id) as uniques,
        count(*) filter (where {{ is_paid_channel('entry_channel') }}) as paid_sessions
    from {{ ref('event_sessions__initial') }}
    group by project_id, entry_source, entry_medium
)

select
    *,
    cast(paid_sessions as double) / sessions as paid_share,
    cast(sessions as double) / sum(sessions) over (partition by project_id, source)
        as share_of_source
from counted
