{# Stops a build over a variable that would give wrong sessions. Writes no SQL. #}
{% macro check_segment_variables() %}
    {% set cutoff = var('segment_inactivity_cutoff') %}
    {% if cutoff is not integer or cutoff is boolean or cutoff < 1 %}
        {% do exceptions.raise_compiler_error(
            'variable `segment_inactivity_cutoff` must be a whole number of seconds, at least 1; found `'
            ~ cutoff ~ '`') %}
    {% endif %}
    {% do check_segment_choice('segment_boundary', ['at_least', 'more_than']) %}
    {% do check_segment_choice('segment_granularity', ['exact', 'second']) %}
    {% do check_segment_choice('stitching', ['one_hop', 'graph']) %}
    {% do check_segment_pass_through(var('segment_pass_through_columns')) %}
    {% do check_segment_identity(
        var('segment_identity_columns'),
        {'segment_identity_max_users': var('segment_identity_max_users'),
         'segment_identity_max_visitors': var('segment_identity_max_visitors')}) %}
{% endmacro %}

{% macro check_segment_identity(columns, limits) %}
    {% for name, limit in limits.items() if limit is not integer or limit is boolean or limit < 1 %}
        {% do exceptions.raise_compiler_error(
            'variable `' ~ name ~ '` must be a whole number, at least 1; found `' ~ limit ~ '`') %}
    {% endfor %}
    {% if columns is string or columns is mapping or columns is not iterable %}
        {% do exceptions.raise_compiler_error(
            'variable `segment_identity_columns` must be a list of column names; found `'
            ~ columns ~ '`') %}
    {% endif %}
    {% for column in columns if column not in var('segment_pass_through_columns') %}
        {% do exceptions.raise_compiler_error(
            'variable `segment_identity_columns` names `' ~ column
            ~ '`, which `segment_pass_through_columns` does not') %}
    {% endfor %}
    {# the colon ends the kind in an id's name, see `segment_name_of` #}
    {% for column in columns if ':' in column %}
        {% do exceptions.raise_compiler_error(
            'variable `segment_identity_columns` must name columns without a colon; found `'
            ~ column ~ '`') %}
    {% endfor %}
{% endmacro %}

{% macro check_segment_choice(name, accepted) %}
    {% if var(name) not in accepted %}
        {% do exceptions.raise_compiler_error(
            'variable `' ~ name ~ '` must be `' ~ accepted | join('` or `')
            ~ '`; found `' ~ var(name) ~ '`') %}
    {% endif %}
{% endmacro %}

{% macro check_segment_pass_through(columns) %}
    {% if columns is string or columns is mapping or columns is not iterable %}
        {% do exceptions.raise_compiler_error(
            'variable `segment_pass_through_columns` must be a list of column names; found `'
            ~ columns ~ '`') %}
    {% endif %}
    {% set taken = [
        'page_view_id', 'anonymous_id', 'user_id', 'received_at_tstamp', 'sent_at_tstamp',
        'tstamp', 'page_url', 'page_url_host', 'page_url_path', 'page_title',
        'page_url_query', 'referrer', 'referrer_host', 'utm_source', 'utm_medium',
        'utm_campaign', 'utm_term', 'utm_content', 'gclid', 'ip', 'user_agent', 'device',
        'device_category', 'page_view_number', 'session_id'
    ] %}
    {% for column in columns %}
        {% if column is not string or not column or '"' in column %}
            {% do exceptions.raise_compiler_error(
                'variable `segment_pass_through_columns` must hold column names; found `'
                ~ column ~ '`') %}
        {% elif column in taken %}
            {% do exceptions.raise_compiler_error(
                'variable `segment_pass_through_columns` names `' ~ column
                ~ '`, which `page_views` has already') %}
        {% endif %}
        {% do taken.append(column) %}
    {% endfor %}
{% endmacro %}
