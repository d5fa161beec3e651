{# Checks of variables, for all packs. Each stops a build over a value that would give wrong
   tables, and writes no SQL. #}

{% macro refuse_variable(name, expected, found) %}
    {% do exceptions.raise_compiler_error(
        'variable `' ~ name ~ '` must be ' ~ expected ~ '; found `' ~ found ~ '`') %}
{% endmacro %}

{% macro check_count(name, expected='a whole number, at least 1') %}
    {% set count = var(name) %}
    {% if count is not integer or count is boolean or count < 1 %}
        {% do refuse_variable(name, expected, count) %}
    {% endif %}
{% endmacro %}

{% macro check_seconds(name) %}
    {% do check_count(name, 'a whole number of seconds, at least 1') %}
{% endmacro %}

{% macro check_choice(name, accepted) %}
    {% if var(name) not in accepted %}
        {% do refuse_variable(name, '`' ~ accepted | join('` or `') ~ '`', var(name)) %}
    {% endif %}
{% endmacro %}

{% macro check_list(name, expected) %}
    {% set list = var(name) %}
    {% if list is string or list is mapping or list is not iterable %}
        {% do refuse_variable(name, expected, list) %}
    {% endif %}
{% endmacro %}

{% macro check_texts(name, expected) %}
    {% do check_list(name, expected) %}
    {% for text in var(name) if text is not string or not text %}
        {% do refuse_variable(name, expected, var(name)) %}
    {% endfor %}
{% endmacro %}

{% macro check_time_zone(name) %}
    {% if var(name) not in modules.pytz.all_timezones %}
        {% do refuse_variable(name, 'the name of a time zone such as `Europe/Berlin`', var(name)) %}
    {% endif %}
{% endmacro %}

{% macro check_day_or_null(name, expected) %}
    {% if var(name) is not none and not is_day(var(name) | string) %}
        {% do refuse_variable(name, expected, var(name)) %}
    {% endif %}
{% endmacro %}

{# Whether there is such a day in the calendar: `2024-02-30` is none. #}
{% macro is_day(text) %}
    {% set parts = text.split('-') %}
    {% if parts | map('length') | list != [4, 2, 2] or not (parts | join).isdigit() %}
        {% do return(false) %}
    {% endif %}
    {% set year, month, day = parts[0] | int, parts[1] | int, parts[2] | int %}
    {% set leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) %}
    {% set lengths = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] %}
    {% do return(month in range(1, 13) and day in range(1, lengths[month - 1] + 1)) %}
{% endmacro %}
