{{ config(materialized='table') }}

{%- do check_metrics_variables() %}
{%- set steps = var('metrics_funnel_steps') %}
{%- set within = var('metrics_funnel_within') %}
{%- set unit = 'session_id' if within == 'session' else 'visitor_id' %}

-- For each event that completes step n in order, `start_n` is the latest event of the first step
-- from which it does: what came before it must have completed step n - 1.
with start_0 as (
    select {{ unit }} as unit, tstamp, event_id, event_name, page, is_page_view
    from {{ ref('metrics_events__sessionized') }}
),
{% for step in steps %}
start_{{ loop.index }} as (
    select
        *,
        case when {{ metrics_fits([step]) }} then
            {%- if loop.first %} tstamp
            {%- else %} max(start_{{ loop.index0 }}) over (
                partition by unit order by tstamp, event_id
                rows between unbounded preceding and 1 preceding
            )
            {%- endif %}
        end as start_{{ loop.index }}
    from start_{{ loop.index0 }}
),
{% endfor %}
reached as (
    {%- for step in steps %}
    {{ 'union all' if not loop.first }}
    select
        {{ loop.index }} as step,
        {{ literal(step.name) }} as step_name,
        count(distinct unit) filter (
            where start_{{ loop.index }} is not null
            {%- if within != 'session' %}
            and tstamp < start_{{ loop.index }}
                + arrow_cast({{ within * 86400 }}, 'Duration(Second)')
            {%- endif %}
        ) as reached
    from start_{{ steps | length }}
    {%- endfor %}
)

select
    step,
    step_name,
    '{{ "session" if within == "session" else "visitor" }}' as unit,
    reached,
    {{ metrics_ratio('reached', 'first_value(reached) over (order by step)') }}
        as overall_conversion_rate,
    {{ metrics_ratio('lead(reached) over (order by step)', 'reached') }} as conversion_rate,
    reached - lead(reached) over (order by step) as drop_off,
    {{ metrics_ratio('reached - lead(reached) over (order by step)', 'reached') }}
        as drop_off_rate
from reached
