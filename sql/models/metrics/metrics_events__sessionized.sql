{{ config(
    materialized='incremental',
    unique_key='event_id',
    recompute_by='visitor_id'
) }}

{%- do check_metrics_variables() %}

-- A phone's app times out sooner than a web application: each event has its platform's gap.
with gapped as (
    select
        events.*,
        coalesce(gaps.gap_in_s, {{ metrics_cutoff() }}) as gap_in_s
    from {{ ref('metrics_events') }} as events
    left join {{ ref('platform_gaps') }} as gaps
        on gaps.platform = events.platform
)

{% if metrics_mapping().get('session_id') is not none -%}
select * from gapped
{%- else -%}
select
    * replace (
        session_id(
            visitor_id,
            tstamp,
            gap => {{ metrics_gap() }},
            boundary => '{{ var("metrics_boundary") }}'
        ) over (
            partition by visitor_id order by tstamp, event_id
        ) as session_id
    )
from gapped
{%- endif %}
