{{ config(materialized='view') }}

{%- do check_metrics_variables() %}
{%- set mapping = metrics_present_mapping() %}
{%- do check_metrics_input(mapping) %}
{%- set columns = metrics_column_types() %}

with named as (
    select
        {%- for name in columns %}
        {{ metrics_column(name, mapping) }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ metrics_input() }}
),

-- One row an id: the earliest.
deduplicated as (
    select *
    from named
    where {% for name in metrics_required() %}
        {{- 'and ' if not loop.first }}{{ name }} is not null{{ ' ' if not loop.last }}
        {%- endfor %}
    {{ first_of_each('event_id', ['tstamp'] + columns | reject('in', ['event_id', 'tstamp']) | list) }}
),

viewed as (
    select
        *,
        {%- if mapping.get('event_name') is none %}
        true as is_page_view
        {%- else %}
        {{ metrics_named(var('metrics_page_view_events')) }} as is_page_view
        {%- endif %}
    from deduplicated
)

select
    *,
    {{ metrics_fits(var('metrics_conversions')) }} as is_conversion,
    {{ metrics_fits(var('metrics_impressions')) }} as is_impression,
    {{ metrics_fits(var('metrics_clicks')) }} as is_click
from viewed
