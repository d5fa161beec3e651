{{ config(materialized='table') }}

{%- do check_metrics_variables() %}
{%- set mapping = metrics_present_mapping() %}
{%- do check_metrics_input(mapping) %}

-- Events that belong to nobody, to no time or to no session: they are kept here, not dropped.
-- An amount without currency is added to nothing; its event counts like any other.
with named as (
    select
        {%- for name in metrics_column_types() %}
        {{ metrics_column(name, mapping) }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ metrics_input() }}
)

select
    *,
    case
        {%- for name in metrics_required() %}
        when {{ name }} is null then '{{ name }} is null'
        {%- endfor %}
        else 'amount without currency'
    end as reason
from named
where {% for name in metrics_required() %}
    {{- 'or ' if not loop.first }}{{ name }} is null{{ ' ' }}
    {%- endfor %}or (amount is not null and currency is null)
