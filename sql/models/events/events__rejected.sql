{{ config(materialized='table') }}

-- Events that belong to nobody or to no time. They are kept here, not dropped.
select
    {%- for field in events_known_fields() %}
    "{{ field }}",
    {%- endfor %}
    {%- for field, name in events_further_fields() %}
    {{ field }} as "{{ name }}",
    {%- endfor %}
    case
        when "timestamp" is null then 'timestamp is null'
        else 'userId and anonymousId are null'
    end as reason
from {{ source('events', 'raw_events') }}
where "timestamp" is null or {{ events_resolved_user() }} is null
