{# `traffic_source()` of a row's columns, with the variables `own_domains` and `fbclid_alone`. #}
{% macro traffic_of(url, referrer, utm_source, utm_medium, utm_campaign) -%}
    {%- do check_texts('own_domains', 'a list of domains such as [example.com]') -%}
    {%- do check_choice('fbclid_alone', ['social', 'paid']) -%}
    traffic_source(
        {{ url }}, {{ referrer }}, {{ utm_source }}, {{ utm_medium }}, {{ utm_campaign }},
        own_domains => {{ literal(var('own_domains') | join(',')) }},
        fbclid_alone => {{ literal(var('fbclid_alone')) }}
    )
{%- endmacro %}
