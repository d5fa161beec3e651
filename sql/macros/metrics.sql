{# What the models of the metrics pack share. #}

{# The pause that ends a session after a row. #}
{% macro metrics_gap() -%}
    arrow_cast(gap_in_s, 'Duration(Second)')
{%- endmacro %}

{# Whether an event has one of `names`; never null. #}
{% macro metrics_named(names) -%}
    {%- if not names -%}
        false
    {%- else -%}
        coalesce(event_name in ({{ literals(names) }}), false)
    {%- endif -%}
{%- endmacro %}

{# Whether an event fits one of `rules`; never null. A page alone means that it was viewed. #}
{% macro metrics_fits(rules) -%}
    {%- if not rules -%}
        false
    {%- else -%}
        coalesce(
            {%- for rule in rules %}
            {{ 'or ' if not loop.first }}({{ metrics_fits_one(rule) }})
            {%- endfor %}, false)
    {%- endif -%}
{%- endmacro %}

{% macro metrics_fits_one(rule) -%}
    {%- if rule.event is defined -%}
        coalesce(event_name = {{ literal(rule.event) }}, false)
    {%- else -%}
        is_page_view
    {%- endif -%}
    {%- if rule.page is defined %} and coalesce(page = {{ literal(rule.page) }}, false)
    {%- endif -%}
    {%- if rule.page_like is defined %} and coalesce(page like {{ literal(rule.page_like) }}, false)
    {%- endif -%}
{%- endmacro %}

{# `part` of `whole` as a fraction; null where the whole is 0. #}
{% macro metrics_ratio(part, whole) -%}
    cast({{ part }} as double) / nullif({{ whole }}, 0)
{%- endmacro %}

{# The columns of `metrics_split_by`, each with a comma behind it. #}
{% macro metrics_split() -%}
    {%- for column in var('metrics_split_by') -%} {{ column }}, {% endfor -%}
{%- endmacro %}

{# `part` as a fraction of its sum over the rows that have `columns` and the split in common. #}
{% macro metrics_share(part, columns=[]) -%}
    {%- set common = var('metrics_split_by') + columns -%}
    cast({{ part }} as double) / nullif(sum({{ part }}) over (
        {{- 'partition by ' ~ common | join(', ') if common -}}
    ), 0)
{%- endmacro %}
