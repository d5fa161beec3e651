{{ config(materialized='view') }}

{%- do check_events_variables() %}
{%- set further = events_further_fields() %}

with identified as (
    select
        coalesce("messageId", {{ events_fingerprint() }}) as event_id,
        coalesce("userId", "anonymousId") as resolved_user,
        "userId" as user_id,
        "anonymousId" as anonymous_id,
        "timestamp" as tstamp,
        "type",
        "event"
        {%- for field, name in further %},
        {{ field }} as "{{ name }}"
        {%- endfor %}
    from {{ source('events', 'raw_events') }}
    where "timestamp" is not null
)

-- One row an event. Where it was delivered more than once, the row that is first by time and
-- then by all fields is kept, whatever the order in which they are read.
select *
from identified
where resolved_user is not null
qualify row_number() over (
    partition by event_id
    order by
        tstamp, user_id nulls last, anonymous_id nulls last,
        "type" nulls last, "event" nulls last
        {%- for field, name in further %},
        "{{ name }}" nulls last
        {%- endfor %}
) = 1
