{# Stops a build over a variable that would give wrong sessions. Writes no SQL. #}
{% macro check_bucketed_variables() %}
    {% set width = var('bucketed_width') %}
    {% if width is not integer or width is boolean or width < 1 %}
        {% do exceptions.raise_compiler_error(
            'variable `bucketed_width` must be a whole number of seconds, at least 1; found `'
            ~ width ~ '`') %}
    {% endif %}
    {% set events = var('bucketed_pageview_events') %}
    {% if events is string or events is mapping or events is not iterable or not events
        or events | reject('string') | list %}
        {% do exceptions.raise_compiler_error(
            'variable `bucketed_pageview_events` must be a list of names of events, at least one; found `'
            ~ events ~ '`') %}
    {% endif %}
{% endmacro %}
