{{ config(tags=['metrics']) }}

-- One row for each combination of what a table is counted by.
{%- set split = var('metrics_split_by') %}
{%- set keys = {
    'metrics_session_values': ['session_id', 'currency'],
    'session_metrics_daily': ['session_date', 'channel', 'device_category'],
    'session_values_daily': ['session_date', 'channel', 'device_category', 'currency'],
    'entry_pages': split + ['page'],
    'exit_pages': split + ['page'],
    'next_pages': split + ['path_step', 'page', 'next_page', 'is_exit']
} %}

{%- for model, columns in keys.items() %}
{{ 'union all' if not loop.first }}
select '{{ model }}' as model, count(*) as copies
from {{ ref(model) }}
group by {{ columns | join(', ') }}
having count(*) > 1
{%- endfor %}
