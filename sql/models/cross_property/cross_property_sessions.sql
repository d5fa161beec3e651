{{ config(materialized='table') }}

{%- set in_order = "session_start_tstamp, source_type = 'product', source_type" %}

with joined as (
    select
        cross_property_session_id as session_id,
        contact_id,
        min(cross_property_session_number) as session_number,
        min(session_start_tstamp) as session_start_tstamp,
        max(session_end_tstamp) as session_end_tstamp,
        {{ whole_seconds_between('min(session_start_tstamp)', 'max(session_end_tstamp)') }}
            as duration_in_s,
        cast(sum(events) as bigint) as events,
        count(*) as property_sessions,
        count(distinct source_type) as source_types,
        string_agg(source_type, ' > ' order by {{ in_order }}) as path,
        {%- for target, origin in [('product_session_id', 'session_id'),
                                   ('prompted_by', 'prompted_by'),
                                   ('prompted_by_type', 'prompted_by_type'),
                                   ('prompted_by_source', 'prompted_by_source')] %}
        first_value({{ origin }} order by {{ in_order }})
            filter (where source_type = 'product') as {{ target }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('property_sessions__initial') }}
    group by cross_property_session_id, contact_id
)

select
    joined.*,
    {{ is_open('joined.session_end_tstamp', 'newest.tstamp', cross_property_gap()) }} as is_open
from joined
cross join (select max(session_end_tstamp) as tstamp from joined) as newest
