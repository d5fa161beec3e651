{# What the first event of a session has in `column`, a null included. #}
{% macro on_first_event(column) -%}
    first_value({{ column }} order by tstamp, event_id)
{%- endmacro %}
