{{ config(materialized='table') }}

{%- do check_cross_property_variables() %}
{%- set zone = var('cross_property_time_zone') %}
{%- set as_of = var('cross_property_as_of') %}

with events as (
    select *, {{ local_day('tstamp', zone) }} as day
    from {{ ref('property_events__sessionized') }}
),

as_of as (
    {%- if as_of is none %}
    select max(day) as day from events
    {%- else %}
    select cast('{{ as_of }}' as date) as day
    {%- endif %}
),

contacts as (
    select
        events.contact_id,
        as_of.day as as_of_day,
        min(events.tstamp) as first_seen_at,
        max(events.tstamp) as last_seen_at,
        min(events.tstamp) filter (where source_type = 'product') as first_product_at,
        max(events.tstamp) filter (where source_type = 'product') as last_product_at,
        max(events.day) filter (where source_type = 'product') as last_product_day,
        count(distinct session_id) filter (where source_type = 'product') as product_sessions
    from events
    cross join as_of
    where events.day <= as_of.day
    group by events.contact_id, as_of.day
),

-- What the day's first product session was; later ones of the day are `active` anyway.
of_the_day as (
    select
        types.contact_id,
        first_value(session_type order by session_start_tstamp, session_id) as session_type
    from {{ ref('product_session_types') }} as types
    cross join as_of
    where {{ local_day('session_start_tstamp', zone) }} = as_of.day
    group by types.contact_id
)

select
    contacts.* except (last_product_day),
    case
        when contacts.last_product_at is null then 'prospect'
        when of_the_day.session_type in ('new', 'resurrected') then of_the_day.session_type
        when contacts.last_product_day
            > contacts.as_of_day - interval '{{ var("cross_property_active_days") }} days'
            then 'active'
        else 'dormant'
    end as lifecycle
from contacts
left join of_the_day on of_the_day.contact_id = contacts.contact_id
