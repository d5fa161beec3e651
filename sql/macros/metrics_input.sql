{# What the metrics pack reads, and under which names. #}

{# The rows: a model of the project, or the user's own files. #}
{% macro metrics_input() %}
    {% if var('metrics_events_table') is none %}
        {% do return(ref(var('metrics_events_model'))) %}
    {% endif %}
    {% do return(source('metrics', 'events')) %}
{% endmacro %}

{# What stands behind the rows, as the user called it. #}
{% macro metrics_input_name() %}
    {% do return(var('metrics_events_table') or var('metrics_events_model')) %}
{% endmacro %}

{# Everything the pack reads, and the SQL type it has there. #}
{% macro metrics_column_types() %}
    {% do return({
        'event_id': 'varchar', 'visitor_id': 'varchar', 'tstamp': 'timestamp',
        'session_id': 'varchar', 'platform': 'varchar', 'event_name': 'varchar',
        'page': 'varchar', 'url': 'varchar', 'referrer': 'varchar',
        'utm_source': 'varchar', 'utm_medium': 'varchar', 'utm_campaign': 'varchar',
        'user_agent': 'varchar', 'channel': 'varchar', 'device_category': 'varchar',
        'amount': 'bigint', 'currency': 'varchar'
    }) %}
{% endmacro %}

{# The columns of models that are known, by what the pack reads from them. #}
{% macro metrics_known_columns(model) %}
    {% set known = {
        'page_views__sessionized': {
            'event_id': 'page_view_id', 'visitor_id': 'anonymous_id', 'tstamp': 'tstamp',
            'session_id': 'session_id', 'page': 'page_url_path', 'url': 'page_url',
            'referrer': 'referrer', 'utm_source': 'utm_source',
            'utm_medium': 'utm_medium', 'utm_campaign': 'utm_campaign',
            'user_agent': 'user_agent'
        },
        'bucketed_events': {
            'event_id': ['project_id', 'event_id'],
            'visitor_id': ['project_id', 'anonymous_id'], 'tstamp': 'tstamp',
            'session_id': ['project_id', 'session_id', 'anonymous_id'],
            'event_name': 'event', 'page': 'path', 'url': 'url', 'referrer': 'referrer',
            'utm_source': 'utm_source', 'utm_medium': 'utm_medium',
            'utm_campaign': 'utm_campaign', 'user_agent': 'user_agent'
        },
        'events__sessionized': {
            'event_id': 'event_id', 'visitor_id': 'resolved_user', 'tstamp': 'tstamp',
            'session_id': 'session_id', 'event_name': ['event', 'type'],
            'page': 'context.page.path', 'url': 'context.page.url',
            'referrer': 'context.page.referrer', 'utm_source': 'context.campaign.source',
            'utm_medium': 'context.campaign.medium', 'utm_campaign': 'context.campaign.name',
            'user_agent': 'context.userAgent', 'platform': 'context.device.type'
        },
        'property_events__sessionized': {
            'event_id': 'event_id', 'visitor_id': 'contact_id', 'tstamp': 'tstamp',
            'session_id': 'cross_property_session_id', 'event_name': 'event', 'url': 'url'
        }
    } %}
    {% do return(known.get(model, {})) %}
{% endmacro %}

{# `metrics_columns` over the columns that are known: what the pack reads -> column. #}
{% macro metrics_mapping() %}
    {% set mapping = {} %}
    {% if var('metrics_events_table') is none %}
        {% do mapping.update(metrics_known_columns(var('metrics_events_model'))) %}
    {% endif %}
    {% do mapping.update(var('metrics_columns')) %}
    {% do return(mapping) %}
{% endmacro %}

{# The same without known columns that the model does not have: the events pack has those of
   its input. Only for models that read the input. #}
{% macro metrics_present_mapping() %}
    {% set mapping = metrics_mapping() %}
    {% if execute and var('metrics_events_table') is none and var('metrics_events_model') == 'events__sessionized' %}
        {% set present = adapter.get_columns_in_relation(metrics_input()) | map(attribute='name') | list %}
        {% for name, mapped in metrics_known_columns('events__sessionized').items() if mapping[name] == mapped %}
            {% if mapped is string and mapped not in present %}
                {% do mapping.update({name: none}) %}
            {% endif %}
        {% endfor %}
    {% endif %}
    {% do return(mapping) %}
{% endmacro %}

{# The SQL of one thing that the pack reads; null where no column holds it. #}
{% macro metrics_column(name, mapping) %}
    {%- set column = mapping.get(name) -%}
    {%- set type = metrics_column_types()[name] -%}
    {%- if column is none or column is undefined -%}
        {%- if name == 'page' and mapping.get('url') is not none -%}
            {%- set url = metrics_column('url', mapping) -%}
            case when url_path({{ url }}) = '' and {{ url }} like '%://%' then '/'
                else url_path({{ url }}) end
        {%- else -%}
            cast(null as {{ type }})
        {%- endif -%}
    {%- elif column is not string -%}
        {{ metrics_columns_as_one(name, column) }}
    {%- elif name == 'tstamp' -%}
        {{ utc(adapter.quote(column)) }}
    {%- elif name == 'currency' -%}
        nullif(upper(trim({{ adapter.quote(column) }})), '')
    {%- else -%}
        cast({{ adapter.quote(column) }} as {{ type }})
    {%- endif -%}
{% endmacro %}

{# Several columns: an id is a hash of them all with their lengths (`a`, `b-c` is not `a-b`, `c`),
   null if one is; of others the first not null. #}
{% macro metrics_columns_as_one(name, columns) %}
    {%- set quoted = [] -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do quoted.append(adapter.quote(column)) -%}
        {%- do parts.append(
            "character_length(cast(" ~ adapter.quote(column) ~ " as varchar)), " ~ adapter.quote(column)) -%}
    {%- endfor -%}
    {%- if name in ['event_id', 'visitor_id', 'session_id'] -%}
        case when {{ quoted | join(' is not null and ') }} is not null
            then surrogate_key({{ parts | join(', ') }}) end
    {%- else -%}
        coalesce({{ quoted | join(', ') }})
    {%- endif -%}
{% endmacro %}

{# What every event must have: a session too, where the input brings its own. #}
{% macro metrics_required() %}
    {% set required = ['event_id', 'visitor_id', 'tstamp'] %}
    {% if metrics_mapping().get('session_id') is not none %}
        {% do required.append('session_id') %}
    {% endif %}
    {% do return(required) %}
{% endmacro %}

{# Seconds without an event that end a session where no platform says otherwise. #}
{% macro metrics_cutoff() %}
    {% set cutoff = var('metrics_inactivity_cutoff') %}
    {% do return(var('segment_inactivity_cutoff', 1800) if cutoff is none else cutoff) %}
{% endmacro %}
