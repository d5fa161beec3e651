{{ config(materialized='table') }}

{%- do check_metrics_variables() %}

with counted as (
    select
        {{ metrics_split() }}
        entry_page as page,
        count(*) as entries,
        count(*) filter (where is_bounce) as bounces,
        count(*) filter (where is_converted) as converted_sessions
    from {{ ref('metrics_sessions') }}
    where page_views > 0
    group by {{ metrics_split() }} entry_page
)

select
    *,
    {{ metrics_share('entries') }} as share,
    {{ metrics_ratio('bounces', 'entries') }} as bounce_rate,
    {{ metrics_ratio('converted_sessions', 'entries') }} as conversion_rate
from counted
