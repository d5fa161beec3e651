{# Stops a build over a variable that would give wrong sessions. Writes no SQL. #}
{% macro check_segment_variables() %}
    {% do check_seconds('segment_inactivity_cutoff') %}
    {% do check_choice('segment_boundary', ['at_least', 'more_than']) %}
    {% do check_choice('segment_granularity', ['exact', 'second']) %}
    {% do check_choice('stitching', ['one_hop', 'graph']) %}
    {% do check_segment_pass_through(var('segment_pass_through_columns')) %}
    {% do check_segment_identity() %}
    {% do check_count('segment_identity_max_users') %}
    {% do check_count('segment_identity_max_visitors') %}
{% endmacro %}

{% macro check_segment_identity() %}
    {% do check_list('segment_identity_columns', 'a list of column names') %}
    {% for column in var('segment_identity_columns') %}
        {% if column not in var('segment_pass_through_columns') %}
            {% do exceptions.raise_compiler_error(
                'variable `segment_identity_columns` names `' ~ column
                ~ '`, which `segment_pass_through_columns` does not') %}
        {# the colon ends the kind in an id's name, see `segment_name_of` #}
        {% elif ':' in column %}
            {% do refuse_variable(
                'segment_identity_columns', 'columns without a colon in their names', column) %}
        {% endif %}
    {% endfor %}
{% endmacro %}

{% macro check_segment_pass_through(columns) %}
    {% do check_list('segment_pass_through_columns', 'a list of column names') %}
    {% set taken = [
        'page_view_id', 'anonymous_id', 'user_id', 'received_at_tstamp', 'sent_at_tstamp',
        'tstamp', 'page_url', 'page_url_host', 'page_url_path', 'page_title',
        'page_url_query', 'referrer', 'referrer_host', 'utm_source', 'utm_medium',
        'utm_campaign', 'utm_term', 'utm_content', 'gclid', 'ip', 'user_agent', 'device',
        'device_category', 'page_view_number', 'session_id'
    ] %}
    {% for column in columns %}
        {% if column is not string or not column or '"' in column %}
            {% do refuse_variable(
                'segment_pass_through_columns', 'a list of column names', column) %}
        {% elif column in taken %}
            {% do exceptions.raise_compiler_error(
                'variable `segment_pass_through_columns` names `' ~ column
                ~ '`, which `page_views` has already') %}
        {% endif %}
        {% do taken.append(column) %}
    {% endfor %}
{% endmacro %}
