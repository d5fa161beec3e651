{# What the models of the cross_property pack share. #}

{# Columns of an incoming event, in the order of the tie-breakers of deduplication. #}
{% macro cross_property_event_columns() %}
    {% do return(['received_at', 'timestamp', 'contact_id', 'source', 'event', 'url']) %}
{% endmacro %}

{# The pause that ends a session, of one type as of all. Both must be the same: see
   docs/cross_property.md, "One rule for both". #}
{% macro cross_property_gap() -%}
    interval '{{ var("cross_property_inactivity_cutoff") }} seconds'
{%- endmacro %}

{# Of the contact's latest marketing or asset event up to this row, within the cross-property
   session, the value of `column`. At one instant product events come last. #}
{% macro cross_property_led_by(column) -%}
    last_value(case when source_type <> 'product' then {{ column }} end) ignore nulls over (
        partition by contact_id, cross_property_session_id
        order by tstamp, source_type = 'product', event_id
        rows between unbounded preceding and current row
    )
{%- endmacro %}
