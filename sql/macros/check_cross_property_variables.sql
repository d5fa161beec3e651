{# Stops a build over a variable that would give wrong sessions. Writes no SQL. #}
{% macro check_cross_property_variables() %}
    {% do check_seconds('cross_property_inactivity_cutoff') %}
    {% do check_count('cross_property_active_days', 'a whole number of days, at least 1') %}
    {% do check_time_zone('cross_property_time_zone') %}
    {% do check_day_or_null('cross_property_as_of',
        'a day such as `2024-05-31`, or null for the day of the newest event') %}
{% endmacro %}
