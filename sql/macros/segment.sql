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

{# Name and SQL of those `columns` of `relation` that the pack does not read itself: found in
   another case too if only one fits, and null if absent. #}
{% macro segment_further_columns(relation, columns) %}
    {% set further = [] %}
    {% if columns %}
        {% set present = adapter.get_columns_in_relation(relation) | map(attribute='name') | list %}
        {% for column in columns if column not in segment_event_columns() + ['id'] %}
            {% set fitting = [] %}
            {% for name in present if name | lower == column | lower %}
                {% do fitting.append(name) %}
            {% endfor %}
            {% if column in fitting %}
                {% do further.append([column, '"' ~ column ~ '"']) %}
            {% elif fitting | length == 1 %}
                {% do further.append([column, '"' ~ fitting[0] ~ '"']) %}
            {% else %}
                {% do further.append([column, 'cast(null as varchar)']) %}
            {% endif %}
        {% endfor %}
    {% endif %}
    {% do return(further) %}
{% endmacro %}

{# What the first page view of a session has in `column`, a null included. #}
{% macro on_first_page(column, name=none) -%}
    first_value({{ column }} order by page_view_number) as {{ name or column }}
{%- endmacro %}

{# What the last page view of a session has in `column`, a null included. #}
{% macro on_last_page(column, name=none) -%}
    last_value({{ column }} order by page_view_number) as {{ name or column }}
{%- endmacro %}

{# Pairs of columns whose values on one page view are ids of one person. #}
{% macro segment_identity_pairs() %}
    {% set pairs = [{'left': 'anonymous_id', 'right': 'user_id'}] %}
    {% for column in var('segment_identity_columns') %}
        {% do pairs.append({'left': 'anonymous_id', 'right': column}) %}
        {% do pairs.append({'left': column, 'right': 'user_id'}) %}
    {% endfor %}
    {% do return(pairs) %}
{% endmacro %}

{# The name of one id for all models: its own kind and a colon first, so that two ids that are
   spelled alike never are one. A user's id stays as it is, for it to be joined with what is
   known of users, unless its own beginning could be taken for a kind. #}
{% macro segment_name_of(id_type, id) -%}
    case
        when {{ id_type }} = 'user_id'
            and split_part({{ id }}, ':', 1) not in ({{ segment_identity_kinds() }})
            then {{ id }}
        else {{ id_type }} || ':' || {{ id }}
    end
{%- endmacro %}

{# The columns that ids stand in, as SQL texts. #}
{% macro segment_identity_kinds() -%}
    {{- literals(['anonymous_id', 'user_id'] + var('segment_identity_columns')) -}}
{%- endmacro %}

{# Whether one end of an edge is an id that joins: none that too many users share. #}
{% macro segment_joins(side) -%}
    not exists (
        select 1
        from {{ ref('identity_audit') }} as shared
        where shared.id_type = edges.{{ side }}_type and shared.id = edges.{{ side }}_id
    )
{%- endmacro %}
