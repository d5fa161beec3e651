{{ config(materialized='view') }}

{%- do check_events_variables() %}
{%- set further = events_further_fields() %}

with described as (
    select *, {{ events_fingerprint() }} as __content
    from {{ source('events', 'raw_events') }}
    where "timestamp" is not null
),

identified as (
    select
        coalesce(nullif("messageId", ''), __content) as event_id,
        {{ events_resolved_user() }} as resolved_user,
        nullif("userId", '') as user_id,
        nullif("anonymousId", '') as anonymous_id,
        "timestamp" as tstamp,
        "type",
        "event"
        {%- for field, name in further %},
        {{ field }} as "{{ name }}"
        {%- endfor %},
        __content
    from described
)

-- One row an event. Where it was delivered more than once, the row that is first by time and
-- then by what it holds is kept.
select * except (__content)
from identified
where resolved_user is not null
{{ first_of_each('event_id', ['tstamp', 'user_id', 'anonymous_id', 'type', 'event', '__content']) }}
