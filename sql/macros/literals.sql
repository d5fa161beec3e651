{# A text as an SQL literal. #}
{% macro literal(text) -%}
    '{{ text | string | replace("'", "''") }}'
{%- endmacro %}

{# Texts as SQL literals, parted by commas. #}
{% macro literals(texts) -%}
    {%- for text in texts -%}
    {{ literal(text) }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
