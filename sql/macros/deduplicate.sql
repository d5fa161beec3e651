{# One row of each `key`: the first by `columns`, which are all that the rows have. So the choice
   depends on the rows alone and not on the order in which they are read. #}
{% macro first_of_each(key, columns) -%}
    qualify row_number() over (
        partition by {{ key }}
        order by
            {%- for column in columns %}
            "{{ column }}" asc nulls last{{ ',' if not loop.last }}
            {%- endfor %}
    ) = 1
{%- endmacro %}
