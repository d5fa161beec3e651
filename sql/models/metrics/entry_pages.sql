{{ config(materialized='table') }}

with counted as (
    select
        entry_page as page,
        count(*) as entries,
        count(*) filter (where is_bounce) as bounces,
        count(*) filter (where is_converted) as converted_sessions
    from {{ ref('metrics_sessions') }}
    where page_views > 0
    group by entry_page
)

select
    *,
    {{ metrics_ratio('entries', 'sum(entries) over ()') }} as share,
    {{ metrics_ratio('bounces', 'entries') }} as bounce_rate,
    {{ metrics_ratio('converted_sessions', 'entries') }} as conversion_rate
from counted
