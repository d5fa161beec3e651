{{ config(materialized='table') }}

{%- do check_metrics_variables() %}

-- Events that belong to nobody, to no time or to no session. They are kept here, not dropped.
with named as (
    select
        {%- for name in metrics_column_types() %}
        {{ metrics_column(name) }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ metrics_input() }}
)

select
    *,
    case
        {%- for name in metrics_required() %}
        when {{ name }} is null then '{{ name }} is null'
        {%- endfor %}
    end as reason
from named
where {% for name in metrics_required() %}
    {{- 'or ' if not loop.first }}{{ name }} is null{{ ' ' if not loop.last }}
    {%- endfor %}
