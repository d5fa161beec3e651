{# A time as microseconds in UTC; a time without a zone is taken as UTC. #}
{% macro utc(column) -%}
    arrow_cast({{ column }}, 'Timestamp(Microsecond, Some("UTC"))')
{%- endmacro %}

{# Whole seconds between two times that are each cut to their second. #}
{% macro whole_seconds_between(start, end) -%}
    cast(
        date_part('epoch', date_trunc('second', {{ end }}))
        - date_part('epoch', date_trunc('second', {{ start }})) as bigint
    )
{%- endmacro %}

{# Whether a session that ended at `session_end` may go on: the newest event of all, `newest`,
   is less than one `gap` later. #}
{% macro is_open(session_end, newest, gap) -%}
    {{ newest }} < {{ session_end }} + {{ gap }}
{%- endmacro %}

{# The calendar day of a time in a named zone. #}
{% macro local_day(tstamp, time_zone) -%}
    cast({{ tstamp }} at time zone {{ literal(time_zone) }} as date)
{%- endmacro %}
