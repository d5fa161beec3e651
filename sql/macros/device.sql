{# The device that a user agent names: the first word of its first parenthesis. #}
{% macro device(user_agent) -%}
    case
        when {{ user_agent }} ilike '%android%' then 'Android'
        else replace(split_part(split_part({{ user_agent }}, '(', 2), ' ', 1), ';', '')
    end
{%- endmacro %}

{# The kind of a device as `device()` names it. #}
{% macro device_category(device) -%}
    case
        when {{ device }} = 'iPhone' then 'iPhone'
        when {{ device }} = 'Android' then 'Android'
        when {{ device }} in ('iPad', 'iPod') then 'Tablet'
        when {{ device }} in ('Windows', 'Macintosh', 'X11') then 'Desktop'
        else 'Uncategorized'
    end
{%- endmacro %}
