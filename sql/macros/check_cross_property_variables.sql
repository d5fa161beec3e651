{# Stops a build over a variable that would give wrong sessions. Writes no SQL. #}
{% macro check_cross_property_variables() %}
    {% do check_cross_property_count('cross_property_inactivity_cutoff', 'seconds') %}
    {% do check_cross_property_count('cross_property_active_days', 'days') %}
    {% set zone = var('cross_property_time_zone') %}
    {% if zone is not string or not zone or "'" in zone %}
        {% do exceptions.raise_compiler_error(
            'variable `cross_property_time_zone` must be the name of a time zone such as `Europe/Berlin`; found `'
            ~ zone ~ '`') %}
    {% endif %}
    {% set day = var('cross_property_as_of') %}
    {% if day is not none and (day | string).split('-') | map('length') | list != [4, 2, 2] %}
        {% do exceptions.raise_compiler_error(
            'variable `cross_property_as_of` must be a day such as `2024-05-31`, or null for the day of the newest event; found `'
            ~ day ~ '`') %}
    {% endif %}
{% endmacro %}

{% macro check_cross_property_count(name, unit) %}
    {% set count = var(name) %}
    {% if count is not integer or count is boolean or count < 1 %}
        {% do exceptions.raise_compiler_error(
            'variable `' ~ name ~ '` must be a whole number of ' ~ unit
            ~ ', at least 1; found `' ~ count ~ '`') %}
    {% endif %}
{% endmacro %}
