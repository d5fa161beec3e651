{# What the first event of a session has in `column`, a null included. #}
{% macro on_first_event(column) -%}
    first_value({{ column }} order by tstamp, event_id)
{%- endmacro %}

{# What the last event of a session has in `column`, a null included. #}
{% macro on_last_event(column) -%}
    last_value({{ column }} order by tstamp, event_id)
{%- endmacro %}
