{# What the models of the events pack share. #}

{# Stops a build over a variable that would give wrong sessions. Writes no SQL. #}
{% macro check_events_variables() %}
    {% do check_seconds('events_inactivity_cutoff') %}
    {% do check_choice('events_boundary', ['at_least', 'more_than']) %}
    {% do check_choice('events_granularity', ['exact', 'second']) %}
{% endmacro %}

{# The fields of an incoming event that the pack itself reads. #}
{% macro events_known_fields() %}
    {% do return(['messageId', 'type', 'event', 'userId', 'anonymousId', 'timestamp']) %}
{% endmacro %}

{# All other fields of the input, and the names they get: what no column of a table may be
   called by becomes `_`, and `source_` goes before a name that is taken (tables do not tell
   cases apart). #}
{% macro events_further_fields() %}
    {% set taken = [
        'event_id', 'resolved_user', 'user_id', 'anonymous_id', 'tstamp', 'reason',
        'previous_tstamp', 'time_since_last_event', 'new_session', 'session_number',
        'session_id'
    ] %}
    {% for field in events_known_fields() %}
        {% do taken.append(field | lower) %}
    {% endfor %}
    {% set further = [] %}
    {% for column in adapter.get_columns_in_relation(source('events', 'raw_events')) %}
        {% if column.name not in events_known_fields() %}
            {% set chosen = namespace(name=events_plain_name(column.name)) %}
            {% for _ in range(9) %}
                {% if chosen.name | lower in taken %}
                    {% set chosen.name = 'source_' ~ chosen.name %}
                {% endif %}
            {% endfor %}
            {% do taken.append(chosen.name | lower) %}
            {% do further.append([column.quoted, chosen.name]) %}
        {% endif %}
    {% endfor %}
    {% do return(further) %}
{% endmacro %}

{# A name without the letters that Delta Lake refuses, and without quotes. #}
{% macro events_plain_name(name) %}
    {% set plain = namespace(name=name or 'unnamed') %}
    {% for letter in [' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=', '"'] %}
        {% set plain.name = plain.name | replace(letter, '_') %}
    {% endfor %}
    {% do return(plain.name) %}
{% endmacro %}

{# The user of an event, else its visitor; trackers send '' for none. #}
{% macro events_resolved_user() -%}
    coalesce(nullif("userId", ''), nullif("anonymousId", ''))
{%- endmacro %}

{# An event without `messageId` is known by all that it holds: `name=value` of each field that
   is not null, by name, so that a field that other events have changes no id. A line break
   within a value is followed by a blank, so that it begins no field. #}
{% macro events_fingerprint() -%}
    surrogate_key(concat_ws(
        chr(10)
        {%- set quoted = [] %}
        {%- for field in events_known_fields() if field != 'messageId' %}
            {%- do quoted.append('"' ~ field ~ '"') %}
        {%- endfor %}
        {%- for field, name in events_further_fields() %}
            {%- do quoted.append(field) %}
        {%- endfor %}
        {%- for field in quoted | sort(case_sensitive=true) %},
        {{ literal(field ~ '=') }} || replace(cast({{ field }} as varchar), chr(10), chr(10) || ' ')
        {%- endfor %}
    ))
{%- endmacro %}

{# The pause that ends a session. #}
{% macro events_gap() -%}
    interval '{{ var("events_inactivity_cutoff") }} seconds'
{%- endmacro %}

{# A session function over the events of a user. #}
{% macro events_session(function) -%}
    {{ function }}
        tstamp,
        gap => {{ events_gap() }},
        boundary => '{{ var("events_boundary") }}',
        granularity => '{{ var("events_granularity") }}'
    ) over (partition by resolved_user order by tstamp, event_id)
{%- endmacro %}
