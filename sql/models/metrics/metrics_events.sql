{{ config(materialized='view') }}

{%- do check_metrics_variables() %}
{%- set mapping = metrics_present_mapping() %}
{%- do check_metrics_present(mapping) %}
{%- set columns = metrics_column_types() %}

with named as (
    select
        {%- for name in columns %}
        {{ metrics_column(name, mapping) }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ metrics_input() }}
),

-- One row an id: the earliest. All other columns break ties, so that the choice depends on
-- the rows alone and not on the order in which they are read.
deduplicated as (
    select *
    from named
    where {% for name in metrics_required() %}
        {{- 'and ' if not loop.first }}{{ name }} is not null{{ ' ' if not loop.last }}
        {%- endfor %}
    qualify row_number() over (
        partition by event_id
        order by
            tstamp,
            {%- for name in columns if name not in ['event_id', 'tstamp'] %}
            {{ name }} asc nulls last{{ ',' if not loop.last }}
            {%- endfor %}
    ) = 1
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
