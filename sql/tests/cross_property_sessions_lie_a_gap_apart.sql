{#- Sliding over events and joining sessions are one rule (docs/cross_property.md): no session of
    one type reaches over the edge of a cross-property session, and between two of these
    lies at least one gap, measured from the end of one to the start of the next. #}
select first.contact_id, first.session_id, second.session_id as next_session_id
from {{ ref('cross_property_sessions') }} as first
inner join {{ ref('cross_property_sessions') }} as second
    on second.contact_id = first.contact_id
    and second.session_number = first.session_number + 1
where {{ is_open('first.session_end_tstamp', 'second.session_start_tstamp', cross_property_gap()) }}

union all

select contact_id, session_id, null
from {{ ref('property_events__sessionized') }}
group by contact_id, session_id
having count(distinct cross_property_session_id) > 1
