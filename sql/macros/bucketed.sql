{# What the models of the bucketed pack share. #}

{# Columns of an incoming event, in the order of the tie-breakers of deduplication. #}
{% macro bucketed_event_columns() %}
    {% do return([
        'received_at', 'timestamp', 'anonymous_id', 'session_id', 'user_id', 'event', 'url',
        'path', 'referrer', 'utm_source', 'utm_medium', 'utm_campaign', 'country', 'user_agent'
    ]) %}
{% endmacro %}

{# How long a bucket is. #}
{% macro bucketed_width() -%}
    interval '{{ var("bucketed_width") }} seconds'
{%- endmacro %}

{# Whether a default channel group is one that somebody paid for. #}
{% macro is_paid_channel(channel) -%}
    coalesce({{ channel }} in (
        'Cross-network', 'Paid Shopping', 'Paid Search', 'Paid Social', 'Paid Video',
        'Display', 'Paid Other'
    ), false)
{%- endmacro %}
