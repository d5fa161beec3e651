{# `traffic_source()` of a row's columns, with the variables `own_domains` and `fbclid_alone`. #}
{% macro traffic_of(url, referrer, utm_source, utm_medium, utm_campaign) -%}
    {%- set domains = var('own_domains') -%}
    {%- if domains is string or domains is mapping or domains is not iterable
        or domains | reject('string') | list -%}
        {%- do exceptions.raise_compiler_error(
            'variable `own_domains` must be a list of domains such as [example.com]; found `'
            ~ domains ~ '`') -%}
    {%- endif -%}
    traffic_source(
        {{ url }}, {{ referrer }}, {{ utm_source }}, {{ utm_medium }}, {{ utm_campaign }},
        own_domains => '{{ domains | join(",") | replace("'", "''") }}',
        fbclid_alone => '{{ var("fbclid_alone") | string | replace("'", "''") }}'
    )
{%- endmacro %}
