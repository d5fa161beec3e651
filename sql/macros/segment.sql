{# What the models of the segment pack share. #}

{# Columns of an incoming page view, in the order of the tie-breakers of deduplication. #}
{% macro segment_event_columns() %}
    {% do return([
        'received_at', 'timestamp', 'anonymous_id', 'user_id', 'sent_at', 'url', 'path',
        'title', 'search', 'referrer', 'context_campaign_source',
        'context_campaign_medium', 'context_campaign_name', 'context_campaign_term',
        'context_campaign_content', 'context_ip', 'context_user_agent'
    ]) %}
{% endmacro %}

{# Those of `columns` that `relation` lacks: they are carried along as nulls. #}
{% macro segment_absent_columns(relation, columns) %}
    {% set absent = [] %}
    {% if columns %}
        {% set present = [] %}
        {% for column in adapter.get_columns_in_relation(relation) %}
            {% do present.append(column.name) %}
        {% endfor %}
        {% for column in columns if column not in present %}
            {% do absent.append(column) %}
        {% endfor %}
    {% endif %}
    {% do return(absent) %}
{% endmacro %}

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

{# What the first page view of a session has in `column`, a null included. #}
{% macro on_first_page(column, name=none) -%}
    first_value({{ column }} order by page_view_number) as {{ name or column }}
{%- endmacro %}

{# What the last page view of a session has in `column`, a null included. #}
{% macro on_last_page(column, name=none) -%}
    last_value({{ column }} order by page_view_number) as {{ name or column }}
{%- endmacro %}
