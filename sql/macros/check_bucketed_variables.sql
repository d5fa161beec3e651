{# Stops a build over a variable that would give wrong sessions. Writes no SQL. #}
{% macro check_bucketed_variables() %}
    {% do check_seconds('bucketed_width') %}
    {% set expected = 'a list of names of events, at least one' %}
    {% do check_texts('bucketed_pageview_events', expected) %}
    {% if not var('bucketed_pageview_events') %}
        {% do refuse_variable('bucketed_pageview_events', expected, '[]') %}
    {% endif %}
{% endmacro %}
