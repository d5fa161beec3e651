{# Stops a build over a variable that would give wrong metrics. Writes no SQL. #}
{% macro check_metrics_variables() %}
    {% for name in ['metrics_engaged_seconds', 'metrics_engaged_page_views', 'metrics_path_steps'] %}
        {% do check_count(name) %}
    {% endfor %}
    {% if var('metrics_inactivity_cutoff') is not none %}
        {% do check_count('metrics_inactivity_cutoff') %}
    {% endif %}
    {% do check_choice('metrics_boundary', ['at_least', 'more_than']) %}
    {% do check_time_zone('metrics_time_zone') %}
    {% if var('metrics_funnel_within') != 'session' %}
        {% do check_count('metrics_funnel_within', '`session` or a whole number of days, at least 1') %}
    {% endif %}
    {% for name in ['metrics_conversions', 'metrics_impressions', 'metrics_clicks', 'metrics_funnel_steps'] %}
        {% do check_metrics_rules(name, var(name)) %}
    {% endfor %}
    {% do check_metrics_steps(var('metrics_funnel_steps')) %}
    {% do check_texts('metrics_page_view_events', 'a list of texts') %}
    {% do check_metrics_currencies(var('metrics_currencies')) %}
    {% do check_metrics_split(var('metrics_split_by')) %}
    {% do check_metrics_columns(var('metrics_columns')) %}
{% endmacro %}

{% macro check_metrics_currencies(currencies) %}
    {% set expected = 'a list of currencies such as [EUR, USD], each once' %}
    {% do check_list('metrics_currencies', expected) %}
    {% set seen = [] %}
    {% for currency in currencies %}
        {% if currency is not string or not currency or '"' in currency or currency | lower in seen %}
            {% do refuse_variable('metrics_currencies', expected, currency) %}
        {% endif %}
        {% do seen.append(currency | lower) %}
    {% endfor %}
{% endmacro %}

{% macro check_metrics_split(columns) %}
    {% set accepted = ['session_date', 'channel', 'device_category', 'source', 'medium', 'campaign', 'platform'] %}
    {% set expected = 'a list of some of `' ~ accepted | join('`, `') ~ '`' %}
    {% do check_list('metrics_split_by', expected) %}
    {% set seen = [] %}
    {% for column in columns %}
        {% if column not in accepted or column in seen %}
            {% do refuse_variable('metrics_split_by', expected ~ ', each once', column) %}
        {% endif %}
        {% do seen.append(column) %}
    {% endfor %}
{% endmacro %}

{% macro check_metrics_rules(name, rules) %}
    {% set expected = 'a list of mappings with `event`, `page` or `page_like`' %}
    {% set kinds = ['event', 'page', 'page_like'] %}
    {% do check_list(name, expected) %}
    {% for rule in rules %}
        {% if rule is not mapping or not (rule.event is defined or rule.page is defined or rule.page_like is defined) %}
            {% do refuse_variable(name, expected, rule) %}
        {% endif %}
        {% for key, value in rule.items() if key not in kinds + ['name'] or value is not string %}
            {% do refuse_variable(name, expected, key ~ ': ' ~ value) %}
        {% endfor %}
    {% endfor %}
{% endmacro %}

{% macro check_metrics_steps(steps) %}
    {% set expected = 'one step or more, each with a `name` of its own' %}
    {% set names = [] %}
    {% for step in steps %}
        {% if step.name is undefined or step.name in names %}
            {% do refuse_variable('metrics_funnel_steps', expected, step) %}
        {% endif %}
        {% do names.append(step.name) %}
    {% endfor %}
    {% if not names %}
        {% do refuse_variable('metrics_funnel_steps', expected, steps) %}
    {% endif %}
{% endmacro %}

{% macro check_metrics_columns(columns) %}
    {% set types = metrics_column_types() %}
    {% if columns is not mapping %}
        {% do refuse_variable('metrics_columns', 'a mapping of names to columns', columns) %}
    {% endif %}
    {% for name, column in columns.items() %}
        {% if name not in types %}
            {% do refuse_variable('metrics_columns', 'a mapping with the names `' ~ types | join('`, `') ~ '`', name) %}
        {% elif column is not none %}
            {% do check_metrics_column(name, column) %}
        {% endif %}
    {% endfor %}
{% endmacro %}

{# A column, or a list of columns that are one text together. #}
{% macro check_metrics_column(name, column) %}
    {% set joined = column is iterable and column is not string and column is not mapping %}
    {% if joined and (not column or name in ['tstamp', 'amount', 'currency']) %}
        {% do refuse_variable('metrics_columns', 'one column for `' ~ name ~ '`', column) %}
    {% endif %}
    {% for part in (column if joined else [column]) if part is not string or not part %}
        {% do refuse_variable('metrics_columns', 'a mapping of names to columns', name ~ ': ' ~ column) %}
    {% endfor %}
{% endmacro %}

{# That there is an input with the columns which the user names, and that amounts are whole numbers.
   Only for models that read the input. #}
{% macro check_metrics_input(mapping) %}
    {# first of all, whether there is such a model #}
    {% set input = metrics_input() %}
    {% for name in ['event_id', 'visitor_id', 'tstamp'] if mapping.get(name) is none %}
        {% do exceptions.raise_compiler_error(
            'variable `metrics_columns` must name the column of `' ~ metrics_input_name()
            ~ '` that holds `' ~ name ~ '`; found no such entry') %}
    {% endfor %}
    {% if execute and (var('metrics_columns') or var('metrics_events_table') is not none) %}
        {% set present = {} %}
        {% for column in adapter.get_columns_in_relation(input) %}
            {% do present.update({column.name: column.data_type}) %}
        {% endfor %}
        {% if not present and var('metrics_events_table') is not none %}
            {% do exceptions.raise_compiler_error(
                'variable `metrics_events_table` must be a file, a folder or a glob; there are no files at `'
                ~ var('metrics_events_table') ~ '` (a relative path starts at the project)') %}
        {% endif %}
        {% for name, mapped in mapping.items() if mapped is not none %}
            {% do check_metrics_present(name, mapped, present) %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{% macro check_metrics_present(name, mapped, present) %}
    {% for column in ([mapped] if mapped is string else mapped) if column not in present %}
        {% do exceptions.raise_compiler_error(
            'variable `metrics_columns` names the column `' ~ column ~ '` for `' ~ name
            ~ '`, which `' ~ metrics_input_name() ~ '` does not have (it has `'
            ~ present | join('`, `') ~ '`)') %}
    {% endfor %}
    {% set type = present.get(mapped) | lower %}
    {% if name == 'amount' and type != 'null' and 'int' not in type %}
        {% do exceptions.raise_compiler_error(
            'column `' ~ mapped ~ '` of `' ~ metrics_input_name() ~ '` is `' ~ type
            ~ '`; an `amount` must be whole numbers of minor units (cents)') %}
    {% endif %}
{% endmacro %}
